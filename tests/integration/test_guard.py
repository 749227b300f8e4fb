"""Two locks on each lane: whatever a registry said of an address, a sidecar takes only what is meant for its instance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.health.checks import Checks
from gateway.hop import SIDECAR_KEY
from gateway.instance import Instance
from gateway.release.ports import free_port
from gateway.settings import CheckSettings
from gateway.tags import BASE
from gateway.tls.contexts import Spoken
from tests.support.bounds import RetryBudget
from tests.support.mesh import Mesh
from tests.support.origin import Origin
from tests.support.wait import until

METHODS = pytest.mark.parametrize(
    ("method", "body"), [("GET", b""), ("POST", b"x" * 100)], ids=["GET", "a POST with a body"]
)
GRAY = "/A/x?group=gray"


@pytest.fixture(params=["http1", "h2c"])
async def mesh(request: pytest.FixtureRequest) -> AsyncIterator[Mesh]:
    mesh = Mesh(hop=request.param)
    await mesh.start()
    yield mesh
    await mesh.close()


@METHODS
async def test_a_gray_sidecar_at_a_baseline_address_takes_nothing_unmarked(
    mesh: Mesh, origin: Origin, method: str, body: bytes
) -> None:
    """The registry's list is old: a gray instance took the address of a baseline one. No retry budget is needed."""
    base = await mesh.inbound(origin.ports["base"])
    gray = await mesh.inbound(origin.ports["gray"], "gray")
    mesh.list(base.instance(), gray.instance())
    assert await mesh.ask(method=method, body=body, times=5) == {"200 base"}
    assert [name for name, _, _ in origin.requests] == ["base"] * 5
    assert [received for _, _, received in origin.requests] == [body] * 5
    # Once told, nobody is sent there again.
    assert gray.traffic.started == 1
    assert mesh.traffic.upstream_errors == {("a", "base", "misdirected"): 1}
    assert mesh.traffic.ejections == {("a", "base", "misdirected"): 1}
    assert mesh.traffic.retries == {}


