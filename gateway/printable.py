"""Text from outside made fit for a terminal, a log or a page of plain text.

A registry, an instance, a rules author and a client write texts that people read: metadata, keys, error responses. Printed raw,
a carriage return forges a line, an escape sequence moves the cursor or sets the title, and a bidirectional override shows
`txt.exe` for `exe.txt` (CVE-2021-42574). Texts are kept as they came; the code that shows one makes it printable.
JSON needs none of this: it is written in ASCII.
"""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text as one line, everything that is not printable written as Python escapes it: `\n`, `\x1b`, `\u202e`.

    That is every control, format and private character, line and paragraph separators, lone surrogates, and what Unicode has
    not assigned (`str.isprintable`). Plain letters of any script stay.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def printable_lines(text: str) -> str:
    """The same of a text of several lines: line feeds and tabs stay."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def _escaped(letter: str) -> str:
    if letter == "\N{IDEOGRAPHIC SPACE}":  # what a Chinese keyboard types for a space
        return letter
    return letter.encode("unicode_escape").decode("ascii")
