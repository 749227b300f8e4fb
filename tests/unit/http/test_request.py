"""Request heads: what is accepted and how it is read, what is refused and with which status."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.errors import ProtocolError
from gateway.http.forwarded import FORWARDED_FOR
from gateway.http.forwarding import FAMILIES, FORWARDING
from gateway.http.grammar import field_pattern
from gateway.http.head_reader import HeadReader, build_request
from gateway.http.request import CHUNKED, Request
from gateway.http.response import without

READER = HeadReader("x-gray-tag", target_bytes=16384, header_count=100)
TRUSTING = HeadReader("x-gray-tag", keeps_forwarded=True)


def read(head: bytes, reader: HeadReader = READER) -> Request:
    """The request, or the ProtocolError with which it is refused."""
    return reader.read(head)


def forwarded_fields(request: Request) -> bytes:
    return without(request.head, request.line_end, len(request.head) - 4, request.cuts)


def get(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bool = True) -> bytes:
    lines = [line, b"Host: a.example"] if host else [line]
    return b"\r\n".join([*lines, *fields, b"", b""])


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        pytest.param(get(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400, "bad_framing", id="CL.TE"),
        pytest.param(get(b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400, "bad_framing", id="TE.CL"),
        pytest.param(get(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"), 400, "bad_framing", id="two TE"),
        pytest.param(get(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400, "bad_framing", id="TE twice"),
        pytest.param(get(b"Transfer-Encoding: xchunked"), 501, "unknown_coding", id="unknown coding"),
        pytest.param(get(b'Transfer-Encoding: "chunked"'), 501, "unknown_coding", id="quoted coding"),
        pytest.param(get(b"Transfer-Encoding: \x0bchunked"), 400, "bad_field", id="VT before coding"),
        pytest.param(get(b"Transfer-Encoding: gzip, chunked"), 501, "unknown_coding", id="gzip, chunked"),
        pytest.param(get(b"Transfer-Encoding: chunked, gzip"), 400, "bad_framing", id="chunked not last"),
        pytest.param(get(b"Transfer-Encoding: chunked, chunked"), 400, "bad_framing", id="chunked, chunked"),
        pytest.param(get(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"), 400, "bad_framing", id="TE on 1.0"),
        pytest.param(get(b"Transfer-Encoding:"), 400, "bad_framing", id="TE empty"),
        pytest.param(get(b"Transfer-Encoding: ,"), 400, "bad_framing", id="TE of a comma"),
        pytest.param(get(b"Transfer-Encoding: ,chunked"), 400, "bad_framing", id="TE led by a comma"),
        pytest.param(get(b"Transfer-Encoding: chunked,"), 400, "bad_framing", id="TE ended by a comma"),
        pytest.param(get(b"Transfer-Encoding: gzip,,chunked"), 400, "bad_framing", id="TE with an empty element"),
        pytest.param(get(b"Transfer-Encoding:", b"Transfer-Encoding: chunked"), 400, "bad_framing", id="TE empty, and TE"),
        pytest.param(get(b"Transfer-Encoding : chunked"), 400, "bad_field", id="space before colon"),
        pytest.param(get(b"Transfer-Encoding:\r\n chunked"), 400, "obs_fold", id="folded TE"),
        pytest.param(get(b"Content-Length: 5", b"Content-Length: 5"), 400, "bad_framing", id="CL twice, equal"),
        pytest.param(get(b"Content-Length: 5", b"Content-Length: 6"), 400, "bad_framing", id="CL twice, different"),
        pytest.param(get(b"Content-Length: 5, 5"), 400, "bad_framing", id="CL list"),
        pytest.param(get(b"Content-Length: +5"), 400, "bad_framing", id="CL +5"),
        pytest.param(get(b"Content-Length: -5"), 400, "bad_framing", id="CL -5"),
        pytest.param(get(b"Content-Length: 0x5"), 400, "bad_framing", id="CL hex"),
        pytest.param(get(b"Content-Length: 0_5"), 400, "bad_framing", id="CL underscore"),
        pytest.param(get(b"Content-Length:"), 400, "bad_framing", id="CL empty"),
        pytest.param(get("Content-Length: ٥".encode()), 400, "bad_framing", id="CL other digits"),
        pytest.param(get(b"Content-Length: 18446744073709551621"), 400, "bad_framing", id="CL 2^64+5"),
        pytest.param(get(b"X: a\rb"), 400, "bad_line_end", id="bare CR"),
        pytest.param(b"GET / HTTP/1.1\nHost: a\n\r\n\r\n", 400, "bad_line_end", id="bare LF"),
        pytest.param(get(b"X: a\0b"), 400, "bad_character", id="NUL in value"),
        pytest.param(get(b"X\0: a"), 400, "bad_character", id="NUL in name"),
        pytest.param(get(b"X: a\x01"), 400, "bad_field", id="control in value"),
        pytest.param(get(b"X: a\x7f"), 400, "bad_field", id="DEL in value"),
        pytest.param(get(b"X: a", b" b: c"), 400, "obs_fold", id="obs-fold"),
        pytest.param(b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "obs_fold", id="first field starts with SP"),
        pytest.param(get(b": a"), 400, "bad_field", id="empty name"),
        pytest.param(get(b"X Y: a"), 400, "bad_field", id="space in name"),
        pytest.param(get(b"NoColon"), 400, "bad_field", id="no colon"),
        pytest.param(get(b"X(A): b"), 400, "bad_field", id="non-token name"),
        pytest.param(get(b"X\t: b"), 400, "bad_field", id="TAB before colon"),
        pytest.param(get(host=False), 400, "bad_host", id="no Host"),
        pytest.param(get(b"Host: a.example"), 400, "bad_host", id="two Hosts, equal"),
        pytest.param(get(b"Host: b.example"), 400, "bad_host", id="two Hosts, different"),
        pytest.param(get(b"Host: a,b", host=False), 400, "bad_host", id="Host list"),
        pytest.param(get(b"Host:", host=False), 400, "bad_host", id="Host empty"),
        pytest.param(get(b"Host: ", host=False, line=b"GET / HTTP/1.0"), 400, "bad_host", id="Host empty, HTTP/1.0"),
        pytest.param(get(b"Host: :80", host=False), 400, "bad_host", id="Host of a port"),
        pytest.param(get(b"Host: ..", host=False), 400, "bad_host", id="Host of dots"),
        pytest.param(get(b"Host: a..b", host=False), 400, "bad_host", id="Host with an empty label"),
        pytest.param(get(b"Host: a:65536", host=False), 400, "bad_host", id="Host with no port that there is"),
        pytest.param(get(b"Host: u@a", host=False), 400, "bad_host", id="Host with user"),
        pytest.param(get(b"Host: a/b", host=False), 400, "bad_host", id="Host with path"),
        pytest.param(get(line=b"CONNECT a:443 HTTP/1.1"), 405, "method_refused", id="CONNECT"),
        pytest.param(get(line=b"GET * HTTP/1.1"), 400, "bad_target", id="GET *"),
        pytest.param(get(line=b"GET a HTTP/1.1"), 400, "bad_target", id="target without slash"),
        pytest.param(get(line=b"GET /a#b HTTP/1.1"), 400, "bad_target", id="fragment"),
        pytest.param(get(line=b"GET /?a#b HTTP/1.1"), 400, "bad_target", id="fragment after query"),
        pytest.param(get(line=b"GET /a b HTTP/1.1"), 400, "bad_request_line", id="space in target"),
        pytest.param(get(line=b"GET  / HTTP/1.1"), 400, "bad_request_line", id="two spaces"),
        pytest.param(get(line=b"GET\t/ HTTP/1.1"), 400, "bad_request_line", id="TAB in request line"),
        pytest.param(get(line=b"GET /\x01 HTTP/1.1"), 400, "bad_request_line", id="control in target"),
        pytest.param(get(line=b"GET /\xff HTTP/1.1"), 400, "bad_request_line", id="raw 0xFF in target"),
        pytest.param(get(line=b"G(T / HTTP/1.1"), 400, "bad_request_line", id="bad method"),
        pytest.param(get(line=b"M" * 65 + b" / HTTP/1.1"), 501, "method_too_long", id="long method"),
        pytest.param(get(line=b"GET https://b.example/ HTTP/1.1"), 400, "bad_target", id="https URL on a plain connection"),
        pytest.param(get(line=b"GET ftp://b.example/ HTTP/1.1"), 400, "bad_target", id="another scheme"),
        pytest.param(get(b"Connection: " + b",".join(b"x%d" % number for number in range(101))), 431, "head_too_large", id="101 options"),
        pytest.param(get(*[b"Connection: x"] * 99, b"Connection: a, b"), 431, "head_too_large", id="101 options on 100 lines"),
        pytest.param(get(line=b"GET / HTTP/1.2"), 505, "bad_version", id="HTTP/1.2"),
        pytest.param(get(line=b"GET / HTTP/2.0"), 505, "bad_version", id="HTTP/2.0"),
        pytest.param(get(line=b"GET / HTTP/01.1"), 400, "bad_request_line", id="HTTP/01.1"),
        pytest.param(get(line=b"GET / http/1.1"), 400, "bad_request_line", id="lower-case version"),
        pytest.param(get(line=b"GET /"), 400, "bad_request_line", id="HTTP/0.9"),
        pytest.param(get(line=b"GET /" + b"a" * 16384 + b" HTTP/1.1"), 414, "target_too_long", id="long target"),
        pytest.param(get(b"Expect: 200-ok"), 417, "unknown_expectation", id="unknown expectation"),
        pytest.param(get(line=b"GET /a/../b HTTP/1.1"), 400, "bad_target", id="dot segments"),
        pytest.param(get(line=b"GET /a/%2e%2E/b HTTP/1.1"), 400, "bad_target", id="encoded dot segments"),
        pytest.param(get(line=b"GET /a/..;x/b HTTP/1.1"), 400, "bad_target", id="dot segment with parameter"),
        pytest.param(get(line=b"GET /a%00 HTTP/1.1"), 400, "bad_target", id="encoded NUL"),
        pytest.param(get(line=b"GET /a\\b HTTP/1.1"), 400, "bad_target", id="backslash"),
        pytest.param(get(line=b"GET /a%zz HTTP/1.1"), 400, "bad_target", id="broken escape"),
    ],
)  # fmt: skip
def test_refused(head: bytes, status: int, code: str) -> None:
    with pytest.raises(ProtocolError) as error:
        read(head)
    assert (error.value.failure.status, error.value.failure.code) == (status, code)


@pytest.mark.parametrize(
    ("line", "path", "query"),
    [
        pytest.param(b"GET / HTTP/1.1", "/", b"", id="root"),
        pytest.param(b"GET /A/a?group=gray HTTP/1.1", "/A/a", b"group=gray", id="path and query"),
        pytest.param(b"GET /a? HTTP/1.1", "/a", b"", id="empty query"),
        pytest.param(b"GET /a?b?c=/../d HTTP/1.1", "/a", b"b?c=/../d", id="anything in the query"),
        pytest.param(b"GET //a///b HTTP/1.1", "/a/b", b"", id="repeated slashes count as one"),
        pytest.param(b"GET /%41%2fb%2F HTTP/1.1", "/A%2Fb%2F", b"", id="only unreserved escapes are decoded"),
        pytest.param(b"GET /.well-known/x HTTP/1.1", "/.well-known/x", b"", id="a segment may start with a dot"),
        pytest.param(b"GET /a/...b HTTP/1.1", "/a/...b", b"", id="three dots are a name"),
        pytest.param(b"GET http://b.example:81/x?y HTTP/1.1", "/x", b"y", id="absolute form"),
        pytest.param(b"GET hTTp://b.example:81/x?y HTTP/1.1", "/x", b"y", id="absolute form, the scheme in any case"),
        pytest.param(b"GET http://b.example HTTP/1.1", "/", b"", id="absolute form without a path"),
        pytest.param(b"M" * 64 + b" / HTTP/1.1", "/", b"", id="the longest method"),
        pytest.param(b"OPTIONS * HTTP/1.1", "*", b"", id="OPTIONS *"),
    ],
)
def test_target(line: bytes, path: str, query: bytes) -> None:
    request = read(get(line=line))
    assert (request.path, request.query) == (path, query)


def test_host_is_lower_case_without_port() -> None:
    assert read(get(b"Host: Shop.Example:8080", host=False)).host == "shop.example"
    assert read(get(b"Host: [::1]:8080", host=False)).host == "[::1]"


def test_a_host_with_a_dot_at_its_end_is_the_same_host() -> None:
    request = read(get(b"Host: Shop.Example.:8080", host=False))
    assert (request.host, request.authority) == ("shop.example", b"Shop.Example.:8080")
    assert read(get(line=b"GET / HTTP/1.0", host=False)).host == ""


@pytest.mark.parametrize("scheme", [b"https", b"HTTPS", b"http"])
@pytest.mark.parametrize(
    "reader", [TRUSTING, HeadReader("x-gray-tag", is_secure=True)], ids=["from a trusted peer", "by TLS"]
)
def test_an_https_url_is_taken_where_the_request_is_secure(reader: HeadReader, scheme: bytes) -> None:
    """RFC 9110 §7.4: asked for without TLS, it must be rejected, except from a gateway that is trusted."""
    request = read(get(line=b"GET " + scheme + b"://b.example/x HTTP/1.1"), reader)
    assert (request.host, request.path) == ("b.example", "/x")


def test_absolute_form_replaces_the_host_field() -> None:
    """RFC 9112 §3.2.2: whatever Host says, the target's authority is what is routed by and forwarded."""
    request = read(get(line=b"GET http://b.example/x HTTP/1.1"))
    assert request.host == "b.example"
    assert request.rewrites_host
    assert forwarded_fields(request) == b""


