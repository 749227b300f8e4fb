"""Shares: which of the 10,000 buckets a `percent` condition takes.

A share written as one number is the buckets from the lane's *home* upward, around the end. The homes are spread by halving
(0, 50, 25, 75, 12.5 %, …, in the order in which the lanes stand), so that the first four lanes have a quarter each to grow
in. Spans that are written out (`percent: [0-5, 20-25]`) are held as they are.

So what a lane holds depends on its own share and its place, never on what others claim: no change of one lane moves
anybody of another. No dealing can keep that promise for three lanes and more that may claim anything up to 100 %
together: then each lane's buckets depend on its own size alone, and where two sizes make 100 %, one lane holds exactly what
the other leaves; the second and the third lane would both hold what the first leaves. Lanes that would meet are therefore
refused, with the spans to write instead, which move nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.rules.buckets import BUCKETS
from gateway.rules.conditions import Condition
from gateway.rules.names import parse_spans
from gateway.rules.pointer import claim_pointer

Spans = tuple[tuple[int, int], ...]
Key = tuple[str, str]
"""What is split by: source and name."""


def key_of(condition: Condition) -> Key:
    """What a percent condition splits by; one claim has one key, whether its name is given or its pointer."""
    name = condition.name
    return condition.source, claim_pointer(name) if condition.jwt is not None else name


def show_spans(spans: Iterable[tuple[int, int]]) -> list[str]:
    """Bucket spans as an operator writes them, in percent."""
    return [f"{low / 100:.15g}-{high / 100:.15g}" for low, high in spans]


def first_of(spans: Spans, count: int) -> Spans:
    """The first so many buckets of spans, in their order."""
    taken: list[tuple[int, int]] = []
    for low, high in spans:
        if count <= 0:
            break
        taken.append((low, min(high, low + count)))
        count -= high - low
    return tuple(taken)


class OverlapError(ValueError):
    """Two lanes of a group want the same buckets.

    `key` is what they split by, `lane` the later one. `spans` are what that can hold instead without taking
    from anybody; empty if writing spans does not help.
    """

    def __init__(self, key: Key, lane: str, message: str, spans: Spans = ()) -> None:
        self.key = key
        self.lane = lane
        self.spans = spans
        super().__init__(message)


class GroupShares:
    """Who holds what in one group."""

    def __init__(self, lanes: Iterable[tuple[str, Iterable[Condition]]]) -> None:
        """`lanes`: names and the conditions (leaves) of all lanes, closed ones too, in order. Raises OverlapError."""
        self._spans: dict[tuple[Key, str], Spans] = {}
        claims: dict[Key, dict[str, list[Condition]]] = {}
        for lane, conditions in lanes:
            for condition in conditions:
                if condition.test.percent is not None:
                    claims.setdefault(key_of(condition), {}).setdefault(lane, []).append(condition)
        for key, claimants in claims.items():
            _check_case(key, claimants)
            several = [_Claim(lane, order, conditions) for order, (lane, conditions) in enumerate(claimants.items())]
            _check_sum(key, several)
            for claim in several:
                self._spans[(key, claim.lane)] = claim.grown = claim.beside(())
            _check_overlaps(key, several)

    def spans_of(self, lane: str, condition: Condition) -> Spans:
        """The buckets that a lane's percent condition takes."""
        share = condition.test.percent
        assert share is not None
        if isinstance(share, list):
            return parse_spans(share) or ()
        return first_of(self._spans[(key_of(condition), lane)], round(share * 100))


class _Claim:
    """What one lane claims of one key: spans that are written out, and those that its largest number makes (`grown`)."""

    def __init__(self, lane: str, order: int, conditions: Iterable[Condition]) -> None:
        self.lane = lane
        self.home = _home(order)
        self.numbers: set[int] = set()
        self.written: list[tuple[int, int]] = []
        for condition in conditions:
            share = condition.test.percent
            assert share is not None
            if isinstance(share, list):
                self.written += parse_spans(share) or ()
            else:
                self.numbers.add(round(share * 100))
        self.wanted = max(self.numbers, default=0)
        self.grown: Spans = ()

    @property
    def spans(self) -> Spans:
        """Everything that it holds."""
        return (*self.written, *self.grown)

    @property
    def asked(self) -> int:
        """How many buckets it claims."""
        return self.wanted + _painted(self.written).count(1)

    def beside(self, others: Iterable[_Claim]) -> Spans:
        """What its number makes if it takes nothing that others hold, nor what the lane has written itself."""
        taken = _painted(self.written)
        for other in others:
            taken = _painted(other.spans, taken)
        return _grow(taken, self.home, self.wanted)


