"""Which responses are compressed, for whom, and what becomes of their heads."""

from __future__ import annotations

import zlib

import pytest
from backports import zstd

from gateway.http.coders import CODERS, END, FLUSH, NOTHING
from gateway.http.compression import Compression, coded_lines, varies
from gateway.http.head_reader import build_request
from gateway.http.response import Response, ResponseReader

TERMS = Compression(["zstd", "gzip"], ["text/*", "application/json"], 100)


def read(*fields: str, status: int = 200, method: str = "GET") -> tuple[Response, list[bytes]]:
    head = "\r\n".join([f"HTTP/1.1 {status} OK", *fields, "", ""]).encode()
    response = ResponseReader().read(head, method)
    assert response is not None
    return response, [field.encode() for field in fields]


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("GZIP;Q=0.5 , zstd ; q=0.4", "gzip"),
        ("x-gzip", "gzip"),
        ("*", "zstd"),
        ("zstd;q=0, *", "gzip"),
        ("*;q=0", ""),
        ("gzip;q=0", ""),
        ("gzip;q=0.000", ""),
        ("identity, gzip;q=0.5", ""),
        ("identity;q=0.5, gzip", "gzip"),
        ("br", ""),
        ("", ""),
        ("gzip;q=2", ""),
        ("gzip;level=9", ""),
        ("gzip; q=0.1234", ""),
        ("gzipped", ""),
        ("gzip," + " " * 300, ""),
    ],
)
def test_the_client_says_in_which_coding_it_wants_it(accepted: str, coding: str) -> None:
    request = build_request("GET", "/", [("Accept-Encoding", accepted)])
    assert [TERMS.coding_for(request) for _ in range(2)] == [coding] * 2


def test_without_the_field_or_with_no_transform_it_wants_it_as_it_is() -> None:
    assert TERMS.coding_for(build_request("GET", "/")) == ""
    fields = [("Accept-Encoding", "br"), ("Accept-Encoding", "gzip")]
    assert TERMS.coding_for(build_request("GET", "/", fields)) == "gzip"
    assert TERMS.coding_for(build_request("GET", "/", [*fields, ("cache-control", "max-age=0, No-Transform")])) == ""


@pytest.mark.parametrize(
    ("fields", "concerns"),
    [
        (["Content-Type: text/html; charset=utf-8", "Content-Length: 100"], True),
        (["content-type:  Application/JSON"], True),
        (["Content-Type: text/html", "Content-Length: 99"], False),
        (["Content-Type: image/png"], False),
        (["Content-Type: application/grpc+json"], False),
        ([], False),
        (["Content-Type: text/html", "Content-Encoding: br"], False),
        (["Content-Type: text/html", "Content-Encoding: identity"], True),
        (["Content-Type: text/html", "Cache-Control: public, no-transform"], False),
        (["Content-Type: text/html", "Cache-Control: x-no-transform"], True),
    ],
)
def test_which_responses_are_meant(fields: list[str], concerns: bool) -> None:
    assert TERMS.concerns(*read(*fields)) is concerns


def test_a_response_without_a_body_is_none_of_these_but_one_of_304_may_be_about_one() -> None:
    assert not TERMS.concerns(*read("Content-Type: text/html", status=204))
    assert TERMS.concerns(*read('ETag: W/"a"', status=304))
    assert not TERMS.concerns(*read("Content-Type: image/png", status=304))


def test_what_is_said_of_the_bytes_goes_and_the_etag_is_weak() -> None:
    lines = [
        b"Content-Length: 9",
        b'ETag: "x"',
        b"accept-ranges: bytes",
        b"Content-MD5: a",
        b"X-A: 1",
        b"Repr-Digest: b",
    ]
    assert coded_lines(lines, "gzip") == [b'ETag: W/"x"', b"X-A: 1", b"Content-Encoding: gzip"]
    assert coded_lines([b'etag: W/"x"'], "zstd") == [b'etag: W/"x"', b"Content-Encoding: zstd"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"Vary: Accept-Encoding", True),
        (b"vary: origin,accept-encoding", True),
        (b"Vary: *", True),
        (b"Vary: X-Accept-Encoding", False),
        (b"Vary: Origin", False),
        (b"X-Vary: Accept-Encoding", False),
    ],
)
def test_whether_a_response_varies_already(line: bytes, found: bool) -> None:
    assert varies([line]) is found


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_what_was_flushed_can_be_read_at_once(name: str) -> None:
    code = CODERS[name]()
    reader = zlib.decompressobj(31) if name == "gzip" else zstd.ZstdDecompressor()
    assert reader.decompress(code(b"one", FLUSH)) == b"one"
    assert reader.decompress(code(b"two", NOTHING) + code(b"three", FLUSH)) == b"twothree"
    assert reader.decompress(code(b"four", END)) == b"four"
    assert reader.eof