def test_hop_by_hop_and_identity_fields_are_cut() -> None:
    request = read(
        get(
            b"Connection: keep-alive, X-Hop",
            b"Keep-Alive: timeout=5",
            b"X-Hop: 1",
            b"Proxy-Connection: close",
            b"Proxy-Authorization: secret",
            b"TE: trailers",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAA",
            b"X-Forwarded-For: 1.2.3.4",
            b"X-Forwarded-Proto: https",
            b"X-Real-IP: 1.2.3.4",
            b"Forwarded: for=1.2.3.4",
            b"X-Gray-Tag: gray",
            b"x_gray_tag: gray",
            b"x.gray.tag: gray",
            b"Transfer_Encoding: chunked",
            b"X-Keep: yes",
        )
    )
    assert forwarded_fields(request) == b"\r\nHost: a.example\r\nX-Keep: yes"
    assert request.tag == b"gray"
    assert request.body == 0
    assert request.upgrade == b""


def test_a_twin_of_the_tag_header_is_not_a_tag() -> None:
    assert read(get(b"x_gray_tag: gray")).tag == b""


@pytest.mark.parametrize("name", [b"Host", b"Content-Length", b"X-Gray-Tag", b"Cookie", b"X-Forwarded-For", b"Baggage"])
def test_connection_cannot_remove(name: bytes) -> None:
    """CVE-2024-45410: `Connection: x-gray-tag` must not strip what the gateway or the client's session needs."""
    request = read(get(b"Content-Length: 5", b"Cookie: a=b", b"Connection: " + name), TRUSTING)
    assert forwarded_fields(request) == b"\r\nHost: a.example\r\nContent-Length: 5\r\nCookie: a=b"


