"""The slow path: a connection has to be made, somebody else is turned to, a service has to be learned first."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from gateway.instance import Instance
from gateway.proxy.upstream import Upstream
from gateway.routing.services import ServiceView, Turns
from tests.support.fakes import FakeTransport, Wired, refused

GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Slow:
    """A listener whose instances have no connection yet."""

    def __init__(self, *instances: Instance) -> None:
        self.wired = Wired()
        if instances:
            view = ServiceView("a", instances, Turns())
            self.wired.router.snapshot = self.wired.router.snapshot.with_service(view)
        self.client, self.here = self.wired.client()

    async def ask(self, data: bytes = GET) -> FakeTransport:
        self.client.data_received(data)
        await self.settle()
        return self.here

    async def settle(self) -> None:
        while self.wired.clients.tasks:
            await asyncio.gather(*self.wired.clients.tasks)
            await asyncio.sleep(0)
        self.wired.turns.settle()

    @property
    def errors(self) -> dict[str, int]:
        return {kind: count for (_, _, kind), count in self.wired.traffic.upstream_errors.items()}


async def test_a_connection_is_made_for_the_request() -> None:
    slow = Slow()
    await slow.ask()
    assert slow.wired.connecting.made == 1
    assert slow.here.written == b""
    assert slow.wired.traffic.in_flight == 1


async def test_a_body_waits_for_it_as_far_as_it_came() -> None:
    slow = Slow()
    slow.client.data_received(POST + b"bo")
    waits = [(slow.here.is_paused, slow.client.deadline == float("inf"))]
    await slow.settle()
    waits.append((slow.here.is_paused, slow.client.deadline == float("inf")))
    assert waits == [(True, True), (False, False)]


@pytest.mark.parametrize(
    ("error", "status", "code", "kind"),
    [
        (ConnectionRefusedError(), 502, b"connect_failed", "connect_error"),
        (TimeoutError(), 502, b"connect_failed", "connect_timeout"),
        (ValueError("a host that is no name"), 502, b"connect_failed", "connect_error"),
        (ssl.SSLError("bad certificate"), 502, b"tls_failed", "tls_error"),
        (refused("SSLV3_ALERT_BAD_CERTIFICATE"), 502, b"tls_failed", "certificate_refused"),
        (refused("SSLV3_ALERT_HANDSHAKE_FAILURE"), 502, b"tls_failed", "tls_error"),
    ],
)
async def test_who_cannot_be_reached_is_502_and_says_why(error: Exception, status: int, code: bytes, kind: str) -> None:
    slow = Slow()
    slow.wired.connecting.error = error
    here = await slow.ask()
    assert here.written.startswith(b"HTTP/1.1 %d " % status)
    assert b'"code": "' + code + b'"' in here.written
    assert slow.wired.address.address.encode() in here.written
    assert slow.errors == {kind: 1}
    assert not here.is_closed  # the request was sound, and the next one may go elsewhere


async def test_another_instance_is_turned_to_and_that_is_counted() -> None:
    slow = Slow(Instance("192.0.2.10", 80), Instance("192.0.2.11", 80))
    make = slow.wired.connecting.create_connection

    async def only_the_second(factory: object, host: str, port: int) -> None:
        if host == "192.0.2.10":
            raise ConnectionRefusedError
        await make(factory, host, port)  # type: ignore[arg-type]

    slow.wired.connecting.create_connection = only_the_second  # type: ignore[method-assign]
    here = await slow.ask(POST + b"body")
    assert here.written == b""
    assert slow.wired.connecting.made == 1
    assert slow.errors == {"connect_error": 1}
    assert slow.wired.traffic.retries == {("a", "connect_error"): 1}


async def test_a_client_that_left_meanwhile_leaves_its_connection_to_the_next_one() -> None:
    slow = Slow()
    slow.client.data_received(GET)
    slow.client.connection_lost(None)
    await slow.settle()
    assert slow.wired.origins.of(slow.wired.address, "a").idle == 1
    assert slow.wired.traffic.in_flight == 0
    assert slow.errors == {}


async def test_a_client_that_left_meanwhile_is_told_of_no_failure() -> None:
    slow = Slow()
    slow.wired.connecting.error = ConnectionRefusedError()
    slow.client.data_received(GET)
    slow.client.connection_lost(None)
    await slow.settle()
    assert slow.here.written == b""
    assert slow.errors == {"connect_error": 1}


@pytest.mark.parametrize("is_stale", [True, False])
async def test_a_kept_connection_that_the_instance_had_closed_is_made_anew_once(is_stale: bool) -> None:
    """A new one that closes without a word is the instance's doing."""
    slow = Slow()
    if is_stale:
        instance, _ = slow.wired.instance()
        instance.served = 1
        slow.client.data_received(GET)
        instance.connection_lost(None)
        await slow.settle()
        assert (slow.here.written, slow.wired.connecting.made) == (b"", 1)
        assert slow.wired.traffic.retries == {("a", "stale"): 1}
        assert slow.errors == {}  # it may close what is idle
    else:
        instance, _ = slow.wired.instance()
        slow.client.data_received(GET)
        instance.connection_lost(None)
        await slow.settle()
        assert b'"code": "upstream_closed"' in slow.here.written
        assert slow.wired.connecting.made == 0
        assert slow.errors == {"closed": 1}


