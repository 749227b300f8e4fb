"""What is shown to people can neither steer a terminal nor forge a line."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from gateway.printable import printable, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("orders gray v1.2 [bold]x[/bold]", "orders gray v1.2 [bold]x[/bold]"),
        ("商品　服务 – é", "商品　服务 – é"),
        ("a\r\n2027-01-01 INFO gateway: forged", r"a\r\n2027-01-01 INFO gateway: forged"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b31m\x85\x7f\x00", r"\x9b31m\x85\x7f\x00"),
        ("\u202etxt.exe\u2066\u200f\u061c", r"\u202etxt.exe\u2066\u200f\u061c"),
        ("a\u2028b\u2029c\ufeff", r"a\u2028b\u2029c\ufeff"),
        ("\ud800\udfff", r"\ud800\udfff"),
        ("\U000e0041\U0010ffff", r"\U000e0041\U0010ffff"),
        ("tab\tbackslash\\", r"tab\tbackslash" + "\\"),
    ],
)
def test_one_line_has_only_what_can_be_seen(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_several_lines_keep_their_line_ends_and_nothing_else() -> None:
    assert printable_lines("a:\n\t- \x1b[1m\r\n\u2028\n") == "a:\n\t- \\x1b[1m\\r\n\\u2028\n"


def test_no_character_of_unicode_steers() -> None:
    shown = printable("".join(map(chr, range(sys.maxunicode + 1))))
    assert {unicodedata.category(letter) for letter in set(shown)}.isdisjoint({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
    assert shown.encode()