def _check_case(key: Key, claimants: dict[str, list[Condition]]) -> None:
    """Raises OverlapError if not all lanes mind case alike: one user would be in two buckets, and in both shares."""
    folds = {lane: {condition.test.ignore_case for condition in several} for lane, several in claimants.items()}
    first, *others = folds
    for lane in others:
        if len(folds[first] | folds[lane]) > 1:
            raise OverlapError(
                key,
                lane,
                f"the lanes {first} and {lane} split by the same {_show_key(key)}, one with ignore_case and one without: "
                "their shares cannot be kept apart. Give it to both, or to neither",
            )


def _check_sum(key: Key, claims: Sequence[_Claim]) -> None:
    """Raises OverlapError if lanes together take more than 100 %."""
    asked = sum(claim.asked for claim in claims)
    if asked > BUCKETS:
        raise OverlapError(
            key,
            claims[-1].lane,
            f"the lanes {', '.join(claim.lane for claim in claims)} split by the same {_show_key(key)} and together take "
            f"{asked / 100:.15g} %; lanes of a group share 100 %. Put lanes that should draw independently "
            "into separate groups",
        )


def _check_overlaps(key: Key, claims: Sequence[_Claim]) -> None:
    """Raises OverlapError if two lanes hold the same."""
    reach, holder = 0, 0
    for low, high, order in sorted(
        (low, high, order) for order, claim in enumerate(claims) for low, high in claim.spans
    ):
        if low < reach and order != holder:
            first, second = sorted((holder, order))
            raise _overlap(key, claims, first, second, show_spans(((low, min(high, reach)),))[0])
        if high > reach:
            reach, holder = high, order


def _overlap(key: Key, claims: Sequence[_Claim], first: int, second: int, both: str) -> OverlapError:
    """The error of two lanes that both hold something, with what either can hold instead."""
    choices: list[str] = []
    spans: Spans = ()
    for order in (first, second):
        claim = claims[order]
        has_one = claim.wanted and len(claim.numbers) == 1
        spans = claim.beside(other for other in claims if other is not claim) if has_one else ()
        if spans:
            choices.append(f"{claim.lane} percent: [{', '.join(show_spans(sorted(spans)))}]")
    taken = _painted(span for claim in claims for span in claim.spans)
    hint = (
        "a share that is one number takes nothing from another lane. Write down the spans of the lane that is new or was "
        f"changed: {', or '.join(choices)}"
        if choices
        else f"free are {', '.join(show_spans(_free(taken))) or 'none'}"
    )
    names = f"{claims[first].lane} and {claims[second].lane}"
    message = f"the lanes {names} split by the same {_show_key(key)} and both take {both}; {hint}"
    return OverlapError(key, claims[second].lane, message, spans)


def _show_key(key: Key) -> str:
    return f"{key[0]} {key[1]}".strip()


def _painted(spans: Iterable[tuple[int, int]], buckets: bytes | bytearray = bytes(BUCKETS)) -> bytearray:
    """A byte for each bucket, not 0 if spans hold it."""
    painted = bytearray(buckets)
    for low, high in spans:
        painted[low:high] = b"\1" * (high - low)
    return painted


def _home(order: int) -> int:
    """Where the lane of this order begins to grow: halves, then quarters, then eighths."""
    home, step = 0.0, 0.5
    while order:
        home += step * (order & 1)
        order >>= 1
        step /= 2
    return int(home * BUCKETS)


def _grow(owners: bytearray, home: int, count: int) -> Spans:
    """Takes the first free buckets from a home upward, around the end; in the order in which they were taken."""
    spans: list[tuple[int, int]] = []
    at, end = home, BUCKETS
    while count:
        low = owners.find(b"\0", at, end)
        if low < 0:
            assert end == BUCKETS, "there are as many free buckets as needed"
            at, end, home = 0, home, 0
            continue
        high = low
        while high < end and not owners[high] and count:
            owners[high] = 1
            high += 1
            count -= 1
        spans.append((low, high))
        at = high
    return tuple(spans)


def _free(owners: bytearray) -> Spans:
    spans: list[tuple[int, int]] = []
    low = owners.find(b"\0")
    while low >= 0:
        high = owners.find(b"\1", low)
        high = BUCKETS if high < 0 else high
        spans.append((low, high))
        low = owners.find(b"\0", high)
    return tuple(spans)
