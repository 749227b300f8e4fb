"""HTTP/1.1 from clients, HTTP/2 to instances: every message comes out as it went in, and nobody suffers for another one."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import h2.errors
import h2.settings
import pytest
import trustme

from gateway.health.ejection import EjectionTerms, Ejector
from gateway.instance import Instance
from gateway.tls.contexts import UpstreamTLS
from gateway.tls.mesh import Secured
from tests.support.bounds import RetryBudget, Timeouts
from tests.support.h2origin import Answer, Call, H2Origin, echo
from tests.support.proxy import Proxy
from tests.support.wait import until

H2C = {"protocol": "h2c"}


@asynccontextmanager
async def served(
    answer: Answer = echo, *, adapt: Callable[[H2Origin], None] = lambda _: None, proxy: Proxy | None = None
) -> AsyncIterator[tuple[Proxy, H2Origin]]:
    """A listener of HTTP/1.1 in front of one instance that speaks HTTP/2."""
    origin = H2Origin(answer)
    adapt(origin)
    await origin.start()
    proxy = proxy or Proxy()
    await proxy.serve(Instance("127.0.0.1", origin.port, metadata=H2C))
    try:
        yield proxy, origin
    finally:
        await proxy.close()
        await origin.close()
    assert (origin.illegal, origin.problems, proxy.traffic.internal_errors) == ([], [], 0)


async def test_a_request_and_its_response() -> None:
    async with served() as (proxy, origin):
        response = await proxy.ask(
            b"POST /A/x?q=%20 HTTP/1.1\r\nHost: Shop.example:80\r\nX-Name: Va lue\r\nX-Name: two\r\nConnection: x-hop\r\n"
            b"X-Hop: 1\r\nTE: trailers\r\nKeep-Alive: 3\r\nContent-Length: 4\r\n\r\nbody"
        )
        assert (response.status, response.body) == (200, b"POST /x?q=%20 body")
        assert response.head.split(b"\r\n")[0] == b"HTTP/1.1 200 OK"
        call = origin.calls[0]
        assert call.headers[:4] == [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "Shop.example:80"),
            (":path", "/x?q=%20"),
        ]
        names = [name for name, _ in call.fields]
        assert [value for name, value in call.fields if name == "x-name"] == ["Va lue", "two"]
        assert call.header("te") == "trailers"
        assert not {"connection", "x-hop", "keep-alive", "host", "transfer-encoding"} & set(names)
        assert (call.header("content-length"), call.header("via")) == ("4", "1.1 gray-gateway")
        assert call.header("x-forwarded-host") == "Shop.example:80"


@pytest.mark.parametrize("size", [0, 1, 70_000, 1_000_000])
async def test_bodies_of_any_size_in_both_directions(size: int) -> None:
    """Larger than every window, so that both have to be opened on the way."""
    body = bytes(range(256)) * (size // 256 + 1)
    async with served() as (proxy, origin):
        for framing in (b"Content-Length: %d" % size, b"Transfer-Encoding: chunked"):
            sent = body[:size]
            if framing.startswith(b"T"):
                pieces = [sent[at : at + 30_000] for at in range(0, size, 30_000)]
                coded = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
            else:
                coded = sent
            response = await proxy.ask(b"PUT /A/x HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n" + coded)
            assert (response.status, response.body) == (200, b"PUT /x " + sent)
        assert [call.header("content-length") for call in origin.calls] == [str(size), None]
        assert len(origin.connections) == 1


@pytest.mark.parametrize("status", ["204", "304", "205"])
async def test_responses_without_a_body(status: str) -> None:
    async def answer(call: Call) -> None:
        call.send_headers((":status", status), ("x-name", "value"), ends=True)

    async with served(answer) as (proxy, _):
        client = await proxy.connect()
        for _ in range(2):
            await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
            response = await client.answer()
            assert (response.status, response.header("x-name"), response.body) == (int(status), "value", b"")


async def test_head_has_the_length_and_no_body() -> None:
    async with served() as (proxy, _):
        response = await proxy.ask(b"HEAD /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (response.status, response.header("content-length")) == (200, "8")


async def test_a_length_that_nobody_told_is_told_if_it_is_known_by_then_and_comes_in_chunks_otherwise() -> None:
    async def answer(call: Call) -> None:
        if call.path == "/whole":
            call.connection.h2.send_headers(call.stream, [(":status", "200")])
            await call.send_data(b"abc", ends=True)
        else:
            call.send_headers((":status", "200"))
            await call.send_data(b"abc")
            await call.whole()
            await call.send_data(b"def", ends=True)

    async with served(answer) as (proxy, _):
        whole = await proxy.get("/A/whole")
        assert (whole.header("content-length"), whole.header("transfer-encoding"), whole.body) == ("3", None, b"abc")
        client = await proxy.connect()
        await client.send(b"POST /A/parts HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert (b"Content-Length" in head, b"\r\nTransfer-Encoding: chunked" in head) == (False, True)
        await client.send(b"x")
        assert await client.reader.readuntil(b"0\r\n\r\n") == b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"


async def test_trailers_are_passed_on_but_for_those_that_mean_something_to_a_proxy() -> None:
    async def answer(call: Call) -> None:
        call.send_headers((":status", "200"))
        await call.send_data(b"abc")
        call.send_trailers(("x-checksum", "1"), ("set-cookie", "a=b"), ("x-other", "two words"))

    async with served(answer) as (proxy, _):
        client = await proxy.connect()
        await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\nConnection: close, TE\r\nTE: trailers\r\n\r\n")
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert b"\r\nTransfer-Encoding: chunked" in head
        assert body == b"3\r\nabc\r\n0\r\nx-checksum: 1\r\nx-other: two words\r\n\r\n"


async def test_interim_responses_are_passed_on() -> None:
    async def answer(call: Call) -> None:
        call.connection.h2.send_headers(call.stream, [(":status", "103"), ("link", "</a>")])
        call.connection.flush()
        call.send_headers((":status", "200"), ("content-length", "0"), ends=True)

    async with served(answer) as (proxy, _):
        client = await proxy.connect()
        await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
        first, second = await client.answer(), await client.answer()
        assert (first.status, first.header("link"), second.status) == (103, "</a>", 200)


async def test_a_client_that_expects_100_gets_it_and_the_instance_is_not_asked() -> None:
    async with served() as (proxy, origin):
        client = await proxy.connect()
        await client.send(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.answer()).status == 100
        await client.send(b"ab")
        assert (await client.answer()).body == b"POST /x ab"
        assert origin.calls[0].header("expect") is None


async def test_http_1_0_gets_bare_data_and_the_close() -> None:
    async def answer(call: Call) -> None:
        call.send_headers((":status", "200"))
        await call.send_data(b"abc")
        call.send_trailers(("x-checksum", "1"))

    async with served(answer) as (proxy, _):
        client = await proxy.connect()
        await client.send(b"GET /A/x HTTP/1.0\r\n\r\n")
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert (b"chunked" in head, body) == (False, b"abc")


async def test_an_options_request_for_all_of_the_server_keeps_its_target() -> None:
    async with served() as (proxy, origin):
        response = await proxy.ask(b"OPTIONS http://x/A/y HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (response.status, origin.calls[0].path) == (200, "/y")


# --- one connection for many


async def test_many_requests_at_once_are_on_one_connection() -> None:
    """Those that come before it is open wait for it together."""
    gate = asyncio.Event()

    async def answer(call: Call) -> None:
        await gate.wait()
        await echo(call)

    async with served(answer) as (proxy, origin):
        tasks = [asyncio.create_task(proxy.get(f"/A/{number}")) for number in range(30)]
        await until(lambda: len(origin.calls) == 30)
        address = f"127.0.0.1:{origin.port}"
        assert proxy.origins.statistics() == {address: (1, 0, 0, 0)}
        assert (proxy.origins.requests(), proxy.origins.in_flight(address)) == ({address: 30}, 30)
        gate.set()
        assert {response.body for response in await asyncio.gather(*tasks)} == {
            f"GET /{number} ".encode() for number in range(30)
        }
        assert len(origin.connections) == 1
        await until(lambda: proxy.origins.in_flight(address) == 0)
        await until(lambda: proxy.origins.statistics() == {f"127.0.0.1:{origin.port}": (0, 1, 0, 0)})


async def test_more_than_the_instance_takes_at_once_are_on_further_connections_and_wait_beyond_the_limit() -> None:
    gate = asyncio.Event()

    async def answer(call: Call) -> None:
        await gate.wait()
        await echo(call)

    def few(origin: H2Origin) -> None:
        origin.settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = 2

    proxy = Proxy()
    proxy.connections_per_origin = 2
    async with served(answer, adapt=few, proxy=proxy) as (_, origin):
        tasks = [asyncio.create_task(proxy.get(f"/A/{number}")) for number in range(6)]
        await until(lambda: len(origin.calls) == 4 and len(origin.connections) == 2)
        gate.set()
        assert [response.status for response in await asyncio.gather(*tasks)] == [200] * 6
        assert len(origin.connections) == 2


async def test_a_request_that_gets_no_place_in_time_is_told_so() -> None:
    async def answer(call: Call) -> None:
        await call.whole()

    def few(origin: H2Origin) -> None:
        origin.settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = 1

    proxy = Proxy()
    proxy.connections_per_origin = 1
    proxy.timeouts = Timeouts(connect=0.2)
    async with served(answer, adapt=few, proxy=proxy) as (_, origin):
        first = asyncio.create_task(proxy.get("/A/1"))
        await until(lambda: len(origin.calls) == 1)
        response = await proxy.get("/A/2")
        assert (response.status, b"upstream_busy" in response.body) == (503, True)
        first.cancel()


# --- ends before the end


async def test_what_the_instance_refused_is_sent_again_on_another_connection_whatever_its_method() -> None:
    async def answer(call: Call) -> None:
        if len(origin.connections) == 1 and call.path == "/again":
            await call.whole()
            call.refuse(h2.errors.ErrorCodes.REFUSED_STREAM)
        else:
            await echo(call)

    async with served(answer) as (proxy, origin):
        assert (await proxy.get("/A/first")).status == 200
        response = await proxy.ask(b"POST /A/again HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
        assert (response.status, response.body) == (200, b"POST /again body")
        assert (len(origin.connections), proxy.traffic.retries) == (2, {("a", "refused_stream"): 1})
        assert proxy.traffic.upstream_errors == {}


async def test_an_instance_that_goes_on_refusing_is_at_fault_and_not_ejected() -> None:
    """It is there, and says so: others may have room on their connections."""

    async def answer(call: Call) -> None:
        await call.whole()
        call.refuse(h2.errors.ErrorCodes.REFUSED_STREAM)

    held: list[object] = []
    proxy = Proxy()
    terms = EjectionTerms(connect_failures=1, errors=1, time=10.0, longest=25.0, share=1.0)
    loop = asyncio.get_running_loop()
    proxy.ejector = Ejector(terms, loop.time, loop.call_later, held.append, lambda *told: held.append(told))
    async with served(answer, proxy=proxy) as (_, origin):
        response = await proxy.get("/A/x")
        assert (response.status, b"upstream_busy" in response.body) == (503, True)
        # Once more is no additional load; after that, as often as `retries` allows.
        assert (len(origin.calls), proxy.traffic.retries) == (4, {("a", "refused_stream"): 3})
        assert proxy.traffic.upstream_errors == {("a", "base", "refused_stream"): 1}
        assert (proxy.ejector.records, held) == ({}, [])


async def test_an_instance_that_goes_away_is_left_without_failing_anything() -> None:
    """GOAWAY with the last stream it has processed: what is beyond goes on another connection, what is not is answered here."""
    gate = asyncio.Event()

    async def answer(call: Call) -> None:
        if call.path == "/kept":
            await gate.wait()
        elif len(origin.connections) == 1 and call.path == "/late":
            await call.whole()
            call.connection.h2.close_connection(last_stream_id=1)
            call.connection.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
            call.connection.flush()
            return
        await echo(call)

    async with served(answer) as (proxy, origin):
        kept = asyncio.create_task(proxy.get("/A/kept"))
        await until(lambda: len(origin.calls) == 1)
        late = await proxy.ask(b"POST /A/late HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
        assert (late.status, late.body, len(origin.connections)) == (200, b"POST /late ab", 2)
        gate.set()
        await kept
        await until(lambda: not origin.connections[0].is_open)
        assert origin.connections[1].is_open


async def test_a_reset_ends_one_request_and_nobody_elses() -> None:
    gate = asyncio.Event()

    async def answer(call: Call) -> None:
        if call.path == "/reset":
            call.refuse(h2.errors.ErrorCodes.INTERNAL_ERROR)
            gate.set()
        else:
            await gate.wait()
            await echo(call)

    async with served(answer) as (proxy, origin):
        other = asyncio.create_task(proxy.get("/A/other"))
        await until(lambda: len(origin.calls) == 1)
        reset = await proxy.get("/A/reset")
        assert (reset.status, b"upstream_closed" in reset.body, b"internal_error" in reset.body) == (502, True, True)
        assert ((await other).status, len(origin.connections)) == (200, 1)
        assert proxy.traffic.upstream_errors == {("a", "base", "reset"): 1}


async def test_a_reset_in_the_middle_of_a_body_cuts_the_response_short() -> None:
    async def answer(call: Call) -> None:
        call.send_headers((":status", "200"))
        await call.send_data(b"abc")
        await call.whole()
        call.refuse(h2.errors.ErrorCodes.CANCEL)

    async with served(answer) as (proxy, _):
        client = await proxy.connect()
        await client.send(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        await client.reader.readuntil(b"abc\r\n")
        await client.send(b"x")
        assert await client.rest() == b""
        assert proxy.traffic.upstream_errors == {("a", "base", "truncated"): 1}


async def test_a_response_shorter_than_it_says_is_cut_short() -> None:
    async def answer(call: Call) -> None:
        call.connection.h2.send_headers(call.stream, [(":status", "200"), ("content-length", "10")])
        call.connection.h2.send_data(call.stream, b"abc", end_stream=True)
        call.connection.flush()

    async with served(answer) as (proxy, _):
        response = await proxy.get("/A/x")
        assert (response.status, b"bad_response" in response.body) == (502, True)


async def test_a_response_that_is_none_is_502_and_the_connection_goes_on() -> None:
    async def answer(call: Call) -> None:
        if call.path == "/bad":
            call.connection.h2.config.validate_outbound_headers = False
            call.connection.h2.config.normalize_outbound_headers = False
            call.send_headers((":status", "200"), ("connection", "close"), ends=True)
        else:
            await echo(call)

    async with served(answer) as (proxy, origin):
        bad = await proxy.get("/A/bad")
        assert (bad.status, b"bad_response" in bad.body) == (502, True)
        assert ((await proxy.get("/A/good")).status, len(origin.connections)) == (200, 1)


async def test_a_lost_connection_fails_what_may_have_been_done_and_repeats_what_may_be() -> None:
    async def answer(call: Call) -> None:
        await call.whole()
        if len(origin.connections) == 1 and call.path == "/lost":
            assert call.connection.transport is not None
            call.connection.transport.abort()
        else:
            await echo(call)

    proxy = Proxy()
    proxy.budget = RetryBudget(attempts=1)
    async with served(answer, proxy=proxy) as (_, origin):
        assert (await proxy.get("/A/first")).status == 200
        lost = await proxy.ask(b"POST /A/lost HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
        assert (lost.status, b"upstream_closed" in lost.body) == (502, True)
        assert (await proxy.get("/A/after")).status == 200
        assert len(origin.connections) == 2


async def test_a_client_that_goes_away_cancels_its_request() -> None:
    async def answer(call: Call) -> None:
        await call.whole()

    async with served(answer) as (proxy, origin):
        client = await proxy.connect()
        await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: len(origin.calls) == 1)
        client.close()
        await until(lambda: origin.calls[0].reset == h2.errors.ErrorCodes.CANCEL)
        assert origin.connections[0].is_open


# --- back-pressure


async def test_an_instance_that_does_not_read_stops_its_client_and_nobody_else() -> None:
    async def answer(call: Call) -> None:
        if call.path != "/slow":
            call.connection.h2.acknowledge_received_data(len(await call.whole()), call.stream)
            await echo(call)

    def holds(origin: H2Origin) -> None:
        origin.takes = False
        origin.window = 10_000_000

    async with served(answer, adapt=holds) as (proxy, origin):
        client = await proxy.connect()
        await client.send(b"POST /A/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n")
        sending = asyncio.create_task(client.send(b"a" * 20_000_000))
        await until(lambda: any(downstream.is_paused for downstream in proxy.downstreams))
        response = await proxy.ask(b"POST /A/quick HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
        assert (response.body, len(origin.connections)) == (b"POST /quick ab", 1)
        assert len(origin.calls[0].body) == 65_535
        sending.cancel()


async def test_a_client_that_does_not_read_stops_its_instance_and_nobody_else() -> None:
    async def answer(call: Call) -> None:
        if call.path == "/large":
            call.send_headers((":status", "200"), ("content-length", "50000000"))
            for _ in range(500):
                await call.send_data(b"a" * 100_000)
                sent.append(100_000)
        else:
            await echo(call)

    sent: list[int] = []
    async with served(answer) as (proxy, origin):
        client = await proxy.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(b"GET /A/large HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: any(downstream.writes_paused for downstream in proxy.downstreams))
        seen = -1
        while seen != len(sent):
            seen = len(sent)
            assert (await proxy.get("/A/quick")).status == 200
        assert (sum(sent) < 20_000_000, len(origin.connections)) == (True, 1)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"200" in head
        assert await client.reader.readexactly(50_000_000) == b"a" * 50_000_000


# --- what is spoken


async def test_an_instance_that_was_said_to_speak_http2_and_does_not_gets_http1_at_once(origin: object) -> None:
    from tests.support.origin import Origin

    assert isinstance(origin, Origin)
    proxy = Proxy()
    await proxy.serve(Instance("127.0.0.1", origin.ports["base"], metadata=H2C))
    try:
        responses = await asyncio.gather(*[proxy.get(f"/A/{number}") for number in range(5)])
        assert [response.status for response in responses] == [200] * 5
        assert (proxy.traffic.upstream_errors, origin.illegal) == ({}, 1)
        assert (await proxy.get("/A/again")).body == b"base GET /again"
        assert origin.illegal == 1
    finally:
        await proxy.close()


async def test_where_http2_is_set_an_instance_that_does_not_speak_it_is_not_reached(origin: object) -> None:
    from tests.support.origin import Origin

    assert isinstance(origin, Origin)
    proxy = Proxy()
    await proxy.serve(Instance("127.0.0.1", origin.ports["base"]))
    proxy.origins.secure(Secured(), {"a": "h2c"})
    try:
        response = await proxy.get("/A/x")
        assert (response.status, b"connect_failed" in response.body) == (502, True)
        assert proxy.traffic.upstream_errors == {("a", "base", "not_http2"): 1}
    finally:
        await proxy.close()


@pytest.mark.parametrize("offered", [["h2", "http/1.1"], ["http/1.1"], []])
async def test_in_tls_it_is_agreed_on(offered: list[str], tmp_path: Path) -> None:
    """Whatever the instance offers, the request gets there: on a stream, or on a connection of HTTP/1.1 that is used again."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if offered:
        context.set_alpn_protocols(offered)
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
        writer.close()

    origin = H2Origin()
    server = None
    if "h2" in offered:
        await origin.start(context)
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        origin.port = server.sockets[0].getsockname()[1]
    proxy = Proxy()
    await proxy.serve(Instance("127.0.0.1", origin.port))
    proxy.origins.secure(Secured({"a": UpstreamTLS.load(str(tmp_path / "ca.pem"), "", True, is_multiplexed=True)}))
    try:
        for _ in range(3):
            response = await proxy.get("/A/x")
            assert (response.status, response.body) == (200, b"old" if server else b"GET /x ")
        assert (connections or len(origin.connections), proxy.traffic.upstream_errors) == (1, {})
        if server is None:
            assert origin.calls[0].header(":scheme") == "https"
    finally:
        proxy.origins.retire(f"127.0.0.1:{origin.port}")
        await until(lambda: not any(map(sum, proxy.origins.statistics().values())))
        await proxy.close()
        await origin.close()
        if server is not None:
            server.close()


