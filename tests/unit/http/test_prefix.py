"""Answers from behind a stripped prefix: which places get it back, and which are nobody's business."""

from __future__ import annotations

import pytest

from gateway.http.head_reader import HeadReader
from gateway.http.prefix import Prefix
from gateway.http.response import ResponseReader


def prefix(*fields: bytes, host: bytes = b"Shop.example:8080", is_trusted: bool = False) -> Prefix:
    head = b"\r\n".join([b"GET /A/x HTTP/1.1", b"Host: " + host, *fields, b"", b""])
    return Prefix(b"/A", HeadReader("x-gray-tag").read(head), is_trusted)


@pytest.mark.parametrize(
    ("url", "restored"),
    [
        (b"/x", b"/A/x"),
        (b"/", b"/A/"),
        (b"/x?y#z", b"/A/x?y#z"),
        (b"/AB", b"/A/AB"),
        (b"/x/../y", b"/A/x/../y"),
        (b"http://shop.example:8080/x", b"http://shop.example:8080/A/x"),
        (b"HTTPS://SHOP.example.:8080/x", b"HTTPS://SHOP.example.:8080/A/x"),
        (b"http://shop.example:8080", b"http://shop.example:8080/A/"),
        (b"http://shop.example:8080?y", b"http://shop.example:8080/A/?y"),
    ],
)
def test_the_services_own_places_get_the_prefix(url: bytes, restored: bytes) -> None:
    assert prefix().url(url) == restored


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(b"/A/x", id="has it already"),
        pytest.param(b"/A", id="is it already"),
        pytest.param(b"/A?y", id="has it before a query"),
        pytest.param(b"http://shop.example:8080/A/x", id="URL that has it already"),
        pytest.param(b"//evil.example/x", id="another host, without a scheme"),
        pytest.param(b"//shop.example:8080/x", id="the host, without a scheme"),
        pytest.param(b"/\\evil.example/x", id="another host, as browsers read it"),
        pytest.param(b"http://evil.example/x", id="another host"),
        pytest.param(b"http://shop.example/x", id="another port"),
        pytest.param(b"http://shop.example:8080@evil.example/x", id="another host behind a user"),
        pytest.param(b"http://shop.example:8080\\@evil.example/x", id="another host behind a backslash"),
        pytest.param(b"http:/x", id="no authority"),
        pytest.param(b"http:///x", id="an empty one"),
        pytest.param(b"x/y", id="relative"),
        pytest.param(b"../x", id="relative, upward"),
        pytest.param(b"?y", id="a query"),
        pytest.param(b"#z", id="a fragment"),
        pytest.param(b"", id="empty"),
        pytest.param(b"mailto:a@shop.example", id="no http"),
    ],
)
def test_everything_else_stays(url: bytes) -> None:
    assert prefix().url(url) is url


@pytest.mark.parametrize(
    "host", [b"shop.example", b"shop.example:80", b"shop.example:443", b"SHOP.EXAMPLE.", b"shop.example:"]
)
@pytest.mark.parametrize(
    "url", [b"http://shop.example", b"http://shop.example:80", b"https://shop.example:443", b"https://shop.example."]
)
def test_default_ports_go_without_saying(host: bytes, url: bytes) -> None:
    assert prefix(host=host).url(url + b"/x") == url + b"/A/x"


def test_a_trusted_proxys_host_is_the_clients_too() -> None:
    field = b"X-Forwarded-Host: www.example, shop.example"
    url = b"https://www.example/x"
    assert prefix(field, is_trusted=True).url(url) == b"https://www.example/A/x"
    assert prefix(field).url(url) is url


def test_a_service_that_answers_with_the_whole_prefix_itself_gets_none() -> None:
    behind = prefix(b"X-Forwarded-Prefix: /outer", is_trusted=True)
    assert behind.url(b"/outer/A/x") == b"/outer/A/x"
    assert behind.url(b"/outer/x") == b"/A/outer/x"
    assert behind.cookie(b"a=b; Path=/outer/A") == b"a=b; Path=/outer/A"
    assert prefix(b"X-Forwarded-Prefix: /outer").url(b"/outer/A/x") == b"/A/outer/A/x"


@pytest.mark.parametrize(
    ("value", "restored"),
    [
        (b"5; url=/x", b"5; url=/A/x"),
        (b"0;URL='/x'", b"0;URL='/A/x'"),
        (b'1.5 , url = "http://shop.example:8080/x"', b'1.5 , url = "http://shop.example:8080/A/x"'),
        (b"5; url='/A'", b"5; url='/A'"),
        (b"5; url=//evil.example", b"5; url=//evil.example"),
        (b"5; url='/x", b"5; url='/x"),
        (b"5", b"5"),
        (b"5; /x", b"5; /x"),
    ],
)
def test_a_refresh_leads_to_the_clients_place(value: bytes, restored: bytes) -> None:
    assert prefix().refresh(value) == restored


