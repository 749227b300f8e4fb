"""Upstreams that answer in several parts, for this hop only, or not at all."""

from __future__ import annotations

import asyncio

import pytest

from gateway.instance import Instance
from tests.support.hostile import GET, OK, answering, both_ways, reset_transport
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n"


@both_ways
@pytest.mark.parametrize(
    "interim",
    [
        pytest.param(CONTINUE, id="row 79: 100"),
        pytest.param(PROCESSING, id="row 79: 102"),
        pytest.param(HINTS, id="row 79: 103"),
        pytest.param(CONTINUE + HINTS, id="row 79: 100 and 103"),
        pytest.param(HINTS * 20, id="row 79: 103 twenty times"),
    ],
)
async def test_interim_answers_are_forwarded(proxy: Proxy, origin: Origin, interim: bytes, piece: int) -> None:
    """And are followed by exactly one final answer."""
    data = interim + OK
    size = piece or len(data)
    origin.script = answering(*[data[at : at + size] for at in range(0, len(data), size)], closes=False)
    client = await proxy.connect()
    await client.send(GET + b"Connection: close\r\n\r\n")
    assert await client.rest() == interim + HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\nok"
    assert proxy.traffic.exchanges["a"]["base"].statuses == {200: 1}


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(b"Connection: X-Hop\r\nX-Hop: 1\r\nx-hop: 2\r\n", id="row 84: a nominated field"),
        pytest.param(b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\n", id="row 84: nominated beside keep-alive"),
        pytest.param(b"Keep-Alive: timeout=5\r\n", id="row 84: Keep-Alive"),
        pytest.param(b"Proxy-Connection: close\r\n", id="row 84: Proxy-Connection"),
        pytest.param(b"Proxy-Authenticate: Basic\r\n", id="row 84: Proxy-Authenticate"),
        pytest.param(b"TE: trailers\r\n", id="row 84: TE"),
        pytest.param(b"Upgrade: h2c\r\nConnection: Upgrade\r\n", id="row 84: Upgrade"),
        pytest.param(b"Connection: Content-Length\r\n", id="row 84: Content-Length stays"),
    ],
)
async def test_fields_for_one_hop_stay_there(proxy: Proxy, origin: Origin, fields: bytes, closes: bool) -> None:
    """The client's connection is its own matter: it stays, whatever the upstream does with its own."""
    close = b"Connection: close\r\n" if closes else b""
    origin.script = answering(HEAD + close + fields + b"Content-Length: 2\r\n\r\nok", closes=closes)
    client = await proxy.connect()
    for _ in range(2):
        await client.send(GET + b"\r\n")
        answer = await client.answer()
        assert (answer.head.split(b"\r\n"), answer.body) == ([b"HTTP/1.1 200 OK", b"Content-Length: 2"], b"ok")
    assert origin.connections == (2 if closes else 1)