@pytest.mark.parametrize("name", [*FORWARDING, *(family + b"x" for family in FAMILIES), b"x-gray-whatever"])
def test_what_a_proxy_says_of_a_client_passes_from_trusted_peers_alone(name: bytes) -> None:
    spelled = name.title()
    assert forwarded_fields(read(get(spelled + b": 1"))) == b"\r\nHost: a.example"
    assert forwarded_fields(read(get(spelled + b": 1"), TRUSTING)) == b"\r\nHost: a.example\r\n" + spelled + b": 1"
    # Its twins pass from nobody: a proxy that lets them through lets the client's through.
    for character in b"_.!~":
        twin = name.replace(b"-", b"_").replace(b"_", bytes([character]))
        if twin not in (name, *FORWARDING) and not twin.startswith(tuple(FAMILIES)):
            assert forwarded_fields(read(get(twin + b": 1"))) == b"\r\nHost: a.example"
            assert forwarded_fields(read(get(twin + b": 1"), TRUSTING)) == b"\r\nHost: a.example"


@pytest.mark.parametrize("reader", [READER, TRUSTING], ids=["untrusted", "trusted"])
@pytest.mark.parametrize(
    "name", [b"X-Gray-Explain", b"X-Gray-Debug", b"x_gray_explain", b"X-Gray-Tag", b"Proxy-Authorization"]
)
def test_the_programs_own_fields_go_no_further(name: bytes, reader: HeadReader) -> None:
    assert forwarded_fields(read(get(name + b": 1"), reader)) == b"\r\nHost: a.example"