async def test_an_instance_that_accepts_and_says_nothing_is_a_connection_that_took_too_long() -> None:
    def mute(origin: H2Origin) -> None:
        origin.is_mute = True

    proxy = Proxy()
    proxy.timeouts = Timeouts(connect=0.2)
    async with served(adapt=mute, proxy=proxy) as (_, origin):
        response = await proxy.get("/A/x")
        assert (response.status, b"connect_failed" in response.body) == (502, True)
        assert proxy.traffic.upstream_errors == {("a", "base", "connect_timeout"): 1}
        assert b"HEADERS" not in origin.connections[0].received
        await until(lambda: not origin.connections[0].is_open)


async def test_an_instance_that_is_gone_is_said_goodbye_to_when_its_last_request_is_answered() -> None:
    gate = asyncio.Event()

    async def answer(call: Call) -> None:
        await gate.wait()
        await echo(call)

    async with served(answer) as (proxy, origin):
        task = asyncio.create_task(proxy.get("/A/x"))
        await until(lambda: len(origin.calls) == 1)
        proxy.origins.retire(f"127.0.0.1:{origin.port}")
        assert proxy.origins.statistics() == {f"127.0.0.1:{origin.port}": (0, 0, 1, 0)}
        gate.set()
        assert (await task).status == 200
        await until(lambda: not origin.connections[0].is_open)
        goodbye = origin.connections[0].goodbye
        assert goodbye is not None
        assert goodbye.error_code == h2.errors.ErrorCodes.NO_ERROR


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    proxy = Proxy()
    proxy.timeouts = Timeouts(upstream_idle=0.1)
    async with served(proxy=proxy) as (_, origin):
        assert (await proxy.get("/A/x")).status == 200
        await until(lambda: not origin.connections[0].is_open)
        await until(lambda: proxy.origins.statistics() == {})
        assert (await proxy.get("/A/x")).status == 200


