"""Fields for one hop, claims about the client, and twins of our own fields: what a client may say, and to whom."""

from __future__ import annotations

import asyncio

import pytest

from gateway.http.forwarding import FAMILIES, FORWARDING
from tests.support.hostile import (
    CHUNKED,
    GET,
    OK,
    POST,
    answering,
    assert_forwarded,
    assert_refused,
    both_ways,
    connect,
    deliver,
    theirs,
)
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

GRAY = b"GET /A/x?group=gray HTTP/1.1\r\nHost: x\r\n"
TAGGED = [b"GET /x?group=gray HTTP/1.1", b"Host: x"]
TAG = [b"x-gray-tag: gray", b"baggage: x-gray-tag=gray"]
PLAIN = [b"GET /x HTTP/1.1", b"Host: x"]
MANY = [b"X-%d" % number for number in range(90)]


def tagged(case: str, *fields: bytes) -> object:
    """A marked request whose fields do not keep the tag from going on, and do not go on themselves."""
    return pytest.param(GRAY + b"".join(field + b"\r\n" for field in fields) + b"\r\n", [*TAGGED, *TAG], id=case)


def dropped(case: str, *fields: bytes) -> object:
    """An unmarked request whose fields do not go on."""
    return pytest.param(GET + b"".join(field + b"\r\n" for field in fields) + b"\r\n", PLAIN, id=case)


def kept(case: str, connection: bytes, *fields: bytes) -> object:
    """An unmarked request of which only the Connection field does not go on."""
    given = b"".join(field + b"\r\n" for field in fields)
    return pytest.param(GET + b"Connection: " + connection + b"\r\n" + given + b"\r\n", [*PLAIN, *fields], id=case)