@pytest.mark.parametrize("reader", [READER, TRUSTING], ids=["untrusted", "trusted"])
@pytest.mark.parametrize(
    "name",
    [b"X-Request-Id", b"X-HTTP-Method-Override", b"X-User", b"X-Gray", b"X-Original-Filename", b"X-Client-Version"],
)
def test_what_a_client_may_say_of_itself_passes(name: bytes, reader: HeadReader) -> None:
    assert forwarded_fields(read(get(name + b": 1"), reader)) == b"\r\nHost: a.example\r\n" + name + b": 1"


def test_a_trusted_peers_forwarding_fields_pass() -> None:
    request = read(get(b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-Proto: https"), TRUSTING)
    assert b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https" in forwarded_fields(request)
    assert request.forwarded is not None
    assert request.forwarded.value(FORWARDED_FOR) == b"1.2.3.4"


@pytest.mark.parametrize(
    ("fields", "line", "keeps"),
    [
        pytest.param([], b"GET / HTTP/1.1", True, id="1.1 stays"),
        pytest.param([b"Connection: close"], b"GET / HTTP/1.1", False, id="1.1 close"),
        pytest.param([b"Connection: close, keep-alive"], b"GET / HTTP/1.1", False, id="close wins"),
        pytest.param([b"Connection: keep-alive, close"], b"GET / HTTP/1.1", False, id="close wins, last"),
        pytest.param([], b"GET / HTTP/1.0", False, id="1.0 closes"),
        pytest.param([b"Connection: Keep-Alive"], b"GET / HTTP/1.0", True, id="1.0 keep-alive"),
    ],
)
def test_keep_alive(fields: list[bytes], line: bytes, keeps: bool) -> None:
    assert read(get(*fields, line=line)).keep_alive is keeps


def test_body_framing() -> None:
    assert read(get(b"Content-Length: 0")).body == 0
    assert read(get(b"Content-Length: 12")).body == 12
    assert read(get(b"Transfer-Encoding: Chunked")).body == CHUNKED
    padded = read(get(b"Content-Length: 05"))
    assert (padded.body, padded.rewrites_length) == (5, True)
    assert b"Content-Length" not in forwarded_fields(padded)


def test_upgrade_only_to_websocket() -> None:
    assert read(get(b"Connection: Upgrade", b"Upgrade: websocket")).upgrade == b"websocket"
    assert read(get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c")).upgrade == b""
    assert read(get(b"Upgrade: websocket")).upgrade == b""


def test_parameters_are_decoded_once_and_the_first_counts() -> None:
    request = read(get(line=b"GET /?a=1&a=2&b=x+y%2541&c&%67roup=gr%C3%A4y&bad=%ff HTTP/1.1"))
    assert request.param("a") == "1"
    assert request.param("b") == "x y%41"
    assert request.param("c") == ""
    assert request.param("group") == "gräy"
    assert request.param("bad") == "�"
    assert request.param("missing") is None


def test_cookies_are_taken_as_sent_and_the_first_counts() -> None:
    request = read(get(b'Cookie: uid=u%201; uid=other; q="quoted"; broken'))
    assert request.cookie("uid") == "u%201"
    assert request.cookie("q") == "quoted"
    assert request.cookie("broken") is None


def test_cookies_may_come_in_several_fields() -> None:
    """Nobody is to send that, and yet what is behind a proxy that turns HTTP/2 into HTTP/1.1 gets it."""
    request = read(get(b"Cookie: a=1; b=2\r\nAccept: *\r\ncookie: c=3; a=4"))
    assert [request.cookie(name) for name in ("a", "b", "c", "d")] == ["1", "2", "3", None]


def test_cookie_names_are_utf_8_and_white_space_around_names_and_values_is_none_of_theirs() -> None:
    request = read(get('Cookie: ключ=да;a =1 ;\tb= "2" '.encode()))
    assert [request.cookie(name) for name in ("ключ", "a", "b")] == ["да", "1", "2"]


def test_header_is_the_first_line_trimmed() -> None:
    request = read(get(b"X-User:  alice \t", b"x-user: bob", b"X-Raw: \xe4"))
    assert request.header(field_pattern(b"x-user")) == "alice"
    assert request.header(field_pattern(b"x-raw")) == "ä"
    assert request.header(field_pattern(b"x-us")) is None


def test_build_reads_as_it_would_arrive() -> None:
    request = build_request("GET", "http://shop.example/A/%c3%a4?group=gray", [("X-User", "älice")])
    assert (request.host, request.path, request.param("group")) == (
        "shop.example",
        "/A/%C3%A4",
        "gray",
    )
    assert request.header(field_pattern(b"x-user")) == "älice"


TARGETS = [
    "/", "/A/a?group=gray", "//A/x", "///", "/A//x", "/A/x//", "/%41/a", "/a%2fb", "/a%2Fb", "/a%zz", "/a%", "/a%00", "/%7Eu", "/A/ä",
    "/商品", "/a?b=ä", "/a b", "/a?b=c d", "/a\tb", "*", "/*", "/..", "/a/../b", "/a/./b", "/a/%2e%2e/b", "/a/..;x/b", "/a/.b", "/...",
    "/a#b", "/a?b#c", "#", "?a=1", "", " ", "a", "a/b", "shop.example/x", "localhost:80", "http://h/a?x=1&y=%41+b", "HTTP://H/a",
    "http://h", "http://h:81?x=1", "http://[::1]:81/a", "http://u@h/a", "http:///a", "http://", "http://h/a#b", "http://h//A/x",
    "http://h/../a", "http://h/ä", "http://h\\a", "ftp://h/", "//h@x/", "/a?b=c?d=/e", "/a?b=%zz", "/a?&&=", "/a\\b", "/a;b=1",
    "/a?x=1;y=2", "/\x7f", "/a\0b", "/a|b", '/a"b', "/{x}", "/a^`b", "/" + "a" * 20_000,
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "get", "TRACE", "PURGE", "G T", ""])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: ascii(target[:30]))
def test_a_request_that_is_built_is_read_as_one_that_arrives(method: str, target: str) -> None:
    """explain, tests of rules and what-ifs speak of the request that the listener would see, or say that it sees none."""

    def outcome(make: Callable[[], Request]) -> object:
        try:
            request = make()
        except ProtocolError as error:
            return error.failure.status, error.failure.code
        return request.method, request.host, request.path, request.query, request.param("x"), request.body

    arrives = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nX-User: alice\r\n\r\n".encode()
    assert outcome(lambda: build_request(method, target, [("X-User", "alice")], reader=READER)) == outcome(
        lambda: read(arrives)
    )


def test_a_url_is_asked_for_as_clients_do() -> None:
    """A client of https speaks of a path, too; a Host that is given is the one asked for, as with curl."""
    for url in ("https://shop.example:8443/A?x=1", "HtTpS://shop.example/A?x=1"):
        request = build_request("GET", url)
        assert (request.host, request.path, request.query) == ("shop.example", "/A", b"x=1")
    request = build_request("GET", "http://127.0.0.1:8080/A", [("hOST", "shop.example")])
    assert (request.host, request.path) == ("shop.example", "/A")
    request = build_request("GET", "/A", host="")
    assert (request.host, request.path, request.version) == ("", "/A", 0)


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [
        ("GET", "/a HTTP/1.1\r\nX-User: alice\r\nY:", []),
        ("GET / HTTP/1.1\r\nX: y\r\nGET", "/", []),
        ("GET", "/", [("X", "a\r\nX-User: alice")]),
        ("GET", "/", [("X: y\nZ", "a")]),
        ("GET", "/\ud800", []),
        ("GET", "/", [("X", "\ud800")]),
    ],
)
def test_nothing_is_smuggled_into_a_request_that_is_built(
    method: str, url: str, headers: list[tuple[str, str]]
) -> None:
    with pytest.raises(ProtocolError) as error:
        build_request(method, url, headers)
    assert (error.value.failure.status, error.value.failure.code) == (400, "bad_field")