# --- WebSockets


async def test_a_websocket_is_a_stream_where_the_instance_takes_that() -> None:
    async def answer(call: Call) -> None:
        call.send_headers((":status", "200"), ("sec-websocket-protocol", "chat"))
        while not call.is_whole.is_set():
            await call.came.wait()
            call.came.clear()
            data, call.parts = call.body, []
            await call.send_data(data.upper())
        await call.send_data(b"", ends=True)

    def takes(origin: H2Origin) -> None:
        origin.settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1

    async with served(answer, adapt=takes) as (proxy, origin):
        client = await proxy.connect()
        await client.send(
            b"GET /A/chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head  # RFC 6455 §1.3
        assert b"\r\nsec-websocket-protocol: chat\r\n" in head
        for word in (b"hello", b"again"):
            await client.send(word)
            assert await client.reader.readexactly(5) == word.upper()
        call = origin.calls[0]
        assert call.headers[:5] == [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":authority", "x"),
            (":path", "/chat"),
        ]
        assert call.header("sec-websocket-key") is None
        client.writer.write_eof()
        assert await client.rest() == b""


async def test_a_websocket_to_an_instance_without_them_is_refused_and_says_why() -> None:
    async with served() as (proxy, origin):
        client = await proxy.connect()
        await client.send(
            b"GET /A/chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
        )
        response = await client.answer()
        assert (response.status, b"tunnel_unsupported" in response.body, origin.calls) == (501, True, [])
        assert await client.is_open()


async def test_a_head_larger_than_a_response_may_have_is_none() -> None:

    async def answer(call: Call) -> None:
        call.send_headers((":status", "200"), ("x-large", "a" * 70_000), ends=True)

    async with served(answer) as (proxy, _):
        response = await proxy.get("/A/x")
        assert (response.status, b"bad_response" in response.body) == (502, True)
