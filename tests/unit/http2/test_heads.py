"""Header lists as messages (RFC 9113 §8): what they become in HTTP/1.1, and what is none."""

from __future__ import annotations

import pytest

from gateway.http2.errors import Malformed
from gateway.http2.heads import NO_LENGTH, read_request, read_response, read_trailers
from gateway.http2.hpack import Field

METHOD, SCHEME, PATH, AUTHORITY = (
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":path", b"/x?y"),
    (b":authority", b"a.example"),
)
GET = [METHOD, SCHEME, PATH, AUTHORITY]
CONNECT = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), SCHEME, PATH, AUTHORITY]


def test_a_request_is_what_http_1_1_has_for_it() -> None:
    head = read_request([*GET, (b"accept", b"*/*"), (b"te", b"trailers")])
    assert head.text(True) == b"GET /x?y HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\nte: trailers\r\n\r\n"
    assert head.text(False).endswith(b"\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n")
    assert (head.length, head.is_plain) == (NO_LENGTH, True)


def test_a_body_of_known_length_has_that() -> None:
    head = read_request([*GET, (b"content-length", b"5")])
    assert head.text(False) == head.text(True) == b"GET /x?y HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5\r\n\r\n"
    assert head.length == 5


def test_cookies_are_one_field_and_not_remembered() -> None:
    head = read_request([*GET, (b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2")])
    assert head.lines == b"\r\nx: y\r\ncookie: a=1; b=2"
    assert not head.is_plain
    assert not read_request([*GET, (b"authorization", b"Basic x")]).is_plain


@pytest.mark.parametrize(
    "fields",
    [[*GET, (b"host", b"A.example")], [METHOD, SCHEME, PATH, (b"host", b"A.example")]],
    ids=["both", "only Host"],
)
def test_authority_and_host_are_one(fields: list[Field]) -> None:
    assert read_request(fields).text(True) == b"GET /x?y HTTP/1.1\r\nhost: A.example\r\n\r\n"


def test_an_extended_connect_is_an_upgrade() -> None:
    head = read_request([*CONNECT, (b"sec-websocket-version", b"13"), (b"sec-websocket-key", b"x")])
    assert head.upgrade_text(b"KEY") == (
        b"GET /x?y HTTP/1.1\r\nhost: a.example\r\nsec-websocket-version: 13"
        b"\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: KEY\r\n\r\n"
    )


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([SCHEME, PATH, AUTHORITY], id="no method"),
        pytest.param([METHOD, PATH, AUTHORITY], id="no scheme"),
        pytest.param([METHOD, SCHEME, AUTHORITY], id="no path"),
        pytest.param([METHOD, SCHEME, (b":path", b""), AUTHORITY], id="an empty path"),
        pytest.param([METHOD, SCHEME, (b":path", b"*"), AUTHORITY], id="GET *"),
        pytest.param([METHOD, SCHEME, (b":path", b"http://b/"), AUTHORITY], id="a URL for a path"),
        pytest.param([METHOD, SCHEME, (b":path", b"/ HTTP/1.1\r\nX: y"), AUTHORITY], id="a request line in the path"),
        pytest.param([METHOD, SCHEME, (b":path", b"/a b"), AUTHORITY], id="a space in the path"),
        pytest.param([(b":method", b"GET /y HTTP/1.1\r\nX: y"), SCHEME, PATH], id="a request line in the method"),
        pytest.param([METHOD, (b":scheme", b"ftp"), PATH, AUTHORITY], id="another scheme"),
        pytest.param([*GET, METHOD], id="a method twice"),
        pytest.param([METHOD, (b"a", b"b"), SCHEME, PATH, AUTHORITY], id="a pseudo-field after a field"),
        pytest.param([*GET, (b":status", b"200")], id="a pseudo-field of responses"),
        pytest.param([*GET, (b":other", b"x")], id="a pseudo-field that there is not"),
        pytest.param([*GET, (b":protocol", b"websocket")], id="a protocol without CONNECT"),
        pytest.param([(b":method", b"CONNECT"), SCHEME, PATH, AUTHORITY], id="CONNECT with a path"),
        pytest.param([(b":method", b"CONNECT")], id="CONNECT to nobody"),
        pytest.param([*GET, (b"host", b"b.example")], id="Host and :authority that differ"),
        pytest.param([METHOD, SCHEME, PATH, (b":authority", b"a\tb")], id="white space in :authority"),
        pytest.param([*GET, (b"Accept", b"x")], id="an upper-case name"),
        pytest.param([*GET, (b"", b"x")], id="CVE-2019-9516: an empty name"),
        pytest.param([*GET, (b"a: b\r\nc", b"x")], id="a line in a name"),
        pytest.param([*GET, (b"a:b", b"x")], id="a colon in a name"),
        pytest.param([*GET, (b"a", b"x\r\nb: y")], id="a line in a value"),
        pytest.param([*GET, (b"a", b"x\ny")], id="LF in a value"),
        pytest.param([*GET, (b"a", b"x\0")], id="NUL in a value"),
        pytest.param([*GET, (b"a", b" x")], id="a space before a value"),
        pytest.param([*GET, (b"a", b"x\t")], id="a tab after a value"),
        pytest.param([*GET, (b"connection", b"close")], id="Connection"),
        pytest.param([*GET, (b"transfer-encoding", b"chunked")], id="Transfer-Encoding"),
        pytest.param([*GET, (b"upgrade", b"h2c")], id="Upgrade"),
        pytest.param([*GET, (b"keep-alive", b"5")], id="Keep-Alive"),
        pytest.param([*GET, (b"proxy-connection", b"close")], id="Proxy-Connection"),
        pytest.param([*GET, (b"te", b"gzip")], id="TE"),
        pytest.param([*GET, (b"content-length", b"+5")], id="a length with a sign"),
        pytest.param([*GET, (b"content-length", b"5"), (b"content-length", b"5")], id="two lengths"),
        pytest.param([*GET, (b"content-length", b"1" * 19)], id="an enormous length"),
    ],
)
def test_what_is_no_request(fields: list[Field]) -> None:
    with pytest.raises(Malformed):
        read_request(fields)


def test_a_response_is_what_http_1_1_has_for_it() -> None:
    head = read_response([(b":status", b"200"), (b"a", b"b"), (b"content-length", b"7")])
    assert (head.status, head.length) == (200, 7)
    assert (
        head.text_as(206, b"\r\nx: y") == b"HTTP/1.1 206 Partial Content\r\na: b\r\ncontent-length: 7\r\nx: y\r\n\r\n"
    )


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(b":status", b"99")],
        [(b":status", b"600")],
        [(b":status", b"2e2")],
        [(b":status", b"101")],
        [(b":status", b"200"), METHOD],
        [(b"a", b"b"), (b":status", b"200")],
    ],
)
def test_what_is_no_response(fields: list[Field]) -> None:
    with pytest.raises(Malformed):
        read_response(fields)


def test_trailers_are_lines() -> None:
    assert read_trailers([(b"grpc-status", b"0"), (b"a", b"")]) == b"\r\ngrpc-status: 0\r\na: "
    for field in [(b":status", b"200"), (b"content-length", b"0"), (b"host", b"a"), (b"connection", b"close")]:
        with pytest.raises(Malformed):
            read_trailers([field])