@pytest.mark.parametrize("size", [1000, 60_000, 300_000])
async def test_a_body_that_is_still_coming_goes_on_to_the_right_instance(mesh: Mesh, origin: Origin, size: int) -> None:
    """As much as was kept of it: beyond that the request cannot be sent twice, and says so."""
    base = await mesh.inbound(origin.ports["base"])
    gray = await mesh.inbound(origin.ports["gray"], "gray")
    mesh.list(gray.instance(), base.instance())
    body = bytes(range(256)) * (size // 256 + 1)
    client = await mesh.client()
    await client.send(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body[: size - 10])
    if size < 65536:
        await until(lambda: gray.traffic.started and base.traffic.started, "the request to be turned away")
    try:
        await client.send(body[size - 10 :])
    except ConnectionError:
        assert size > 65536
    answer = await client.answer()
    received = [(name, data) for name, _, data in origin.requests]
    if size < 65536:
        assert (answer.status, received) == (200, [("base", body)])
    elif answer.status == 503:
        assert (b"too long to be resent" in answer.body, received) == (True, [])
    else:
        # It was refused before more than that had gone out.
        assert (answer.status, received) == (200, [("base", body)])


async def test_if_nobody_else_is_there_the_answer_is_503_and_not_gray(mesh: Mesh, origin: Origin) -> None:
    gray = await mesh.inbound(origin.ports["gray"], "gray")
    mesh.list(gray.instance())
    assert await mesh.ask(times=3) == {"503 no_instances"}
    assert origin.requests == []
    # As soon as the registry knows better, so does everybody.
    base = await mesh.inbound(origin.ports["base"])
    mesh.list(base.instance(), gray.instance("gray"))
    assert await mesh.ask(times=3) == {"200 base"}
    assert await mesh.ask(GRAY, times=3) == {"200 gray"}


async def test_a_baseline_sidecar_at_a_gray_address_takes_nothing_marked(mesh: Mesh, origin: Origin) -> None:
    """It reaches the baseline all the same, as what it is: a fallback, with its reason."""
    base = await mesh.inbound(origin.ports["base"])
    was_gray = await mesh.inbound(origin.ports["gray"])
    mesh.list(base.instance(), was_gray.instance("gray"))
    assert await mesh.ask(GRAY, times=3) == {"200 base"}
    assert mesh.traffic.fallbacks == {("a", "gray", "misdirected"): 3}
    assert was_gray.traffic.started == 1


async def test_another_lanes_sidecar_takes_nothing_of_this_lane() -> None:
    origin = Origin()
    await origin.start()
    mesh = Mesh(strict=True)
    await mesh.start()
    blue = await mesh.inbound(origin.ports["gray"], "blue")
    base = await mesh.inbound(origin.ports["base"])
    mesh.list(base.instance(), blue.instance("gray"))
    assert await mesh.ask(GRAY, times=2) == {"503 lane_unavailable"}
    assert origin.requests == []
    await mesh.close()
    await origin.close()


async def test_another_services_sidecar_takes_nothing(mesh: Mesh, origin: Origin) -> None:
    """It is known by the name that its own sidecar registered; a list by hand may call the service otherwise."""
    other = await mesh.inbound(origin.ports["gray"], service="b")
    mine = await mesh.inbound(origin.ports["base"], service="orders")
    mesh.list(other.instance(**{SIDECAR_KEY: "orders"}), mine.instance(**{SIDECAR_KEY: "orders"}))
    assert await mesh.ask(times=4) == {"200 base"}
    mesh.list(other.instance(), mine.instance())
    assert await mesh.ask(times=4) == {"200 gray", "200 base"}


async def test_who_does_not_say_whom_he_means_is_let_through(mesh: Mesh, origin: Origin) -> None:
    gray = await mesh.inbound(origin.ports["gray"], "gray")
    client = await mesh.client(gray.port)
    await client.send(b"GET /probe HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await client.answer()).status == 200


async def test_or_refused_if_the_sidecar_serves_its_mesh_only(mesh: Mesh, origin: Origin) -> None:
    base = await mesh.inbound(origin.ports["base"], admits_all=False)
    client = await mesh.client(base.port)
    await client.send(b"GET /probe HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, b"not_from_mesh" in answer.body) == (403, True)
    assert origin.requests == []
    mesh.list(base.instance())
    assert await mesh.ask() == {"200 base"}


async def test_the_field_reaches_neither_the_application_nor_the_client(mesh: Mesh, origin: Origin) -> None:
    """An application that sends it itself moves nobody: only a sidecar is believed."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 421 No\r\nX-Gray-Hop: misdirected\r\nContent-Length: 4\r\n\r\nmine")
        await reader.read()

    heads: list[bytes] = []
    origin.script = script
    base = await mesh.inbound(origin.ports["base"])
    mesh.list(base.instance())
    client = await mesh.client()
    await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\nX-Gray-Hop: gray\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.body, answer.header("x-gray-hop")) == (421, b"mine", None)
    assert b"gray-hop" not in heads[0].lower()


@pytest.mark.parametrize("line", ["Some-X-Gray-Hop: gray", "Some: X-Gray-Hop: gray", "X-Gray-Hop: gray"])
async def test_no_line_of_a_clients_is_taken_for_the_field(mesh: Mesh, origin: Origin, line: str) -> None:
    """A request that falls back says so in the field itself: its new instance would refuse it, and be out for everybody."""
    base = await mesh.inbound(origin.ports["base"])
    mesh.list(base.instance(), Instance("127.0.0.1", free_port(), "gray"))
    client = await mesh.client()
    await client.send(f"GET {GRAY} HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode())
    assert (await client.answer()).status == 200
    assert mesh.traffic.ejections == {}


@pytest.mark.parametrize(
    ("status", "reason"),
    [("200 OK", "misdirected"), ("502 Bad", "misdirected"), ("421 No", "unavailable"), ("503 No", "unavailable")],
)
async def test_an_answer_is_no_refusal_unless_all_of_it_is(
    mesh: Mesh, origin: Origin, status: str, reason: str
) -> None:
    """An application without a sidecar may say anything; a POST that it has processed is not sent a second time."""
    asked = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nX-Gray-Hop: {reason}\r\nContent-Length: 4\r\n\r\nmine".encode())
        await reader.read()

    origin.script = script
    mesh.list(*(Instance("127.0.0.1", port) for port in origin.ports.values()))
    client = await mesh.client()
    await client.send(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
    answer = await client.answer()
    assert (answer.status, answer.body, asked) == (int(status[:3]), b"mine", 1)


async def test_a_gateway_says_nothing_of_the_instances_behind_it_to_whoever_asks(mesh: Mesh) -> None:
    """Neither a client that sends the field learns anything, nor does a gateway in front take this one for unavailable."""
    mesh.list(Instance("127.0.0.1", free_port()))
    client = await mesh.client()
    await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\nX-Gray-Hop: base\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.header("x-gray-hop")) == (502, None)


async def test_active_checks_say_whom_they_mean(mesh: Mesh, origin: Origin) -> None:
    """A sidecar that serves its mesh only lets them through; one that is another instance's does not pass for this one."""
    base = await mesh.inbound(origin.ports["base"], admits_all=False)
    gray = await mesh.inbound(origin.ports["gray"], "gray")
    found: dict[tuple[int, str], set[bool]] = {}

    class Told:
        def checked(self, service: str, instance: Instance, passes: bool) -> None:
            found.setdefault((instance.port, instance.tag), set()).add(passes)

    checks = Checks(Told(), lambda *_: Spoken())  # type: ignore[arg-type]
    settings = CheckSettings.model_validate({"path": "/health", "interval": "10ms", "failures": 1, "passes": 1})
    checks.configure({"a": settings})
    checks.look_at("a", (base.instance(), gray.instance()))
    await until(lambda: len(found) == 2)
    # Somebody else at an address is asked as what it is now.
    checks.look_at("a", (base.instance(), gray.instance("gray")))
    await until(lambda: len(found) == 3)
    await checks.close()
    assert found == {(base.port, BASE): {True}, (gray.port, BASE): {False}, (gray.port, "gray"): {True}}


@METHODS
async def test_a_dead_application_behind_a_living_gray_sidecar_fails_nobody(
    mesh: Mesh, origin: Origin, method: str, body: bytes
) -> None:
    base = await mesh.inbound(origin.ports["base"])
    gray = await mesh.inbound(free_port(), "gray")
    mesh.list(base.instance(), gray.instance("gray"))
    assert await mesh.ask(GRAY, method, body, times=8) == {"200 base"}
    # Said by its own sidecar, it is known at once, and out for a moment.
    assert set(mesh.traffic.fallbacks) == {("a", "gray", "connect_error"), ("a", "gray", "ejected")}
    assert sum(mesh.traffic.fallbacks.values()) == 8
    assert set(mesh.traffic.ejections) == {("a", "gray", "unavailable")}
    assert mesh.traffic.retries_denied == {}


async def test_a_dead_application_of_the_baseline_says_so_itself(mesh: Mesh) -> None:
    base = await mesh.inbound(free_port())
    mesh.list(base.instance())
    client = await mesh.client()
    await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, b"connect_failed" in answer.body, answer.header("x-gray-hop")) == (502, True, None)


@METHODS
async def test_a_dead_gray_instance_fails_nobody(mesh: Mesh, origin: Origin, method: str, body: bytes) -> None:
    """Falling back is no retry: nothing was sent, and no budget allows it."""
    base = await mesh.inbound(origin.ports["base"])
    mesh.list(base.instance(), Instance("127.0.0.1", free_port(), "gray"))
    assert await mesh.ask(GRAY, method, body, times=8) == {"200 base"}
    assert mesh.traffic.fallbacks == {("a", "gray", "connect_error"): 3, ("a", "gray", "ejected"): 5}
    assert (mesh.traffic.retries, mesh.traffic.retries_denied) == ({}, {})
    assert mesh.traffic.ejections == {("a", "gray", "connect"): 1}


async def test_two_dead_gray_instances_fail_nobody_either(mesh: Mesh, origin: Origin) -> None:
    base = await mesh.inbound(origin.ports["base"])
    dead = [Instance("127.0.0.1", free_port(), "gray") for _ in range(2)]
    mesh.list(base.instance(), *dead)
    assert await mesh.ask(GRAY, times=10) == {"200 base"}


async def test_one_dead_instance_of_two_costs_nobody_anything(origin: Origin) -> None:
    """Whether nothing listens there or its application is down: the other one serves, whatever the budget."""
    mesh = Mesh(RetryBudget(attempts=2, share=0.0, minimum=0.0))
    await mesh.start()
    base = await mesh.inbound(origin.ports["base"])
    gray = await mesh.inbound(origin.ports["gray"], "gray")
    dead = await mesh.inbound(free_port(), "gray")
    for other in (dead.instance("gray"), Instance("127.0.0.1", free_port(), "gray")):
        mesh.list(base.instance(), gray.instance("gray"), other)
        assert await mesh.ask(GRAY, times=10) == {"200 gray"}
    mesh.list(base.instance(), Instance("127.0.0.1", free_port()))
    assert await mesh.ask(times=10) == {"200 base"}
    assert mesh.traffic.retries_denied == {}
    await mesh.close()


async def test_many_at_once_while_the_address_changes_hands(mesh: Mesh, origin: Origin) -> None:
    """Kept connections end with the old process; no request is lost to the new one, and none reaches it."""
    base = await mesh.inbound(origin.ports["base"])
    old = await mesh.inbound(origin.ports["base"])
    mesh.list(base.instance(), old.instance())
    assert await mesh.ask(times=8) == {"200 base"}
    port = old.port
    await old.close()
    taker = await mesh.inbound(origin.ports["gray"], "gray")
    await taker.close()
    await taker.start(port)
    answers = await asyncio.gather(*(mesh.ask() for _ in range(40)))
    assert set().union(*answers) == {"200 base"}
    await until(lambda: taker.traffic.started)
    assert {name for name, _, _ in origin.requests} == {"base"}


async def test_requests_that_were_sent_ahead_keep_their_order_while_one_is_turned_away(
    mesh: Mesh, origin: Origin
) -> None:
    gray = await mesh.inbound(origin.ports["gray"], "gray")
    base = await mesh.inbound(origin.ports["base"])
    mesh.list(gray.instance(), base.instance())
    client = await mesh.client()
    heads = [f"POST /A/{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{number}" for number in range(10, 20)]
    await client.send("".join(heads).encode())
    assert [(await client.answer()).status for _ in heads] == [200] * 10
    assert [(name, body) for name, _, body in origin.requests] == [("base", b"%d" % number) for number in range(10, 20)]


@pytest.mark.parametrize("target", ["/A/x", GRAY], ids=["unmarked", "marked"])
async def test_a_tunnel_is_opened_with_the_right_instance_only(mesh: Mesh, origin: Origin, target: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports.add(writer.get_extra_info("sockname")[1])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while data := await reader.read(100):
            writer.write(data)

    ports: set[int] = set()
    origin.script = script
    tag, others = ("base", "gray") if target == "/A/x" else ("gray", "base")
    wrong = await mesh.inbound(origin.ports["gray"], others)
    dead = await mesh.inbound(free_port(), "gray")
    base = await mesh.inbound(origin.ports["base"])
    mesh.list(wrong.instance(tag), dead.instance("gray"), base.instance())
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly"
    for _ in range(4):
        client = await mesh.client()
        await client.send(head.encode())
        assert (await client.answer()).status == 101
        await client.send(b"later")
        assert await client.reader.readexactly(10) == b"earlylater"
    assert ports == {origin.ports["base"]}
