"""Compressed responses through sockets: whatever speaks on either side, nothing is lost, late, or taken for whole."""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib
from collections.abc import Callable

import pytest
from backports import zstd

from gateway.instance import Instance
from tests.support.configured import use
from tests.support.h2origin import Call, H2Origin
from tests.support.hostile import answering, started
from tests.support.http2 import GET, SocketClient
from tests.support.origin import Origin
from tests.support.proxy import Answer, Client, Proxy
from tests.support.wait import until

ASKS = b"GET /A/x HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %b\r\n\r\n"
TEXT = b"".join(b"line %d of a text that says much\n" % number for number in range(40))
LARGE = b"".join(random.Random(7).choice((b"alpha ", b"beta ", b"gamma\n")) for _ in range(200_000))
DECODE: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "zstd": zstd.decompress}
both = pytest.mark.parametrize("coding", ["gzip", "zstd"])


def response(body: bytes, *fields: bytes, framing: str = "length", kind: bytes = b"text/plain") -> bytes:
    """What an instance sends."""
    lines = [b"HTTP/1.1 200 OK", b"Content-Type: " + kind, *fields]
    if framing == "length":
        lines.append(b"Content-Length: %d" % len(body))
    if framing == "chunks":
        lines.append(b"Transfer-Encoding: chunked")
        pieces = [body[at : at + 50_000] for at in range(0, len(body), 50_000)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    if framing == "close":
        lines.append(b"Connection: close")
    return b"\r\n".join([*lines, b"", body])


async def ask(proxy: Proxy, coding: str = "gzip", version: bytes = b"1.1") -> Answer:
    return await proxy.ask(ASKS.replace(b"1.1", version) % coding.encode())


@both
@pytest.mark.parametrize("body", [TEXT, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_body_arrives_whatever_tells_its_end(
    proxy: Proxy, origin: Origin, coding: str, body: bytes, framing: str, version: bytes
) -> None:
    use(proxy, {"compress": {}})
    origin.script = answering(
        response(body, b'ETag: "v1"', b"Accept-Ranges: bytes", framing=framing), closes=framing == "close"
    )
    found = await ask(proxy, coding, version)
    assert (found.status, found.header("content-encoding"), found.header("vary")) == (200, coding, "Accept-Encoding")
    assert (found.header("etag"), found.header("accept-ranges")) == ('W/"v1"', None)
    assert DECODE[coding](found.body) == body
    assert len(found.body) < len(body) / 3
    assert proxy.traffic.compressed == {(coding, "before"): len(body), (coding, "after"): len(found.body)}
    assert proxy.context.compressing.taken == 0


@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
async def test_both_connections_serve_the_next_request(proxy: Proxy, origin: Origin, framing: str) -> None:
    use(proxy, {"compress": {}})
    origin.script = answering(response(LARGE, framing=framing), closes=framing == "close")
    client = await proxy.connect()
    for _ in range(3):
        await client.send(ASKS % b"gzip")
        assert gzip.decompress((await client.answer()).body) == LARGE
    assert origin.connections == (3 if framing == "close" else 1)


@both
@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
async def test_clients_of_http2(origin: Origin, coding: str, framing: str) -> None:
    proxy = Proxy()
    async with started(proxy, origin):
        use(proxy, {"compress": {}})
        origin.script = answering(response(LARGE, framing=framing), closes=framing == "close")
        client = await SocketClient().connect(proxy.listener.port)
        fields = [*GET, (b"accept-encoding", coding.encode())]
        for found in await asyncio.gather(*[client.ask(fields) for _ in range(4)]):
            names = dict(found.fields)
            assert (names[b"content-encoding"], names[b"vary"]) == (coding.encode(), b"Accept-Encoding")
            assert b"content-length" not in names
            assert DECODE[coding](found.body) == LARGE
        client.close()


async def test_instances_of_http2_with_bodies_that_need_turns() -> None:
    async def answer(call: Call) -> None:
        call.send_headers((":status", "200"), ("content-type", "text/plain"))
        await call.send_data(LARGE, ends=True)

    origin = H2Origin(answer)
    await origin.start()
    proxy = Proxy()
    await proxy.serve(Instance("127.0.0.1", origin.port, metadata={"protocol": "h2c"}))
    try:
        use(proxy, {"compress": {}})
        for found in await asyncio.gather(*[ask(proxy) for _ in range(3)]):
            assert gzip.decompress(found.body) == LARGE
        assert len(origin.connections) == 1
    finally:
        await proxy.close()
        await origin.close()


async def test_what_an_instance_of_http2_has_sent_arrives_though_there_is_more_to_come() -> None:
    """It has turns, as one of HTTP/1.1 has: what is left of a large piece does not wait for the next one."""
    has_all = asyncio.Event()
    noise = random.Random(3).randbytes(100_000).hex().encode()

    async def answer(call: Call) -> None:
        call.send_headers((":status", "200"), ("content-type", "text/plain"))
        await call.send_data(noise)
        await has_all.wait()
        await call.send_data(b"end", ends=True)

    origin = H2Origin(answer)
    await origin.start()
    proxy = Proxy()
    await proxy.serve(Instance("127.0.0.1", origin.port, metadata={"protocol": "h2c"}))
    try:
        use(proxy, {"compress": {}})
        client = await proxy.connect()
        await client.send(ASKS % b"gzip")
        await client.reader.readuntil(b"\r\n\r\n")
        reader = zlib.decompressobj(31)
        text = b""
        async with asyncio.timeout(30):
            while not reader.eof:
                size = int(await client.reader.readuntil(b"\r\n"), 16)
                text += reader.decompress((await client.reader.readexactly(size + 2))[:-2])
                if len(text) == len(noise):
                    has_all.set()
        assert text == noise + b"end"
    finally:
        await proxy.close()
        await origin.close()


async def test_each_piece_is_there_before_the_next_is_sent(proxy: Proxy, origin: Origin) -> None:
    """A stream of events is not held back for the sake of a better ratio."""
    go_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(3):
            writer.write(b"a\r\ndata: %d..\n\r\n" % number)
            await go_on.wait()
            go_on.clear()
        writer.write(b"0\r\n\r\n")

    origin.script = script
    use(proxy, {"compress": {"types": ["text/*"]}})
    client = await proxy.connect()
    await client.send(ASKS % b"gzip")
    await client.reader.readuntil(b"\r\n\r\n")
    reader = zlib.decompressobj(31)
    for number in range(3):
        text = b""
        async with asyncio.timeout(30):
            while len(text) < 10:
                size = int(await client.reader.readuntil(b"\r\n"), 16)
                text += reader.decompress((await client.reader.readexactly(size + 2))[:-2])
        assert text == b"data: %d..\n" % number
        go_on.set()
    last = await client.reader.readuntil(b"0\r\n\r\n")
    assert last.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_response_that_is_cut_off_does_not_look_whole(
    proxy: Proxy, origin: Origin, framing: str, version: bytes
) -> None:
    use(proxy, {"compress": {}})
    origin.script = answering(response(LARGE, framing=framing)[:-100], closes=True)
    client = await proxy.connect()
    await client.send(ASKS.replace(b"1.1", version) % b"gzip")
    if version == b"1.0":
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(client.reader.read(), 30)
    else:
        assert not (await client.rest()).endswith(b"0\r\n\r\n")
    await until(lambda: proxy.traffic.in_flight == 0)
    assert proxy.context.compressing.taken == 0
    assert {kind for _, _, kind in proxy.traffic.upstream_errors} == {"truncated"}


async def test_a_malformed_body_gets_a_whole_502_that_is_in_no_coding(proxy: Proxy, origin: Origin) -> None:
    use(proxy, {"compress": {}})
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    origin.script = answering(head + b"zz\r\n", closes=False)
    found = await ask(proxy)
    assert (found.status, found.header("content-encoding"), found.header("vary")) == (502, None, None)
    assert b"bad_response" in found.body


@pytest.mark.parametrize(
    ("fields", "kind", "vary"),
    [
        ((b"Content-Encoding: br",), b"text/plain", None),
        ((b"Cache-Control: no-transform",), b"text/plain", None),
        ((), b"image/png", None),
        ((), b"application/grpc", None),
    ],
)
async def test_what_is_not_compressed_comes_to_the_byte(
    proxy: Proxy, origin: Origin, fields: tuple[bytes, ...], kind: bytes, vary: str | None
) -> None:
    use(proxy, {"compress": {}})
    sent = response(TEXT, *fields, kind=kind)
    origin.script = answering(sent, closes=False)
    found = await ask(proxy)
    assert found.head + b"\r\n\r\n" + found.body == sent


async def test_who_gets_it_as_it_is_learns_that_others_do_not(proxy: Proxy, origin: Origin) -> None:
    """Or a cache in front would give it to everybody, or what is compressed to those who cannot read it."""
    use(proxy, {"compress": {}, "response_headers": {"set": {"Vary": "Cookie"}}})
    origin.script = answering(response(TEXT, b'ETag: "v1"'), closes=False)
    found = await ask(proxy, "br")
    assert (found.body, found.header("content-encoding"), found.header("etag")) == (TEXT, None, '"v1"')
    assert found.head.count(b"\r\nVary: ") == 2
    assert b"\r\nVary: Accept-Encoding" in found.head
    assert b"\r\nVary: Accept-Encoding" in (await ask(proxy)).head


async def test_a_head_has_the_length_of_what_is_not_compressed(proxy: Proxy, origin: Origin) -> None:
    use(proxy, {"compress": {}})
    origin.script = answering(response(b"", b"Content-Length: 9000", framing=""), closes=False)
    found = await proxy.ask((ASKS % b"gzip").replace(b"GET", b"HEAD"))
    assert (found.header("content-length"), found.header("vary")) == ("9000", "Accept-Encoding")
    assert found.header("content-encoding") is None


async def test_a_part_is_one_of_what_is_not_compressed(proxy: Proxy, origin: Origin) -> None:
    use(proxy, {"compress": {}})
    part = response(TEXT, b"Content-Range: bytes 0-9/10000").replace(b"200 OK", b"206 Partial Content")
    origin.script = answering(part, closes=False)
    found = await ask(proxy)
    assert (found.status, found.body, found.header("content-encoding")) == (206, TEXT, None)
    assert found.header("vary") == "Accept-Encoding"


async def test_what_is_not_modified_has_the_etag_that_it_had(proxy: Proxy, origin: Origin) -> None:
    use(proxy, {"compress": {}})
    origin.script = answering(b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\n\r\n', closes=False)
    found = await ask(proxy)
    assert (found.status, found.header("etag"), found.header("vary")) == (304, 'W/"v1"', "Accept-Encoding")
    assert (await ask(proxy, "br")).header("etag") == '"v1"'


async def test_beyond_so_many_at_a_time_responses_go_as_they_are(proxy: Proxy, origin: Origin) -> None:
    use(proxy, {"compress": {}})
    origin.script = answering(response(TEXT), closes=False)
    places = proxy.context.compressing
    while places.take():
        pass
    found = await ask(proxy)
    assert (found.body, found.header("vary")) == (TEXT, "Accept-Encoding")
    places.leave()
    assert (await ask(proxy)).header("content-encoding") == "gzip"


async def test_a_client_that_does_not_read_holds_the_instance_back(origin: Origin) -> None:
    """Compressed or not, no more waits here than there may."""
    noise = random.Random(1).randbytes(400_000).hex().encode()
    sent = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % (len(noise) * 20))
        for _ in range(20):
            writer.write(noise)
            await writer.drain()
            sent += 1

    origin.script = script
    proxy = Proxy()
    async with started(proxy, origin):
        use(proxy, {"compress": {}})
        client: Client = await proxy.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(ASKS % b"gzip")
        await until(lambda: any(found.writes_paused for found in proxy.downstreams))
        assert sent < 20
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert gzip.decompress((await client.answer()).body) == noise * 20


async def test_trailers_follow_what_was_compressed_for_http2(origin: Origin) -> None:
    proxy = Proxy()
    async with started(proxy, origin):
        use(proxy, {"compress": {}})
        sent = response(TEXT, b"Trailer: X-Sum", framing="chunks")[:-2] + b"X-Sum: 1\r\nRepr-Digest: a=:b:\r\n\r\n"
        origin.script = answering(sent, closes=False)
        client = await SocketClient().connect(proxy.listener.port)
        found = await client.ask([*GET, (b"accept-encoding", b"gzip")])
        assert gzip.decompress(found.body) == TEXT
        assert found.trailers == [(b"x-sum", b"1")]
        client.close()


async def test_a_route_without_it_compresses_nothing(proxy: Proxy, origin: Origin) -> None:
    use(proxy, {})
    sent = response(TEXT)
    origin.script = answering(sent, closes=False)
    found = await ask(proxy)
    assert found.head + b"\r\n\r\n" + found.body == sent
