"""Paths that two readers take for different ones, text that breaks what it is printed in, and loops."""

from __future__ import annotations

import json
import re

import pytest

from gateway.failures import BAD_TARGET
from gateway.instance import Instance
from gateway.proxy.own_responses import error_response
from gateway.routing.routes import Route, RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from tests.support.bounds import Timeouts
from tests.support.hostile import (
    GET,
    assert_closes_if_it_says_so,
    assert_forwarded,
    assert_refused,
    both_ways,
    connect,
    deliver,
    started,
)
from tests.support.origin import Origin
from tests.support.proxy import Answer, Proxy
from tests.support.rules import compiled

CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f-\xff]")
"""What a body of printable ASCII and line ends does not have."""


def get(target: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"


@both_ways
@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"/A/../b", id="row 88: two dots"),
        pytest.param(b"/A/b/..", id="row 88: two dots at the end"),
        pytest.param(b"/../A/x", id="row 88: two dots at the beginning"),
        pytest.param(b"/A/./x", id="row 88: one dot"),
        pytest.param(b"/A/.", id="row 88: one dot at the end"),
        pytest.param(b"/A//../b", id="row 88: two dots behind two slashes"),
        pytest.param(b"http://x/A/../b", id="row 88: two dots in a URL"),
        pytest.param(b"/A/../b?x=y", id="row 88: two dots before a query"),
        pytest.param(b"/A/%2e%2e/b", id="row 89: %2e%2e"),
        pytest.param(b"/A/%2E%2E", id="row 89: %2E%2E at the end"),
        pytest.param(b"/A/.%2e/b", id="row 89: half encoded"),
        pytest.param(b"/A/%2e/b", id="row 89: %2e"),
        pytest.param(b"/A\\..\\b", id="row 89: backslashes and two dots"),
        pytest.param(b"/A\\b", id="row 89: backslash"),
        pytest.param(b"\\A\\b", id="row 89: backslash at the beginning"),
        pytest.param(b"/A/..;/b", id="row 90: ..;"),
        pytest.param(b"/A/..;x=1/b", id="row 90: ..;x=1"),
        pytest.param(b"/A/.;/b", id="row 90: .;"),
        pytest.param(b"/A/%2e%2e;/b", id="row 90: %2e%2e;"),
        pytest.param(b"/A/..;", id="row 90: ..; at the end"),
        pytest.param(b"/A/%00", id="row 91: %00"),
        pytest.param(b"/A/x%00.html", id="row 91: %00 before an extension"),
    ],
)
async def test_a_treacherous_path_is_refused(proxy: Proxy, origin: Origin, target: bytes, piece: int) -> None:
    await assert_refused(proxy, origin, get(target), 400, piece)


@both_ways
@pytest.mark.parametrize(
    ("target", "forwarded"),
    [
        pytest.param(b"//A/x", b"/x", id="row 88: two slashes before the prefix"),
        pytest.param(b"/A/x//y", b"/x//y", id="row 88: two slashes"),
        pytest.param(b"/A//x", b"//x", id="row 88: two slashes behind the prefix"),
        pytest.param(b"/A/x?y=/../z", b"/x?y=/../z", id="row 88: two dots in the query"),
        pytest.param(b"/A/...", b"/...", id="row 88: three dots"),
        pytest.param(b"/A/.x", b"/.x", id="row 88: a name with a dot"),
        pytest.param(b"/A/x%2fy", b"/x%2fy", id="row 89: %2f"),
        pytest.param(b"/A/x%5cy", b"/x%5cy", id="row 89: %5c"),
        pytest.param(b"/%41/%78", b"/%78", id="row 89: encoded letters"),
        pytest.param(b"/A/%252e%252e/b", b"/%252e%252e/b", id="row 89: encoded twice"),
        pytest.param(b"/A/x;v=1/y", b"/x;v=1/y", id="row 90: a path parameter"),
        pytest.param(b"/A/x..;v=1", b"/x..;v=1", id="row 90: dots within a segment"),
        pytest.param(b"/A/%0d%0aX:%20y", b"/%0d%0aX:%20y", id="row 91: %0d%0a in the path"),
        pytest.param(b"/A/x?y=%0d%0aX:%20y", b"/x?y=%0d%0aX:%20y", id="row 91: %0d%0a in the query"),
        pytest.param(b"/A/x?y=%00", b"/x?y=%00", id="row 91: %00 in the query"),
        pytest.param(b'/A/"<>{}|^`', b'/"<>{}|^`', id="row 92: in the path"),
        pytest.param(b'/A/x?y="<>{}|^`', b'/x?y="<>{}|^`', id="row 92: in the query"),
    ],
)
async def test_an_odd_target_is_forwarded_unchanged(
    proxy: Proxy, origin: Origin, target: bytes, forwarded: bytes, piece: int
) -> None:
    """Matching works on a normalised copy."""
    await assert_forwarded(proxy, origin, get(target), [b"GET " + forwarded + b" HTTP/1.1", b"Host: x"], piece=piece)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/A%2fx", id="row 89: %2f does not end the prefix"),
        pytest.param("/A%5cx", id="row 89: %5c does not end the prefix"),
        pytest.param("/A;v=1/x", id="row 90: a path parameter is part of its segment"),
        pytest.param("/none/%0d%0aX:%20y", id="row 91: %0d%0a in an error's detail"),
        pytest.param('/none/"<>{}|^`', id="row 92: in an error's detail"),
        pytest.param("/none/%1b[31m", id="row 93: %1b in an error's detail"),
    ],
)
async def test_no_route(proxy: Proxy, origin: Origin, target: str) -> None:
    answer = await proxy.get(target)
    assert (answer.status, answer.header("connection")) == (404, None)
    assert_clean(answer, "no_route")
    assert origin.connections == 0