async def test_what_may_have_been_done_is_not_sent_twice() -> None:
    slow = Slow()
    instance, _ = slow.wired.instance()
    instance.served = 1
    slow.client.data_received(POST + b"body")
    instance.connection_lost(None)
    await slow.settle()
    assert b'"code": "upstream_closed"' in slow.here.written
    assert slow.wired.connecting.made == 0


async def test_half_a_head_and_then_nothing_is_told_apart() -> None:
    slow = Slow()
    instance, _ = slow.wired.instance()
    slow.client.data_received(GET)
    instance.data_received(OK[:9])
    instance.connection_lost(None)
    await slow.settle()
    assert b'"code": "upstream_closed"' in slow.here.written
    assert slow.errors == {"closed_in_head": 1}


async def test_who_met_a_stale_connection_gets_one_that_was_never_idle() -> None:
    """The others may be as stale."""
    slow = Slow()
    (_, other), (instance, _) = slow.wired.instance(), slow.wired.instance()
    instance.served = 1
    slow.client.data_received(GET)
    instance.connection_lost(None)
    await slow.settle()
    assert (slow.wired.connecting.made, other.written) == (1, b"")


MANY = tuple(Instance("192.0.2.10", port) for port in range(1, 8))


async def test_a_request_is_tried_on_so_many_instances_and_no_more() -> None:
    """However it fails: the attempts of one request are counted together."""
    slow = Slow(*MANY)
    slow.wired.connecting.error = ConnectionRefusedError()
    here = await slow.ask()
    assert b'"code": "connect_failed"' in here.written
    assert slow.errors == {"connect_error": 3}
    assert slow.wired.traffic.retries == {("a", "connect_error"): 2}


class Judge:
    """Notes what is held against whom."""

    is_off = False

    def __init__(self) -> None:
        self.records: dict[str, int] = {}
        self.heard: list[tuple[str, int, str]] = []

    def failed(self, service: str, instance: Instance, cause: str) -> None:
        self.heard.append((service, instance.port, cause))

    def is_out(self, service: str, instance: Instance) -> bool:
        return False

    def refused(self, service: str, instance: Instance) -> None:
        self.heard.append((service, instance.port, "refused"))


def misses(slow: Slow) -> Judge:
    judge = Judge()
    told: Any = judge
    slow.wired.context.ejector = told
    return judge


async def served_by(slow: Slow) -> Upstream:
    """The connection that the request under way was sent on, once there is one."""
    await slow.settle()
    exchange: Any = slow.client._exchange
    upstream = exchange.upstream
    assert isinstance(upstream, Upstream)
    return upstream


