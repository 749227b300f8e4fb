"""Active checks: who is asked, what is asked, and how many responses in a row it takes to believe them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientError, web

from gateway.health import probing
from gateway.health.checks import Checks
from gateway.health.probing import new_session, responds_well
from gateway.instance import Instance
from gateway.settings import CheckSettings
from gateway.tls.contexts import UpstreamTLS
from gateway.tls.mesh import Secured
from tests.support.wait import until

CONTEXT = ssl.create_default_context()
ONE, TWO = Instance("192.0.2.1", 80), Instance("192.0.2.2", 80, "gray")


class Asked:
    """Stands in for the network: notes who is asked, and responds as `responses` says; for ever with the last one."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, float]] = []
        self.responses: dict[str, list[bool]] = {}

    async def __call__(
        self, session: Any, service: str, instance: Instance, path: str, timeout: float, tls: Any, fields: Any
    ) -> bool:
        assert session is not None
        assert fields == {"X-Gray-Hop": instance.tag}
        self.asked.append((service, instance.address, path, timeout))
        responses = self.responses.get(instance.address, [True])
        return responses.pop(0) if len(responses) > 1 else responses[0]

    def count(self, instance: Instance) -> int:
        return sum(address == instance.address for _, address, _, _ in self.asked)


class Setup:
    """Checks, whom they ask, and what they tell."""

    def __init__(self, network: Asked) -> None:
        self.network = network
        self.told: list[tuple[str, str, bool]] = []
        self.asked: list[int] = []
        """How often an instance had been asked each time."""
        self.checks = Checks(self)  # type: ignore[arg-type]

    def checked(self, service: str, instance: Instance, passes: bool) -> None:
        self.told.append((service, instance.address, passes))
        self.asked.append(self.network.count(instance))

    def want(self, **check: Any) -> None:
        settings = CheckSettings.model_validate({"path": "/health", "interval": "1ms", "timeout": "7s", **check})
        self.checks.configure({"a": settings}, Secured())

    async def asks(self, *instances: Instance, more: int = 3) -> None:
        """Waits until each was asked a few times more."""
        goals = {instance: self.network.count(instance) + more for instance in instances}
        await until(lambda: all(self.network.count(instance) >= goal for instance, goal in goals.items()))


@pytest.fixture
async def setup(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Setup]:
    network = Asked()
    monkeypatch.setattr(probing, "responds_well", network)
    setup = Setup(network)
    yield setup
    await setup.checks.close()


async def test_only_services_that_want_it_are_asked(setup: Setup) -> None:
    setup.want()
    setup.checks.look_at("a", (ONE,))
    setup.checks.look_at("b", (TWO,))
    await setup.asks(ONE)
    assert set(setup.network.asked) == {("a", ONE.address, "/health", 7.0)}


async def test_a_service_that_was_there_before_is_asked_once_that_is_wanted(setup: Setup) -> None:
    setup.checks.look_at("a", (ONE, TWO))
    setup.want()
    await setup.asks(ONE, TWO)


async def test_who_takes_no_traffic_anyway_is_not_asked(setup: Setup) -> None:
    setup.want()
    off, idle = Instance("192.0.2.3", 80, enabled=False), Instance("192.0.2.4", 80, weight=0.0)
    down = Instance("192.0.2.5", 80, healthy=False)
    setup.checks.look_at("a", (off, idle, down))
    await setup.asks(down)
    assert setup.network.count(off) == setup.network.count(idle) == 0


async def test_it_takes_so_many_failures_in_a_row_to_go_out_and_so_many_passes_to_come_back(setup: Setup) -> None:
    setup.network.responses[ONE.address] = [False, False, True, False, False, False, True, False, True, True, False]
    setup.want(failures=3, passes=2)
    setup.checks.look_at("a", (ONE,))
    await until(lambda: len(setup.told) >= 2)
    assert setup.told[:2] == [("a", ONE.address, False), ("a", ONE.address, True)]
    assert setup.asked[:2] == [6, 10]


async def test_who_has_left_is_not_asked_any_more(setup: Setup) -> None:
    setup.want()
    setup.checks.look_at("a", (ONE, TWO))
    await setup.asks(ONE, TWO)
    setup.checks.look_at("a", (TWO,))
    count = setup.network.count(ONE)
    await setup.asks(TWO)
    assert setup.network.count(ONE) == count
    setup.checks.look_at("a", ())
    assert setup.checks._tasks == {}


async def test_the_same_list_again_begins_nothing_anew(setup: Setup) -> None:
    """An instance is asked by one task, however often its service changes."""
    setup.network.responses[ONE.address] = [False] * 4 + [True]
    setup.want(failures=4, interval="2ms")
    for _ in range(10):
        setup.checks.look_at("a", (ONE,))
        await asyncio.sleep(0)
    await until(lambda: ("a", ONE.address, False) in setup.told)
    assert len(setup.checks._tasks) == 1


