"""HPACK (RFC 7541): header blocks to fields, with a dynamic table as large as the peer may use, and fields to bytes, with none.

Without a dynamic table a block depends on nothing before it (`Decoder.is_stateless`), so that what it says can be remembered
by its bytes. We announce a table of no size for that; until the peer has taken that in, and for peers that never do, the
table is kept as the RFC has it.
"""

from __future__ import annotations

from typing import Final

from gateway.http2.errors import COMPRESSION_ERROR, ConnectionFailure
from gateway.http2.huffman import decode as decode_huffman
from gateway.http2.statictable import NAMES, STATIC, WHOLE

Field = tuple[bytes, bytes]

DEFAULT_TABLE: Final = 4096
"""Bytes of the dynamic table until something else is agreed on (RFC 9113 §6.5.2)."""
OVERHEAD: Final = 32
"""Bytes that each field counts beside its name and value (RFC 7541 §4.1)."""
SECRETS: Final = frozenset({b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"})
"""Never remembered here, and never to be by anybody on the way (§7.1.3)."""

_MAX_STRINGS: Final = 4096
_LONGEST_STRING: Final = 128
_STRINGS: Final[dict[bytes, bytes]] = {}
"""What Huffman-coded strings say, of those seen before. When they are that many, all are forgotten."""

_MAX_OCTETS: Final = 5
"""Octets of an integer beyond its first: 35 bits."""


class Decoder:
    """Reads header blocks, in the order in which they come on one connection.

    `list_bytes`: a header list that is larger (§4.1's sizes) is read to its end, because the table depends on it, and what is
    beyond that is not kept; `is_cut` says so of the last one.
    """

    __slots__ = ("_entries", "_list_bytes", "_most", "_size", "is_cut", "left", "limit")

    def __init__(self, list_bytes: int, limit: int = DEFAULT_TABLE) -> None:
        self._list_bytes = list_bytes
        self.limit = limit
        """The largest table that the peer may choose."""
        self._most: int = DEFAULT_TABLE
        self._size: int = 0
        self._entries: list[Field] = []  # the newest last
        self.is_cut: bool = False
        self.left: int = list_bytes
        """How much larger the last list might have been; less than nothing if it was cut."""

    @property
    def is_stateless(self) -> bool:
        """Whether the peer's table has no room, and never will: its blocks mean the same whatever came before."""
        return not self._most and not self.limit

    def decode(self, block: bytes) -> list[Field]:
        """The fields of a block. Raises ConnectionFailure (COMPRESSION_ERROR): nothing after it can be read."""
        fields: list[Field] = []
        self.is_cut = False
        left = self._list_bytes
        at = 0
        size = len(block)
        try:
            while at < size:
                first = block[at]
                if first >= 0x80:
                    if first == 0xFF:
                        number, at = _integer(block, at, 0x7F)
                    else:
                        number = first & 0x7F
                        at += 1
                    field = self._entry(number)
                elif 0x20 <= first < 0x40:
                    if fields or self.is_cut:
                        raise _broken("a change of the table's size is not at the beginning of a header block")
                    number, at = _integer(block, at, 0x1F)
                    self._resize(number)
                    continue
                else:
                    mask = 0x3F if first >= 0x40 else 0x0F
                    number = first & mask
                    if number == mask:
                        number, at = _integer(block, at, mask)
                    else:
                        at += 1
                    if number:
                        name = self._entry(number)[0]
                    else:
                        name, at = _string(block, at, True)
                    value, at = _string(block, at, name not in SECRETS)
                    field = (name, value)
                    if first >= 0x40:
                        self._insert(field)
                left -= len(field[0]) + len(field[1]) + OVERHEAD
                if left >= 0:
                    fields.append(field)
                else:
                    self.is_cut = True
        except IndexError:
            raise _broken("a header block ends in the middle of a field") from None
        self.left = left
        return fields

    def _entry(self, number: int) -> Field:
        if 0 < number <= len(STATIC):
            return STATIC[number - 1]
        entries = self._entries
        place = number - len(STATIC)
        if not 0 < place <= len(entries):
            raise _broken(f"a header block refers to entry {number}, and there is none")
        return entries[-place]

    def _insert(self, field: Field) -> None:
        size = len(field[0]) + len(field[1]) + OVERHEAD
        self._shrink(self._most - size)
        if size <= self._most:
            self._entries.append(field)
            self._size += size

    def _resize(self, most: int) -> None:
        if most > self.limit:
            raise _broken(f"the table's size is said to be {most}, and may be {self.limit} at the most")
        self._most = most
        self._shrink(most)

    def _shrink(self, most: int) -> None:
        """Forgets the oldest entries until the others fit."""
        count = 0
        entries = self._entries
        while self._size > most and count < len(entries):
            name, value = entries[count]
            self._size -= len(name) + len(value) + OVERHEAD
            count += 1
        if count:
            del entries[:count]


def _broken(detail: str) -> ConnectionFailure:
    return ConnectionFailure(COMPRESSION_ERROR, detail)


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """An integer whose first octet's bits `mask` may hold it (§5.1), and where it ends."""
    number = block[at] & mask
    at += 1
    if number < mask:
        return number, at
    shift = 0
    while shift < 7 * _MAX_OCTETS:
        octet = block[at]
        at += 1
        number += (octet & 0x7F) << shift
        if octet < 0x80:
            return number, at
        shift += 7
    raise _broken("an integer in a header block is larger than anything in one can be")


def _string(block: bytes, at: int, is_kept: bool) -> tuple[bytes, int]:
    """A string literal (§5.2), and where it ends. `is_kept`: what it says may be remembered."""
    first = block[at]
    length = first & 0x7F
    if length == 0x7F:
        length, at = _integer(block, at, 0x7F)
    else:
        at += 1
    end = at + length
    if end > len(block):
        raise _broken("a header block ends in the middle of a string")
    text = block[at:end]
    if first < 0x80:
        return text, end
    known = _STRINGS.get(text)
    if known is not None:
        return known, end
    decoded = decode_huffman(text)
    if decoded is None:
        raise _broken("a string in a header block is not Huffman-coded as it says")
    if is_kept and length <= _LONGEST_STRING:
        if len(_STRINGS) >= _MAX_STRINGS:
            _STRINGS.clear()
        _STRINGS[text] = decoded
    return decoded, end


NO_TABLE: Final = b"\x20"
"""What our first block on a connection begins with: the table's size is 0 from then on."""


def encode_field(name: bytes, value: bytes) -> bytes:
    """The bytes of one field (lower-case name): an entry of the static table, or a literal that nobody is to keep.

    They are the same each time: no field depends on another one.
    """
    number = WHOLE.get((name, value))
    if number is not None:
        return bytes((0x80 | number,))
    size = len(value)
    begin = _BEGINNINGS.get(name) or _learn_beginning(name)
    return begin + (_LENGTHS[size] if size < 0x7F else _encode_integer(size, 0x7F, 0)) + value


_LENGTHS: Final = tuple([bytes((length,)) for length in range(0x7F)])
_BEGINNINGS: Final[dict[bytes, bytes]] = {}
"""What a literal with a name begins with, for those used before. When they are `_MAX_STRINGS`, all are forgotten."""


def _learn_beginning(name: bytes) -> bytes:
    number = NAMES.get(name, 0)
    begin = _encode_integer(number, 0x0F, 0x10 if name in SECRETS else 0)
    if not number:
        begin += _encode_integer(len(name), 0x7F, 0) + name
    if len(name) <= _LONGEST_STRING:
        if len(_BEGINNINGS) >= _MAX_STRINGS:
            _BEGINNINGS.clear()
        _BEGINNINGS[name] = begin
    return begin


def _encode_integer(number: int, mask: int, first: int) -> bytes:
    if number < mask:
        return bytes((first | number,))
    octets = [first | mask]
    number -= mask
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)