@pytest.mark.parametrize("fault", ["FIN", "RST"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(GET + b"\r\n", id="row 85: GET"),
        pytest.param(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", id="row 85: POST without a body"),
        pytest.param(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", id="row 85: POST"),
        pytest.param(b"PATCH /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", id="row 85: PATCH"),
        pytest.param(b"FOO /A/x HTTP/1.1\r\nHost: x\r\n\r\n", id="row 85: unknown method"),
    ],
)
async def test_a_new_connection_that_closes_without_a_word(
    proxy: Proxy, origin: Origin, data: bytes, fault: str
) -> None:
    """502; what is not idempotent is tried once, even where another instance stands ready."""
    methods: list[bytes] = []

    async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods.append((await reader.readuntil(b"\r\n\r\n")).split(b" ", 1)[0])
        if fault == "RST":
            reset_transport(writer)

    origin.script = closes
    ports = (origin.ports["base"], origin.ports["gray"])
    proxy.router.snapshot = proxy.snapshot([Instance("127.0.0.1", port) for port in ports])
    client = await proxy.connect()
    await client.send(data)
    answer = await client.answer()
    assert (answer.status, b'"code": "upstream_closed"' in answer.body) == (502, True)
    method = data.split(b" ", 1)[0]
    assert methods == ([b"GET", b"GET"] if method == b"GET" else [method])
    origin.script = None
    assert await client.is_open()


@pytest.mark.parametrize("fault", ["FIN", "RST"])
@pytest.mark.parametrize(
    ("method", "status", "seen"),
    [
        pytest.param(b"GET", 200, [b"GET", b"GET", b"GET"], id="row 86: GET is sent again, once"),
        pytest.param(b"POST", 502, [b"GET", b"POST"], id="row 86: POST is not sent again"),
        pytest.param(b"FOO", 502, [b"GET", b"FOO"], id="row 86: an unknown method is not sent again"),
    ],
)
async def test_a_stale_connection(
    proxy: Proxy, origin: Origin, method: bytes, status: int, seen: list[bytes], fault: str
) -> None:
    """The origin closes each connection on its second request, without having said so."""
    methods: list[bytes] = []

    async def one_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods.append((await reader.readuntil(b"\r\n\r\n")).split(b" ", 1)[0])
        writer.write(OK)
        methods.append((await reader.readuntil(b"\r\n\r\n")).split(b" ", 1)[0])
        if fault == "RST":
            reset_transport(writer)

    origin.script = one_answer
    client = await proxy.connect()
    await client.send(GET + b"\r\n")
    assert (await client.answer()).status == 200
    await client.send(method + b" /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert ((await client.answer()).status, methods) == (status, seen)
    assert proxy.traffic.retries == ({("a", "stale"): 1} if status == 200 else {})


async def test_row_86_no_more_than_one_second_try(proxy: Proxy, origin: Origin) -> None:
    requests = 0

    async def only_the_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        while True:
            await reader.readuntil(b"\r\n\r\n")
            requests += 1
            if requests > 1:
                return
            writer.write(OK)

    origin.script = only_the_first
    client = await proxy.connect()
    for status in (200, 502):
        await client.send(GET + b"\r\n")
        assert (await client.answer()).status == status
    assert requests == 3


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"", id="row 87: not a byte"),
        pytest.param(HEAD + b"X: y\r\n", id="row 87: half a head"),
        pytest.param(HINTS, id="row 87: only an interim answer"),
    ],
)
async def test_a_hanging_upstream_is_504(hasty: Proxy, origin: Origin, begun: bytes) -> None:
    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begun)
        await reader.read()

    origin.script = hangs
    client = await hasty.connect()
    await client.send(GET + b"\r\n")
    if begun == HINTS:
        assert (await client.answer()).status == 103
    answer = await client.answer()
    assert (answer.status, b'"code": "response_timeout"' in answer.body) == (504, True)
    await until(lambda: origin.lost == 1, "the upstream connection to close")
    origin.script = None
    assert await client.is_open()


async def test_row_76_an_answer_without_a_length_ends_with_its_connection(proxy: Proxy, origin: Origin) -> None:
    """Here the close is the end. The client gets chunks: it can tell the end from a cut, and keeps its connection."""
    origin.script = answering(HEAD + b"\r\nhello ", b"world")
    client = await proxy.connect()
    for _ in range(2):
        await client.send(GET + b"\r\n")
        answer = await client.answer()
        assert (answer.header("transfer-encoding"), answer.header("connection")) == ("chunked", None)
        assert answer.body == b"hello world"


async def test_row_76_such_an_answer_to_http_1_0_ends_with_the_clients_connection(proxy: Proxy, origin: Origin) -> None:
    origin.script = answering(HEAD + b"\r\nhello ", b"world")
    client = await proxy.connect()
    await client.send(b"GET /A/x HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
    assert await client.rest() == HEAD + b"Connection: close\r\n\r\nhello world"