def test_bytes_of_a_terminal_that_are_not_utf_8_arrive_as_they_are() -> None:
    request = build_request("GET", "/", [("X-User", b"\xe4lice".decode("utf-8", "surrogateescape"))])
    assert request.header(field_pattern(b"x-user")) == "älice"


SOUND = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


OTHER = SOUND.replace(b"0af7", b"1af7")
NO_TRACE = b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        pytest.param([SOUND], SOUND, id="alone"),
        pytest.param([SOUND, SOUND], SOUND, id="twice"),
        pytest.param([SOUND, b"nonsense"], SOUND, id="before a malformed one"),
        pytest.param([b"nonsense", SOUND, NO_TRACE], SOUND, id="among unsound ones"),
        pytest.param([SOUND, OTHER], b"", id="before another: nobody knows which is the caller's"),
        pytest.param([SOUND, SOUND, OTHER], b"", id="twice before another"),
        pytest.param([b"nonsense"], b"", id="malformed"),
        pytest.param([NO_TRACE], b"", id="all zero"),
        pytest.param([b""], b"", id="empty"),
        pytest.param([], b"", id="none"),
    ],
)
def test_one_sound_traceparent_goes_on_and_tracestate_with_it_alone(lines: list[bytes], kept: bytes) -> None:
    """W3C Trace Context §3.3: who cannot read traceparent does not read tracestate; it belongs to another trace."""
    states = [b"tracestate: a=1", b"TraceState: b=2"]
    fields = [states[0], *(b"Traceparent: " + line for line in lines), states[1], b"X: y"]
    request = read(get(*fields))
    assert request.traceparent == kept
    expected = [states[0], b"Traceparent: " + kept, states[1], b"X: y"] if kept else [b"X: y"]
    assert forwarded_fields(request) == b"".join(b"\r\n" + line for line in [b"Host: a.example", *expected])


