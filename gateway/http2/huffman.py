"""The Huffman code of HPACK (RFC 7541 §5.2, appendix B), decoded a byte at a time.

The code is canonical: the lengths say it all. The automaton's rows are made when they are first needed, since a program that
meets no Huffman-coded string needs none.
"""

from __future__ import annotations

from typing import Final

EOS: Final = 256

_LENGTHS: Final = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b080606060505050606060606060607"
    "080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e060f050605060506060605070706060605060706050506"
    "07070707070f0b0e0d1c14161414161616171617171717171817181816171817171717151617161717181615141616171715171616181516171715"
    "1516151716171714161616171616171a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b141814151615151716161919"
    "18181a171a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a1e"
)
"""Bits of each symbol's code; the last is the end of the string, which never appears in one."""


class _Row:
    """What each next byte does in one state: the state after it, and the symbols that it completes; None: an error."""

    __slots__ = ("after", "symbols")

    def __init__(self) -> None:
        self.after: list[int] = []
        self.symbols: list[bytes | None] = []


class Huffman:
    """The automaton. A state is an inner node of the tree; `_children` has two per node: a node, or ~symbol."""

    __slots__ = ("_children", "_ends", "_rows")

    def __init__(self) -> None:
        self._children: list[list[int]] = [[0, 0]]
        self._rows: list[_Row | None] = []
        code = 0
        length = 0
        for symbol in sorted(range(len(_LENGTHS)), key=lambda symbol: (_LENGTHS[symbol], symbol)):
            code <<= _LENGTHS[symbol] - length
            length = _LENGTHS[symbol]
            self._add(code, length, symbol)
            code += 1
        self._rows = [None] * len(self._children)
        # §5.2: padding is the beginning of the end's code, which is all ones, and less than a byte of it.
        self._ends: set[int] = {0}
        node = 0
        for _ in range(7):
            node = self._children[node][1]
            self._ends.add(node)

    def _add(self, code: int, length: int, symbol: int) -> None:
        node = 0
        for place in range(length - 1, 0, -1):
            bit = (code >> place) & 1
            child = self._children[node][bit]
            if not child:
                child = len(self._children)
                self._children.append([0, 0])
                self._children[node][bit] = child
            node = child
        self._children[node][code & 1] = ~symbol

    def decode(self, data: bytes) -> bytes | None:
        """The string that is coded, None if it is not a code: a wrong end, or the end's own code in it."""
        out: list[bytes] = []
        state = 0
        rows = self._rows
        for byte in data:
            row = rows[state]
            if row is None:
                row = self._make(state)
            symbols = row.symbols[byte]
            if symbols is None:
                return None
            out.append(symbols)
            state = row.after[byte]
        return b"".join(out) if state in self._ends else None

    def _make(self, state: int) -> _Row:
        row = _Row()
        for byte in range(256):
            node = state
            symbols: bytes | None = b""
            for place in range(7, -1, -1):
                child = self._children[node][(byte >> place) & 1]
                if child >= 0:
                    node = child
                elif ~child == EOS:
                    symbols = None
                    node = 0
                    break
                else:
                    assert symbols is not None
                    symbols += bytes((~child,))
                    node = 0
            row.after.append(node)
            row.symbols.append(symbols)
        self._rows[state] = row
        return row


_HUFFMAN: Final[list[Huffman]] = []


def decode(data: bytes) -> bytes | None:
    """The string that `data` is the Huffman code of, None if it is none's."""
    if not _HUFFMAN:
        _HUFFMAN.append(Huffman())
    return _HUFFMAN[0].decode(data)