def assert_clean(answer: Answer, code: str) -> None:
    """The answer is one JSON object on one line, without a control character in it."""
    assert answer.header("content-type") == "application/problem+json"
    assert CONTROL.search(answer.head.replace(b"\r\n", b"")) is None
    assert CONTROL.search(answer.body) is None
    assert answer.body.count(b"\n") == 1
    assert json.loads(answer.body)["code"] == code


@both_ways
@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(get(b"/A/\x1b[31mred"), "bad_request_line", id="row 93: ESC in the target"),
        pytest.param(b"G\x1b[1mT /A/x HTTP/1.1\r\nHost: x\r\n\r\n", "bad_request_line", id="row 93: ESC in the method"),
        pytest.param(GET + b"User-Agent: a\x1b]0;b\x07\r\n\r\n", "bad_field", id="row 93: ESC in User-Agent"),
        pytest.param(b"GET /A/x HTTP/1.1\r\nHost: \x1b[2J\r\n\r\n", "bad_field", id="row 93: ESC in Host"),
        pytest.param(b'GET /A/x HTTP/1.1\r\nHost: x"y\r\n\r\n', "bad_host", id="row 93: a quote in Host"),
    ],
)
async def test_an_error_repeats_no_control_character(
    proxy: Proxy, origin: Origin, data: bytes, code: str, piece: int
) -> None:
    assert_clean(await assert_refused(proxy, origin, data, 400, piece), code)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\x1b[31m", id="row 93: ESC in a detail"),
        pytest.param("a\r\nX: y", id="row 93: a line end in a detail"),
        pytest.param("\x00\x07\x7f\x9b", id="row 93: other control characters in a detail"),
        pytest.param('a"b\\c', id="row 93: a quote in a detail"),
        pytest.param("\u2028grün", id="row 93: a line separator in a detail"),
    ],
)
def test_an_error_response_escapes_what_it_tells(text: str) -> None:
    """Whoever calls it: the text may end on a terminal."""
    head, _, body = error_response(BAD_TARGET, f"the path {text} is odd", None, False).partition(b"\r\n\r\n")
    assert head.count(b"\r\n") == 3
    assert CONTROL.search(body) is None
    assert body.count(b"\n") == 1
    assert json.loads(body)["detail"] == f"the path {text} is odd"


async def test_row_93_a_plain_error_repeats_no_control_character(proxy: Proxy) -> None:
    answer = await proxy.get('/none/%1b[31m%0d%0a"', "Accept: text/plain")
    assert (answer.status, CONTROL.search(answer.body), answer.body.count(b"\n")) == (404, None, 1)


# --- row 94: loops

OWN = b"1.1 gray-gateway"


@both_ways
@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="row 94: none"),
        pytest.param([b"1.0 fred, 1.1 edge (squid)"], id="row 94: other proxies'"),
        pytest.param([b"1.0 fred", b"1.1 edge"], id="row 94: other proxies' on two lines"),
        pytest.param([b"1.1 edge"] * 30, id="row 94: thirty of another proxy"),
        pytest.param([OWN, b"1.0 fred"], id="row 94: our own"),
        pytest.param([OWN] * 20, id="row 94: twenty of our own"),
        pytest.param([b", ".join([OWN] * 20)], id="row 94: twenty of our own on one line"),
    ],
)
async def test_via_is_appended(proxy: Proxy, origin: Origin, values: list[bytes], piece: int) -> None:
    given = b"".join(b"Via: " + value + b"\r\n" for value in values)
    client = await connect(proxy)
    await deliver(client, GET + given + b"\r\n", piece)
    assert (await client.answer()).status == 200
    lines = origin.received[0].partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert [line for line in lines if line[:4].lower() == b"via:"] == [b"Via: " + value for value in [*values, OWN]]
    assert await client.is_open()
    assert origin.illegal == 0


@both_ways
@pytest.mark.parametrize(
    "values",
    [
        pytest.param([OWN] * 21, id="row 94: twenty-one of our own"),
        pytest.param([b", ".join([OWN] * 21)], id="row 94: twenty-one of our own on one line"),
        pytest.param([b"1.0 fred,1.1 gray-gateway" for _ in range(21)], id="row 94: ours behind another's"),
    ],
)
async def test_a_loop_is_detected(proxy: Proxy, origin: Origin, values: list[bytes], piece: int) -> None:
    client = await connect(proxy)
    await deliver(client, GET + b"".join(b"via: " + value + b"\r\n" for value in values) + b"\r\n", piece)
    answer = await client.answer()
    assert (answer.status, b'"code": "loop_detected"' in answer.body) == (508, True)
    assert origin.connections == 0
    await assert_closes_if_it_says_so(client, answer)


async def test_row_94_a_route_to_ourselves_ends(origin: Origin) -> None:
    """The request goes round until it has our name on it too often, and the answer finds its way back."""
    proxy = Proxy()
    proxy.timeouts = Timeouts(connect=0.3)
    proxy.connections_per_origin = 64
    async with started(proxy, origin):
        view = ServiceView("a", [Instance("127.0.0.1", proxy.listener.port)], Turns())
        proxy.router.snapshot = Snapshot(2, compiled([]), RouteTable([Route("/", "a")]), {"a": view})
        answer = await proxy.get("/x")
        assert (answer.status, b'"code": "loop_detected"' in answer.body) == (508, True)
        assert proxy.traffic.exchanges["a"]["base"].statuses[508] >= 21