async def test_a_new_connection_that_closes_without_a_word_is_held_against_its_instance_alone() -> None:
    slow = Slow(*MANY)
    judge = misses(slow)
    slow.client.data_received(GET)
    for port in (1, 2):
        upstream = await served_by(slow)
        assert judge.heard == [("a", before, "errors") for before in range(1, port)]
        upstream.connection_lost(None)
    (await served_by(slow)).connection_lost(None)
    slow.wired.turns.settle()
    assert b'"code": "upstream_closed"' in slow.here.written  # the third was the last attempt
    assert judge.heard == [("a", 1, "errors"), ("a", 2, "errors"), ("a", 3, "errors")]


MISDIRECTED = b"HTTP/1.1 421 Misdirected Request\r\nX-Gray-Hop: misdirected\r\nContent-Length: 0\r\n\r\n"
UNAVAILABLE = b"HTTP/1.1 502 Bad Gateway\r\nX-Gray-Hop: unavailable\r\nContent-Length: 4\r\n\r\ngone"


@pytest.mark.parametrize(
    ("refusal", "kind", "held"),
    [(MISDIRECTED, "misdirected", "refused"), (UNAVAILABLE, "unavailable", "unavailable")],
)
@pytest.mark.parametrize("request_", [GET, POST + b"body"], ids=["GET", "POST"])
async def test_what_a_sidecar_refuses_goes_to_another_instance_whatever_its_method(
    request_: bytes, refusal: bytes, kind: str, held: str
) -> None:
    slow = Slow(*MANY[:2])
    judge = misses(slow)
    slow.client.data_received(request_)
    (await served_by(slow)).data_received(refusal)
    second = await served_by(slow)
    assert (slow.here.written, second.owner is slow.wired.origins.of(MANY[1], "a")) == (b"", True)
    second.data_received(OK)
    slow.wired.turns.settle()
    assert slow.here.written == OK
    assert judge.heard == [("a", 1, held)]
    assert slow.errors == {kind: 1}


async def test_what_the_only_sidecar_says_of_its_application_is_the_response() -> None:
    slow = Slow(MANY[0])
    slow.client.data_received(GET)
    (await served_by(slow)).data_received(UNAVAILABLE)
    slow.wired.turns.settle()
    assert slow.here.written == b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\ngone"
    assert slow.wired.traffic.in_flight == 0


async def test_a_refusal_that_is_passed_on_and_malformed_is_502_and_says_what_is_wrong() -> None:
    slow = Slow(MANY[0])
    slow.client.data_received(GET)
    head = UNAVAILABLE.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked").removesuffix(b"gone")
    (await served_by(slow)).data_received(head + b"zz\r\n")
    slow.wired.turns.settle()
    assert slow.here.written.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b'"code": "bad_response"' in slow.here.written
    assert b"a chunk size is not 1 to 16 hexadecimal digits" in slow.here.written
    assert slow.errors == {"unavailable": 1, "bad_response": 1}


async def test_where_the_only_instance_is_somebody_else_nobody_is_there() -> None:
    slow = Slow(MANY[0])
    slow.client.data_received(GET)
    (await served_by(slow)).data_received(MISDIRECTED)
    slow.wired.turns.settle()
    assert slow.here.written.startswith(b"HTTP/1.1 503 ")
    assert b'"code": "no_instances"' in slow.here.written
    detail = b"192.0.2.10:1 is not the intended instance of service a, and there is no other instance"
    assert b'"detail": "' + detail + b'"' in slow.here.written


async def test_a_refusal_with_another_status_is_an_applications_own() -> None:
    """That one may have done something."""
    slow = Slow(*MANY[:2])
    slow.client.data_received(GET)
    (await served_by(slow)).data_received(MISDIRECTED.replace(b"421 Misdirected Request", b"200 OK"))
    slow.wired.turns.settle()
    assert slow.here.written == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