async def test_somebody_else_at_an_address_is_asked_for_as_who_it_is(setup: Setup) -> None:
    setup.want()
    setup.checks.look_at("a", (ONE,))
    await setup.asks(ONE)
    other = Instance(ONE.host, ONE.port, "gray")
    setup.checks.look_at("a", (other,))
    await setup.asks(other)  # asked with its own line, or the stand-in fails
    assert len(setup.checks._tasks) == 1


async def test_other_terms_begin_anew_and_everybody_is_fine_until_they_find_otherwise(setup: Setup) -> None:
    setup.network.responses[ONE.address] = [False]
    setup.want(failures=1)
    setup.checks.look_at("a", (ONE,))
    await until(lambda: setup.told)
    setup.told.clear()
    setup.want(failures=1, path="/other")
    assert setup.told == [("a", ONE.address, True)]
    await until(lambda: ("a", ONE.address, "/other", 7.0) in setup.network.asked)


async def test_the_same_terms_change_nothing(setup: Setup) -> None:
    setup.want()
    setup.checks.look_at("a", (ONE,))
    await setup.asks(ONE)
    tasks = dict(setup.checks._tasks)
    setup.want()
    assert setup.checks._tasks == tasks


async def test_who_is_not_checked_any_more_is_fine(setup: Setup) -> None:
    setup.network.responses[ONE.address] = [False]
    setup.want(failures=1)
    setup.checks.look_at("a", (ONE,))
    await until(lambda: setup.told)
    setup.told.clear()
    setup.checks.configure({}, Secured())
    assert setup.told == [("a", ONE.address, True)]
    assert setup.checks._tasks == {}


# --- one question


class Server:
    """A server on loopback that notes what it was asked, and responds with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[tuple[str, str, str | None, str | None, str | None]] = []
        self.is_silent = False

    async def answer(self, request: web.Request) -> web.Response:
        headers = request.headers
        self.requests.append(
            (
                request.method,
                request.path_qs,
                headers.get("Host"),
                headers.get("User-Agent"),
                headers.get("X-Gray-Hop"),
            )
        )
        if self.is_silent:
            await asyncio.sleep(60)
        return web.Response(status=self.status, headers={"Location": "/well"} if self.status == 302 else {})


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, Instance]]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield server, Instance("127.0.0.1", runner.addresses[0][1], "gray")
    await runner.cleanup()


async def well(instance: Instance, path: str = "/health?deep=1", timeout: float = 30.0, hop: str = "") -> bool:
    session = new_session()
    try:
        return await responds_well(
            session, "orders", instance, path, timeout=timeout, tls=None, fields={"X-Gray-Hop": hop}
        )
    finally:
        await session.close()


async def test_an_instance_is_asked_for_the_path_by_the_services_name(server: tuple[Server, Instance]) -> None:
    asked, instance = server
    assert await well(instance, hop="gray")
    assert asked.requests == [("GET", "/health?deep=1", "orders", "gateway-check", "gray")]


@pytest.mark.parametrize(
    ("status", "is_well"), [(200, True), (204, True), (399, True), (400, False), (404, False), (503, False)]
)
async def test_below_400_is_well(server: tuple[Server, Instance], status: int, is_well: bool) -> None:
    asked, instance = server
    asked.status = status
    assert await well(instance) is is_well


async def test_where_it_redirects_to_is_not_asked(server: tuple[Server, Instance]) -> None:
    asked, instance = server
    asked.status = 302
    assert await well(instance)
    assert len(asked.requests) == 1


async def test_who_does_not_respond_in_time_is_not_well(server: tuple[Server, Instance]) -> None:
    asked, instance = server
    asked.is_silent = True
    assert not await well(instance, timeout=0.02)


@pytest.mark.parametrize("host", ["127.0.0.1", "a..b"], ids=["nobody listens", "no name"])
async def test_who_cannot_be_reached_is_not_well(host: str) -> None:
    assert not await well(Instance(host, 9))


@pytest.mark.parametrize(
    ("tls", "terms"),
    [
        (None, ("http://10.0.0.1:80/health", True, None)),
        (UpstreamTLS(CONTEXT, "", (b"", "", True)), ("https://10.0.0.1:80/health", CONTEXT, "10.0.0.1")),
        (
            UpstreamTLS(CONTEXT, "orders.internal", (b"", "", True)),
            ("https://10.0.0.1:80/health", CONTEXT, "orders.internal"),
        ),
    ],
    ids=["plain", "TLS by the host", "TLS by the service's name"],
)
async def test_an_instance_is_asked_under_the_terms_that_requests_have(tls: UpstreamTLS | None, terms: object) -> None:
    class Session:
        asked: object = None

        def get(self, url: str, *, ssl: object, server_hostname: object, **_: object) -> Any:
            self.asked = (url, ssl, server_hostname)
            raise ClientError

    session: Any = Session()
    assert not await responds_well(session, "orders", Instance("10.0.0.1", 80), "/health", timeout=1.0, tls=tls)
    assert session.asked == terms