@pytest.mark.parametrize(
    ("cookie", "restored"),
    [
        (b" a=b; Path=/", b" a=b; Path=/A"),
        (b"a=b;path=/x;HttpOnly", b"a=b;path=/A/x;HttpOnly"),
        (b"a=b; PATH = /x ; Secure", b"a=b; PATH =/A/x; Secure"),
        (b"a=b; Path=/x; Path=/y", b"a=b; Path=/A/x; Path=/A/y"),
        (b"__Secure-a=b; Secure; Path=/", b"__Secure-a=b; Secure; Path=/A"),
    ],
)
def test_cookies_get_their_path_back(cookie: bytes, restored: bytes) -> None:
    assert prefix().cookie(cookie) == restored


@pytest.mark.parametrize(
    "cookie",
    [
        pytest.param(b"a=b", id="no path: the request's own"),
        pytest.param(b"a=b; Path", id="an empty path, too"),
        pytest.param(b"a=b; Path=x", id="a path that is none, too"),
        pytest.param(b"a=b; Path=/A", id="has the prefix"),
        pytest.param(b"a=b; Path=/A/x", id="lies under it"),
        pytest.param(b"path=/x; HttpOnly", id="a cookie called path"),
        pytest.param(b"__Host-a=b; Secure; Path=/", id="a cookie that must have /"),
    ],
)
def test_other_cookies_stay(cookie: bytes) -> None:
    assert prefix().cookie(cookie) is cookie


def restore(*fields: bytes) -> bytes:
    """The head that is passed on."""
    data = b"\r\n".join([b"HTTP/1.1 302 Found", *fields, b"Content-Length: 2", b"", b"ok"])
    response = ResponseReader().read(data, "GET")
    assert response is not None
    assert response.has_places
    return response.head(data, prefix().restore(response, data))


def test_fields_are_cut_and_written_anew() -> None:
    assert restore(b"location:  /x ", b"Content-Location: /y", b"A: /z", b"Refresh: 0; url=/u") == (
        b"HTTP/1.1 302 Found\r\nA: /z\r\nContent-Length: 2\r\nlocation: /A/x\r\nContent-Location: /A/y\r\n"
        b"Refresh: 0; url=/A/u\r\n\r\n"
    )


def test_what_stays_is_passed_on_as_it_came() -> None:
    fields = [b"Location: //x", b"Content-Location: y", b"Set-Cookie: a=b", b"Set-Cookie: c=d; Path=/A"]
    assert restore(*fields) == b"\r\n".join([b"HTTP/1.1 302 Found", *fields, b"Content-Length: 2", b"", b""])


def test_cookies_keep_their_order() -> None:
    """Of two cookies with one name and path, the last counts."""
    assert restore(b"Set-Cookie: a=1; Path=/", b"X: y", b"set-cookie: a=2; Path=/A") == (
        b"HTTP/1.1 302 Found\r\nX: y\r\nContent-Length: 2\r\n"
        b"Set-Cookie: a=1; Path=/A\r\nset-cookie: a=2; Path=/A\r\n\r\n"
    )


def replaced(outer: bytes, inner: bytes) -> Prefix:
    """The client's prefix, and what the service has in its place."""
    head = b"GET /A/x HTTP/1.1\r\nHost: shop.example\r\n\r\n"
    return Prefix(outer, HeadReader("x-gray-tag").read(head), False, inner)


@pytest.mark.parametrize(
    ("url", "restored"),
    [
        (b"/v2/x", b"/A/x"),
        (b"/v2", b"/A"),
        (b"/v2?y", b"/A?y"),
        (b"http://shop.example/v2/x", b"http://shop.example/A/x"),
        (b"/v22/x", b"/v22/x"),
        (b"/other", b"/other"),
        (b"http://other.example/v2/x", b"http://other.example/v2/x"),
    ],
)
def test_where_a_prefix_was_replaced_only_places_under_it_are_mapped_back(url: bytes, restored: bytes) -> None:
    assert replaced(b"/A", b"/v2").url(url) == restored


def test_a_place_that_loses_its_prefix_never_becomes_another_host() -> None:
    assert replaced(b"/", b"/v2").url(b"/v2//evil.example") == b"/evil.example"
    assert replaced(b"/", b"/v2").url(b"/v2") == b"/"


def test_cookies_of_a_replaced_prefix_are_mapped_back() -> None:
    prefix = replaced(b"/A", b"/v2")
    assert prefix.cookie(b" a=1; Path=/v2/x; Secure") == b" a=1; Path=/A/x; Secure"
    assert prefix.cookie(b" a=1; Path=/") == b" a=1; Path=/"
    assert replaced(b"/", b"/v2").cookie(b" a=1; Path=/v2") == b" a=1; Path=/"