@both_ways
@pytest.mark.parametrize(
    ("data", "lines"),
    [
        tagged("row 54: the tag's header", b"Connection: x-gray-tag"),
        tagged("row 54: in capitals", b"CONNECTION: X-GRAY-TAG"),
        tagged("row 54: among others", b"Connection: keep-alive, x-gray-tag ,baggage, traceparent"),
        tagged("row 54: on two lines", b"Connection: keep-alive", b"Connection: x-gray-tag, baggage"),
        tagged("row 54: with an upgrade", b"Connection: upgrade, x-gray-tag", b"Upgrade: h2c"),
        tagged("row 54: forwarding fields", b"Connection: x-forwarded-for, x-forwarded-proto, x-forwarded-host, via"),
        dropped("row 54: a nominated field", b"Connection: X-Own", b"X-Own: 1", b"x-own: 2"),
        dropped("row 54: a nominated field that is not there", b"Connection: X-Own"),
        kept("row 55: Host", b"Host"),
        kept("row 55: Cookie", b"cookie", b"Cookie: a=b"),
        kept("row 55: Authorization", b"Authorization", b"Authorization: Basic eDp5"),
        kept("row 55: X-Forwarded-For", b"X-Forwarded-For"),
        kept("row 55: all of them", b"Host, Cookie, X-Forwarded-For, Content-Length", b"Cookie: a=b"),
        dropped("row 54: many nominated fields", b"Connection: " + b",".join(MANY), *(name + b": 1" for name in MANY)),
        dropped("row 56: Keep-Alive", b"Connection: Keep-Alive", b"Keep-Alive: timeout=5"),
        dropped("row 56: Keep-Alive, not nominated", b"Keep-Alive: timeout=5"),
        dropped("row 56: Proxy-Connection", b"Proxy-Connection: keep-alive"),
        dropped("row 56: TE", b"TE: gzip, deflate;q=0.5", b"Connection: TE"),
        kept("row 56: TE: trailers is said anew", b"keep-alive", b"TE: trailers", b"Connection: TE"),
        dropped("row 56: TE, not nominated", b"TE: gzip"),
        dropped("row 56: Proxy-Authorization", b"Proxy-Authorization: Basic eDp5"),
        dropped("row 57: the tag's header", b"x-gray-tag: gray"),
        dropped("row 57: in capitals", b"X-GRAY-TAG: gray"),
        dropped("row 57: repeated", b"x-gray-tag: gray", b"X-Gray-Tag: base", b"x-gray-tag:gray"),
        dropped("row 57: in baggage", b"baggage: x-gray-tag=gray"),
        dropped("row 57: in several baggages", b"Baggage: x-gray-tag=gray", b"BAGGAGE: x-gray-tag=gray;p=1"),
        tagged("row 57: another lane than the rule's", b"x-gray-tag: blue", b"baggage: x-gray-tag=blue"),
        dropped("row 58: x_gray_tag", b"x_gray_tag: gray"),
        dropped("row 58: x.gray.tag", b"x.gray.tag: gray"),
        dropped("row 58: mixed", b"X_Gray-Tag: gray", b"x-gray.tag: gray"),
        dropped(
            "row 58: forwarding fields", b"X_Forwarded_For: 6.6.6.6", b"x.real.ip: 6.6.6.6", b"x_forwarded-host: e"
        ),
        tagged("row 58: beside the tag", b"x_gray_tag: blue"),
        dropped("row 59: X-Forwarded-For", b"X-Forwarded-For: 6.6.6.6", b"x-forwarded-for: 7.7.7.7"),
        dropped("row 59: X-Forwarded-Proto", b"X-Forwarded-Proto: https"),
        dropped("row 59: X-Forwarded-Host", b"X-Forwarded-Host: evil"),
        dropped("row 59: X-Real-IP", b"X-Real-IP: 6.6.6.6"),
        *[dropped(f"row 59: {name.decode()}", name + b": 1") for name in FORWARDING],
        *[dropped(f"row 59: {name.decode()}…", name + b"x: 1") for name in FAMILIES],
        *[
            dropped(f"row 59: {name} itself", f"{name}: 1".encode())
            for name in (
                "X-Forwarded-Port",
                "X-Forwarded-Prefix",
                "X-Forwarded-Ssl",
                "X-Forwarded-Scheme",
                "X-Forwarded-User",
                "X-Forwarded-Server",
                "X-Forwarded-By",
                "X-Forwarded-Client-Cert",
                "CF-Connecting-IP",
                "X-Original-URL",
                "X_Forwarded_Port",
                "x.forwarded.user",
                "True_Client_IP",
                "REMOTE_USER",
                "X!Real!IP",
            )
        ],
        dropped("row 57: own fields", b"X-Gray-Explain: {}", b"X-Gray-Debug: x", b"X-Gray-Hop: 1", b"x_gray_new: 1"),
        kept(
            "row 59: what a client may say",
            b"keep-alive",
            b"X-HTTP-Method-Override: PUT",
            b"X-Request-Id: 1",
            b"X-User: a",
        ),
        dropped("row 59: Forwarded", b"Forwarded: for=6.6.6.6;proto=https;host=evil"),
    ],
)
async def test_what_goes_on(proxy: Proxy, origin: Origin, data: bytes, lines: list[bytes], piece: int) -> None:
    answer = await assert_forwarded(proxy, origin, data, lines, piece=piece)
    assert answer.body.split()[0] == (b"gray" if TAG[0] in lines else b"base")


@both_ways
@pytest.mark.parametrize(
    ("data", "framing", "body"),
    [
        pytest.param(
            POST + b"Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello",
            b"Content-Length: 5",
            b"hello",
            id="row 55: Content-Length",
        ),
        pytest.param(
            CHUNKED[:-2] + b"Connection: Transfer-Encoding\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked",
            b"5\r\nhello\r\n0\r\n\r\n",
            id="row 55: Transfer-Encoding",
        ),
    ],
)
async def test_connection_cannot_take_the_framing_away(
    proxy: Proxy, origin: Origin, data: bytes, framing: bytes, body: bytes, piece: int
) -> None:
    await assert_forwarded(proxy, origin, data, [b"POST /x HTTP/1.1", b"Host: x", framing], body, piece)


