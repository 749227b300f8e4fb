"""What is read of a body: JSON and forms, bounded in what parsing makes of them, and nothing raises."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from gateway.http.content import MAX_VALUES, read_content, read_json
from gateway.http.head_reader import build_request
from gateway.rules.pointer import find_text

MIB = 1_048_576


def content(body: bytes, kind: str = "application/json", *headers: tuple[str, str]) -> Any:
    return read_content(build_request("POST", "/", [("Content-Type", kind), *headers], body=body), body)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"a": 1.10, "b": 9007199254740993, "c": [true, null, 1e3]}', {"a": "1.10", "b": "9007199254740993", "c": [True, None, "1e3"]}),
        (b'{"a": 1, "a": 2}', {"a": "2"}),
        (b'"x"', "x"),
        (b"", None),
        (b"{", None),
        (b"\xff", None),
        (b'{"a": NaN}', None),
        (b'{"a": -Infinity}', None),
        (b"[" * 10_000 + b"]" * 10_000, None),
        (b'{"a": ' + b"9" * 10_000 + b"}", {"a": "9" * 10_000}),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_json(body: bytes, found: Any) -> None:
    assert content(body) == found


def test_a_form_has_the_first_of_each_name() -> None:
    form = "application/x-www-form-urlencoded; charset=utf-8"
    assert content(b"a=1&a=2&b=%41+c&d", form) == {"a": "1", "b": "A c", "d": ""}


@pytest.mark.parametrize(
    ("kind", "headers"),
    [("text/plain", ()), ("", ()), ("application/json", (("Content-Encoding", "gzip"),))],
)
def test_what_is_not_read(kind: str, headers: tuple[tuple[str, str], ...]) -> None:
    assert content(b"{}", kind, *headers) is None


def test_chunks_are_put_together_and_half_a_body_is_none() -> None:
    request = build_request("POST", "/", [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")])
    assert read_content(request, b'3\r\n{"a\r\n5\r\n": 1}\r\n0\r\n\r\n') == {"a": "1"}
    assert read_content(request, b'3\r\n{"a\r\n5\r\n": 1}\r\n') is None
    assert read_content(request, b"x\r\n") is None


def test_lone_surrogates_are_replaced_and_pairs_are_put_together() -> None:
    found = content(b'{"a": "x\\ud800y", "b": "\\ud83d\\ude00", "c": ["\\udfff", 1]}')
    assert [find_text(found, f"/{name}") for name in "abc"] == ["x\ufffdy", "\U0001f600", "\ufffd,1"]


HOSTILE = {
    "empty lists": b"[" + b"[]," * (MIB // 3) + b"[]]",
    "numbers": b"[" + b"11," * (MIB // 3) + b"1]",
    "members": b"{" + b",".join(b'"%x":1' % number for number in range(MIB // 12)) + b"}",
    "objects": b"[" + b'{"a":{}},' * (MIB // 9) + b"1]",
    "nested": b'{"a":' * (MIB // 5),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_body_of_too_many_values_is_not_read(body: bytes) -> None:
    assert content(body) is None


def test_a_form_of_too_many_fields_is_not_read() -> None:
    form = "application/x-www-form-urlencoded"
    assert content(b"&".join(b"%x" % number for number in range(MAX_VALUES + 1)), form) is None
    assert len(content(b"&".join(b"%x" % number for number in range(MAX_VALUES)), form)) == MAX_VALUES


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * (MAX_VALUES // 2 - 2) + b"[]]",
        b"[" + b"11," * (MAX_VALUES - 2) + b"1]",
        b"{" + b",".join(b'"%x":11' % number for number in range(MAX_VALUES - 1)) + b"}",
        b'["' + b"x" * MIB + '\N{GRINNING FACE}"]'.encode(),
    ],
    ids=["lists", "numbers", "members", "text"],
)
def test_what_parsing_makes_of_a_mebibyte_is_bounded(body: bytes) -> None:
    tracemalloc.start()
    try:
        assert read_json(body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * MIB
