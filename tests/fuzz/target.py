"""One fuzzing process: `python -m tests.fuzz.target request|response|chunked|http2 [options of libFuzzer] [corpus …]`."""

from __future__ import annotations

import random
import sys

import atheris

from tests.fuzz import words

with atheris.instrument_imports(
    include=["gateway.http", "gateway.http2", "gateway.proxy", "gateway.routing.forward", "h11"]
):
    from tests.fuzz import frames
    from tests.fuzz.checks import CHECKS

_LINES = {
    "request": [*words.REQUEST_LINES, *words.REQUEST_FIELDS],
    "response": [*words.RESPONSE_LINES, *words.RESPONSE_FIELDS],
    "chunked": [*words.CHUNK_SIZES, *words.TRAILERS],
}
_PIECES = [*words.FAULTS, *words.BODIES, *words.CHUNK_SIZES, *words.EXTENSIONS]


def mutate(data: bytes, lines: list[bytes], chance: random.Random) -> bytes:
    """One change to a line of the message, or a word or fault put somewhere."""
    parts = data.split(b"\r\n")
    place = chance.randrange(len(parts))
    kind = chance.randrange(7)
    if kind == 0:
        parts.insert(place, chance.choice(lines))
    elif kind == 1:
        parts[place] = chance.choice(lines)
    elif kind == 2:
        del parts[place]
    elif kind == 3:
        parts.insert(place, parts[chance.randrange(len(parts))])
    elif kind == 4:
        parts.append(chance.choice(words.BODIES))
    elif kind == 5:
        first = parts[place]
        at = chance.randrange(len(first) + 1)
        parts[place] = first[:at] + chance.choice(_PIECES) + first[at:]
    else:
        parts[place] = parts[place].swapcase()
    return b"\r\n".join(parts)


def mutate_frames(data: bytes, chance: random.Random) -> bytes:
    """One change to the frames of an HTTP/2 peer: one more, one less, one twice, or a byte of one."""
    first, parts = data[:1], frames.parts_of(data[1:]) or [b""]
    place = chance.randrange(len(parts))
    kind = chance.randrange(4)
    if kind == 0:
        parts.insert(place, chance.choice(frames.WORDS))
    elif kind == 1:
        del parts[place]
    elif kind == 2:
        parts.insert(place, parts[chance.randrange(len(parts))])
    elif parts[place]:
        at = chance.randrange(len(parts[place]))
        parts[place] = parts[place][:at] + bytes([chance.randrange(256)]) + parts[place][at + 1 :]
    return first + b"".join(parts)


def main() -> None:
    """Runs libFuzzer until it is told to stop or finds something."""
    name = sys.argv.pop(1)
    check = CHECKS[name]
    lines = _LINES.get(name)

    def test_one(data: bytes) -> None:
        check(data, False)

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < 0.5:
            return bytes(atheris.Mutate(data, max_size))
        for _ in range(chance.randint(1, 3)):
            data = mutate(data, lines, chance) if lines is not None else mutate_frames(data, chance)
        return data[:max_size]

    atheris.Setup(sys.argv, test_one, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
