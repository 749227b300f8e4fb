"""Paths rewritten by a regular expression: what comes out of it is always a path that is safe to send."""

from __future__ import annotations

import pytest

from gateway.routing.rewrites import RegexChange


@pytest.mark.parametrize(
    ("regex", "to", "path", "rewritten"),
    [
        (r"/api/v([0-9]+)/(.*)", r"/\2", b"/api/v1/x/y", b"/x/y"),
        (r"/(a)(b)?", r"/\1-\2", b"/a", b"/a-"),
        (r"/x", r"/all\0", b"/x", b"/all/x"),
        (r"/x", r"/y", b"/x/z", b"/x/z"),
        (r"/a%2Fb", r"/y", b"/a%2fb", b"/y"),
        (r"/A/(.*)", r"/\1", b"//%41//x", b"/x"),
    ],
    ids=["groups", "an absent group", "the whole path", "no match", "an escape in lower case", "spelt otherwise"],
)
def test_a_path_that_matches_as_a_whole_is_rewritten(regex: str, to: str, path: bytes, rewritten: bytes) -> None:
    assert RegexChange(regex, to).apply(path, b"/") == rewritten


@pytest.mark.parametrize(
    ("regex", "to", "path"),
    [
        (r"/(.)x(.)/y", r"/\1\2/y", b"/.x./y"),
        (r"/x(.*)", r"\1", b"/x"),
        (r"/(.*)", r"\1", b"/evil.example"),
        (r"/(..)x(.*)", r"/%\1\2", b"/2gx"),
    ],
    ids=["dot segments", "nothing", "no slash", "half an escape"],
)
def test_what_would_be_no_safe_path_is_none(regex: str, to: str, path: bytes) -> None:
    assert RegexChange(regex, to).apply(path, b"/") == b""


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("x", "`to` starts with '/'; found 'x'"),
        (r"/\2", r"`to` names group \2, and the expression has 1"),
        ("/x?y", r"`to` is a path, with \0 to \9 for groups, and without query and fragment; found '/x?y'"),
        ("/x\\y", r"`to` is a path, with \0 to \9 for groups, and without query and fragment; found '/x\\y'"),
        ("/x y", r"`to` is a path, with \0 to \9 for groups, and without query and fragment; found '/x y'"),
        ("", r"`to` is a path, with \0 to \9 for groups, and without query and fragment; found ''"),
    ],
)
def test_a_replacement_that_is_none_is_refused(to: str, why: str) -> None:
    with pytest.raises(ValueError) as error:
        RegexChange("/(.*)", to)
    assert str(error.value) == why