def test_what_a_connection_names_is_cut_wherever_it_stands() -> None:
    names = [b"X-%d" % number for number in range(40)]
    fields = [name + b": 1" for name in names]
    request = read(get(*fields[:20], b"Connection: close, " + b" ,".join(names).lower(), b"Keep: me", *fields[20:]))
    assert forwarded_fields(request) == b"\r\nHost: a.example\r\nKeep: me"
    assert not request.keep_alive


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ([b"Transfer-Encoding: chunked"] * 2, "Transfer-Encoding says `chunked` more than once"),
        ([b"Transfer-Encoding: chunked, gzip"], "`chunked` is not the last transfer coding"),
        ([b"Transfer-Encoding: identity, chunked"], "Transfer-Encoding says both `identity` and `chunked`"),
        ([b"Transfer-Encoding: ,chunked"], "Transfer-Encoding is empty, or has an empty element"),
        ([b"Transfer-Encoding: gzip, chunked"], "the only transfer coding accepted is `chunked`, alone"),
        ([b"Transfer-Encoding: chunked", b"Content-Length: 5"], "there are both Content-Length and Transfer-Encoding"),
        ([b"Content-Length: 5"] * 2, "there is more than one Content-Length"),
        ([b"Host: b"], "there must be exactly one Host field; there are 2"),
    ],
)
def test_a_refusal_says_what_is_wrong(fields: list[bytes], detail: str) -> None:
    with pytest.raises(ProtocolError) as error:
        read(get(*fields))
    assert error.value.detail == detail