@both_ways
@pytest.mark.parametrize(
    "field",
    [
        pytest.param(b"X: a\r\n x-gray-tag: gray", id="row 60: the tag in an obs-fold"),
        pytest.param(b"X: a\rx-gray-tag: gray", id="row 60: the tag behind a bare CR"),
        pytest.param(b"X: a\nx-gray-tag: gray", id="row 60: the tag behind a bare LF"),
        pytest.param(b"X: a\0x-gray-tag: gray", id="row 60: the tag behind a NUL"),
        pytest.param(b"x-gray-tag : gray", id="row 60: the tag with a space before the colon"),
    ],
)
async def test_a_hidden_tag_is_refused(proxy: Proxy, origin: Origin, field: bytes, piece: int) -> None:
    await assert_refused(proxy, origin, GET + field + b"\r\n\r\n", 400, piece)


@both_ways
async def test_row_60_a_tag_in_a_trailer_is_read_by_nobody(proxy: Proxy, origin: Origin, piece: int) -> None:
    data = CHUNKED + b"5\r\nhello\r\n0\r\nx-gray-tag: gray\r\n\r\n"
    lines = [b"POST /x HTTP/1.1", b"Host: x", b"Transfer-Encoding: chunked"]
    answer = await assert_forwarded(proxy, origin, data, lines, b"5\r\nhello\r\n0\r\n\r\n", piece)
    assert answer.body.startswith(b"base")


async def test_row_59_a_trusted_peers_forwarding_fields_are_continued(trusting: Proxy, origin: Origin) -> None:
    await trusting.get("/A/x", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example")
    assert origin.header("x-forwarded-for") == "6.6.6.6, 127.0.0.1"
    assert origin.header("x-forwarded-proto") == "https"
    assert origin.header("x-forwarded-host") == "shop.example"


async def test_row_57_a_trusted_peers_tag_counts(trusting: Proxy, origin: Origin) -> None:
    assert (await trusting.get("/A/x", "x-gray-tag: gray")).body == b"gray GET /x"
    assert theirs(origin.received[0])[0][2:] == TAG


WEBSOCKET = GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@both_ways
async def test_row_61_a_refused_upgrade_is_no_tunnel(proxy: Proxy, origin: Origin, piece: int) -> None:
    """What the client sent ahead is its next request, and judged like any other."""
    heads: list[bytes] = []

    async def no_websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)

    origin.script = no_websocket
    client = await connect(proxy)
    await deliver(client, WEBSOCKET + b"GET /A/y HTTP/1.1\r\nHost: x\r\nx-gray-tag: gray\r\nX: y\r\n\r\n", piece)
    assert [(await client.answer()).body for _ in range(2)] == [b"ok", b"ok"]
    assert await client.is_open()
    assert [theirs(head)[0] for head in heads[:2]] == [
        [*PLAIN, b"Connection: Upgrade", b"Upgrade: websocket"],
        [b"GET /y HTTP/1.1", b"Host: x", b"X: y"],
    ]


async def test_row_61_a_refused_upgrade_does_not_let_a_malformed_request_pass(proxy: Proxy, origin: Origin) -> None:
    origin.script = answering(OK, closes=False)
    client = await proxy.connect()
    await client.send(WEBSOCKET + b"GET /A/y HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n")
    assert (await client.answer()).status == 200
    refused = await client.answer()
    assert (refused.status, refused.header("connection")) == (400, "close")
    assert await client.rest() == b""


async def test_row_61_nothing_enters_a_tunnel_before_the_upstream_has_opened_it(proxy: Proxy, origin: Origin) -> None:
    asked, agreed = asyncio.Event(), asyncio.Event()
    ahead: list[bytes] = []

    async def websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await agreed.wait()
        ahead.append(bytes(reader._buffer))  # type: ignore[attr-defined]
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        writer.write(await reader.readexactly(5))
        await reader.read()

    origin.script = websocket
    client = await proxy.connect()
    await client.send(WEBSOCKET + b"early")
    await asked.wait()
    assert not ahead
    agreed.set()
    assert (await client.answer()).status == 101
    assert await client.reader.readexactly(5) == b"early"
    assert ahead == [b""]
    client.close()
    await until(lambda: origin.lost, "the tunnel to close upstream")