def test_a_request_that_comes_again_shares_nothing_that_is_changed() -> None:
    first = read(get(b"Connection: x-own", b"X-Own: 1", b"baggage: a=1", b"X-Request-Id: abc"))
    again = first.again()
    before = {name: getattr(first, name) for name in Request.__slots__}
    assert {name: getattr(again, name) for name in Request.__slots__} == before
    again.cut_named({b"host"})
    again.traceparent = b"x"
    assert first.cuts == before["cuts"] != again.cuts
    assert first.traceparent == b""


def test_a_request_that_comes_again_says_all_that_a_head_can_say() -> None:
    """Over HTTP/2 every request whose head was seen before is one that comes again."""
    reader = HeadReader("x-gray-tag", keeps_forwarded=True, debug_header="x-gray-debug")
    first = reader.read(
        b"POST http://b.example/x?q=1 HTTP/1.1\r\nHost: a.example\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n"
        b"Content-Length: 05\r\nExpect: 100-continue\r\nX-Gray-Tag: gray\r\nX-Gray-Debug: 1\r\nX-Gray-Hop: gray\r\nX-Gray-Mirror: 1\r\n"
        b"baggage: a=1\r\nX-Request-Id: abc\r\nX-Forwarded-For: 192.0.2.1\r\ngrpc-timeout: 50m\r\n"
        b"TE: trailers\r\nTrailer: x\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"
    )
    first.hide({b"x-own"})
    first.claims = True  # which one that a trusted client has sent does not
    first.version = 2
    said = {name: getattr(first, name) for name in Request.__slots__}
    blank = Request(b"", "GET", b"/", 1)
    later = {
        "span_id",
        "parent_id",
        "permissions",
        "vouched",
        "_before",
        "_cookies",
        "_parameters",
        "_is_grpc",
    }  # worked out, or added by a router
    assert {name for name, value in said.items() if value == getattr(blank, name)} - later == set()
    again = first.again()
    assert {name: getattr(again, name) for name in Request.__slots__} == said


TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("is_traced", [False, True])
def test_a_request_that_comes_again_with_a_trace_is_what_the_whole_head_is(is_traced: bool) -> None:
    reader = HeadReader("x-gray-tag", header_count=4, is_traced=is_traced)
    head = b"GET /x HTTP/1.1\r\nHost: a\r\nx-gray-tag: gray\r\nvia: 2 x\r\n\r\n"
    whole = reader.read(head[:-2] + b"traceparent: " + TRACEPARENT + b"\r\n\r\n")
    first = reader.read(head)
    traced = reader.traced(first, TRACEPARENT)
    assert {name: getattr(traced, name) for name in Request.__slots__} == {
        name: getattr(whole, name) for name in Request.__slots__
    }
    assert (first.traceparent, first.head) == (b"", head)
    more = reader.read(head[:-2] + b"a: b\r\n\r\n")
    with pytest.raises(ProtocolError, match="more than 4 fields"):
        reader.traced(more, TRACEPARENT)


def test_trailers_are_what_is_not_for_the_head() -> None:
    request = read(get(b"Connection: x-hop", b"X-Hop: 1", b"Transfer-Encoding: chunked"))
    request.cut_named({b"x-internal"})
    lines = [
        b"X-Checksum: 1", b"x-hop: 2", b"X-Internal: 1", b"Authorization: Basic eDp5", b"Content_Type: x", b"x-gray-tag: gray",
        b"x.gray.tag: gray", b"X-Forwarded-For: 1.2.3.4", b"Host: b", b"Via: 1.1 x", b"Baggage: a=b", b"grpc-timeout: 1S",
        b"X-Empty:", b"x-checksum: 2",
    ]  # fmt: skip
    trailers = b"".join([b"\r\n" + line for line in lines])
    for reader in (READER, TRUSTING):
        assert reader.read_trailers(request, trailers) == b"\r\nX-Checksum: 1\r\nX-Empty:\r\nx-checksum: 2"
    assert READER.read_trailers(read(get()), b"\r\nX-Hop: 2") == b"\r\nX-Hop: 2"
    assert READER.read_trailers(request, b"") == b""
