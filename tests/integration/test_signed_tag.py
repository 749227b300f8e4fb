"""A chain of an entry gateway and sidecars whose tags are signed, and which see one version of the rules."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from aiohttp import ClientSession, web

from gateway.app.build import Build
from gateway.app.entry_plane import EntryPlane
from gateway.app.sidecar_plane import SidecarPlane
from gateway.hop import SIDECAR_KEY
from gateway.instance import Instance
from gateway.proxy.server import bind
from gateway.routing.tagsigner import TagSigner
from gateway.rules.ruleset import RuleSet
from tests.support.gateway import Gateway
from tests.support.origin import Origin
from tests.support.roles import gateway_settings, sidecar_settings
from tests.support.rules import NOW, rule_set

OLD, NEW = "0f" * 32, "a1" * 32
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
MARKED = "/A/x?group=gray"


def lane(*services: str) -> RuleSet:
    match = [{"param": "group", "equals": "gray"}]
    lanes = [{"name": "gray", "tag": "gray", "match": match}]
    return rule_set([{"name": "demo", "services": list(services), "lanes": lanes}])


class Member:
    """One program of the chain, with a file of keys of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.keys = folder / f"{name}.keys"
        self.rules = lane("a", "b")
        self.revision = 0
        self.plane: EntryPlane | SidecarPlane
        self.carriers: dict[str, Any] = {}

    def has_keys(self, *keys: str, **carriers: Any) -> None:
        """Gives it keys, and how it is to use them. None: it signs nothing."""
        self.keys.write_text("".join(f"{key}\n" for key in keys))
        self.keys.chmod(0o600)
        self.carriers = {"keys": str(self.keys), **carriers} if keys else {}
        self.configure()

    def follows(self, rules: RuleSet) -> None:
        self.rules = rules
        self.configure()

    def configure(self) -> None:
        self.revision += 1
        if isinstance(self.plane, EntryPlane):
            self.plane.configure(self.revision, Build.of(gateway_settings(carriers=self.carriers), self.rules))
        else:
            self.plane.configure(self.revision, Build.of(sidecar_settings(carriers=self.carriers), self.rules))


class Chain:
    """Client → entry → sidecar and application of `a` (gray) → sidecar and application of `b` (gray).

    The baselines of both are the origin's. The application of `a` passes on the fields in `passes`, and waits before it calls
    as long as `gate` is not set. `called` are the fields of the calls that reach the gray instance of `b`.
    """

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.entry, self.a, self.b = (Member(folder, name) for name in ("entry", "a", "b"))
        self.origin = origin
        self.passes = ["x-gray-tag"]
        self.encodes = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.called: list[dict[str, str]] = []
        self._runners: list[web.AppRunner] = []

    @property
    def members(self) -> Iterable[Member]:
        return self.entry, self.a, self.b

    async def start(self) -> None:
        self.session = ClientSession()
        base = Instance("127.0.0.1", self.origin.ports["base"])
        a_in, self.a_out = await self._start_sidecar(self.a, "a", await self._serve(self._calling))
        b_in, _ = await self._start_sidecar(self.b, "b", await self._serve(self._called))
        self.entry.plane = entry = EntryPlane(gateway_settings())
        listening = bind("127.0.0.1", 0)
        self.port = listening.getsockname()[1]
        await entry.listen([listening])
        for member in self.members:
            member.configure()
        entry.service_changed("a", (base, Instance("127.0.0.1", a_in, "gray", metadata={SIDECAR_KEY: "a"})))
        plane = self.a.plane
        plane.service_changed("b", (base, Instance("127.0.0.1", b_in, "gray", metadata={SIDECAR_KEY: "b"})))

    async def _start_sidecar(self, member: Member, service: str, app: int) -> tuple[int, int]:
        plane = SidecarPlane(sidecar_settings(service=service, tag="gray", app=f"127.0.0.1:{app}"))
        member.plane = plane
        inbound, outbound = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
        ports: tuple[int, int] = inbound.getsockname()[1], outbound.getsockname()[1]
        await plane.listen(inbound, outbound, self._learn)
        return ports

    async def _learn(self, service: str) -> bool:
        return False

    async def _serve(self, handler: Any) -> int:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port: int = runner.addresses[0][1]
        return port

    async def _calling(self, request: web.Request) -> web.Response:
        self.waiting += 1
        await self.gate.wait()
        passed = {name: request.headers[name] for name in self.passes if name in request.headers}
        if self.encodes and "baggage" in passed:
            name, _, value = passed["baggage"].partition("=")
            passed["baggage"] = f"{name}={quote_plus(value).replace('.', '%2E')}"
        return web.Response(text=await self.call(**passed))

    async def _called(self, request: web.Request) -> web.Response:
        self.called.append({name.lower(): value for name, value in request.headers.items()})
        return web.Response(text="gray")

    async def call(self, **fields: str) -> str:
        """Which pool of `b` a call of the application of `a` reaches."""
        url = f"http://127.0.0.1:{self.a_out}/x"
        async with self.session.get(url, headers={"Host": "b", **fields}) as response:
            assert response.status == 200
            return (await response.text()).split()[0]

    async def ask(self, target: str = MARKED, **fields: str) -> str:
        """Where a client's request ends up."""
        async with self.session.get(f"http://127.0.0.1:{self.port}{target}", headers=fields) as response:
            assert response.status == 200
            return (await response.text()).split()[0]

    def counted(self, name: str) -> dict[str, Any]:
        """What the sidecar of `a` counted, by listener, where there is something."""
        assert isinstance(self.a.plane, SidecarPlane)
        found = {listener: getattr(traffic, name) for listener, traffic in self.a.plane.traffic().items()}
        return {listener: count for listener, count in found.items() if count}

    async def close(self) -> None:
        self.gate.set()
        await self.session.close()
        for member in self.members:
            await member.plane.close()
        for runner in self._runners:
            await runner.cleanup()


@pytest.fixture
async def chain(tmp_path: Path, origin: Origin) -> AsyncIterator[Chain]:
    chain = Chain(tmp_path, origin)
    await chain.start()
    yield chain
    await chain.close()


def foreign(tag: str = "gray", key: str = "ee" * 32, now: float | None = None) -> str:
    """A tag that somebody signed with another key, or long ago."""
    signer = TagSigner([bytes.fromhex(key)], lambda: time.time() if now is None else now, 600.0)
    signer.renews()
    return signer.sign(tag, "0" * 12)


@pytest.mark.parametrize("passes", [["x-gray-tag"], ["baggage"], ["traceparent"]], ids=lambda passes: passes[0])
async def test_the_tag_is_signed_at_every_hop_whatever_an_application_passes_on(
    chain: Chain, passes: list[str]
) -> None:
    for member in chain.members:
        member.has_keys(OLD)
    chain.passes = passes
    assert [await chain.ask(), await chain.ask("/A/x")] == ["gray", "base"]
    (fields,) = chain.called
    value = fields["x-gray-tag"]
    claim = TagSigner([bytes.fromhex(OLD)], lambda: NOW, 1.0).verify(value)
    assert claim is not None
    assert (claim.tag, claim.terms) == ("gray", chain.a.plane.snapshot.rules.terms.digest)
    assert fields["baggage"] == f"x-gray-tag={value}"
    assert chain.counted("rejected") == chain.counted("unknown_rules") == {}


async def test_a_value_that_comes_back_encoded_counts(chain: Chain) -> None:
    for member in chain.members:
        member.has_keys(OLD)
    chain.passes, chain.encodes = ["baggage"], True
    assert await chain.ask() == "gray"
    assert chain.counted("rejected") == {}


@pytest.mark.parametrize(
    ("value", "why"),
    [("gray", "unsigned"), (foreign(), "forged"), (foreign(key=OLD, now=NOW - 1e9), "expired")],
    ids=["unsigned", "forged", "expired"],
)
async def test_an_application_cannot_mark_its_calls_itself(
    chain: Chain, value: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    for member in chain.members:
        member.has_keys(OLD)
    # Another application of the same kind, whose instance is no gray one.
    plane = SidecarPlane(sidecar_settings(service="a", carriers=chain.a.carriers))
    inbound, outbound = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
    gray, chain.a_out = chain.a.plane, outbound.getsockname()[1]
    await plane.listen(inbound, outbound, chain._learn)
    plane.configure(1, Build.of(sidecar_settings(carriers=chain.a.carriers), chain.a.rules))
    plane.service_changed("b", gray.snapshot.services["b"].instances)
    try:
        for _ in range(2):
            assert await chain.call(**{"x-gray-tag": value, "baggage": f"x-gray-tag={value}"}) == "base"
        assert chain.origin.header("x-gray-tag") is None
        assert plane.traffic()["outbound"].rejected == {why: 2}
        assert caplog.text.count("outbound: the tag of a request from 127.0.0.1 was dropped") == 1
        (record, *_) = plane.taker.take()
        assert (record.signature, record.tag, record.tag_source) == (why, "base", "none")
    finally:
        await plane.close()


async def test_a_dropped_tag_does_not_make_a_request_lose_its_lane(chain: Chain) -> None:
    """What is remembered of it counts still."""
    for member in chain.members:
        member.has_keys(OLD)
    traceparent = f"00-{TRACE}-00f067aa0ba902b7-01"
    chain.passes = ["traceparent"]
    assert await chain.ask(traceparent=traceparent) == "gray"
    assert await chain.call(traceparent=traceparent, **{"x-gray-tag": foreign()}) == "gray"
    assert chain.counted("rejected") == {"outbound": {"forged": 1}}


async def test_a_fleet_gets_keys_and_new_ones_without_a_request_that_fails_or_goes_astray(chain: Chain) -> None:
    """From none over permissive to required, then from one key to another: one program after the other, in any order."""
    old, both, turned, new = (OLD,), (OLD, NEW), (NEW, OLD), (NEW,)
    steps: list[tuple[tuple[str, ...], dict[str, Any]]] = [
        (old, {"signing": "permissive"}),
        (old, {}),
        (both, {}),
        (turned, {}),
        (new, {}),
    ]
    asked = 0
    for number, (keys, carriers) in enumerate(steps):
        members = list(chain.members)
        for member in members[(number + 1) % 3 :] + members[: (number + 1) % 3]:
            member.has_keys(*keys, **carriers)
            for passes in (["x-gray-tag"], ["baggage"]):
                chain.passes = passes
                assert [await chain.ask(), await chain.ask("/A/x")] == ["gray", "base"]
                asked += 1
    assert len(chain.called) == asked
    assert chain.counted("rejected") == {}
    assert "inbound" in chain.counted("unsigned"), "while the entry had no keys"


async def test_a_request_under_way_while_keys_are_replaced_stays_in_its_lane(chain: Chain) -> None:
    for member in chain.members:
        member.has_keys(OLD)
    chain.gate.clear()
    under_way = asyncio.create_task(chain.ask())
    while not chain.waiting:
        await asyncio.sleep(0)
    for keys in ((OLD, NEW), (NEW, OLD)):
        for member in chain.members:
            member.has_keys(*keys)
    chain.gate.set()
    assert await under_way == "gray"
    assert chain.counted("rejected") == {}


@pytest.mark.parametrize("keys", [(), (OLD,)], ids=["bare", "signed"])
@pytest.mark.parametrize(
    "passes", [["x-gray-tag"], ["baggage"], ["traceparent"], ["x-gray-tag", "traceparent"]], ids="+".join
)
async def test_a_chain_sees_one_version_of_a_lane_while_it_changes(
    chain: Chain, keys: tuple[str, ...], passes: list[str]
) -> None:
    """The lane's `services` change between two hops: the request under way keeps what it was decided with."""
    for member in chain.members:
        member.has_keys(*keys)
    chain.passes = passes
    knows = passes != ["x-gray-tag"] or bool(keys)
    chain.gate.clear()
    before = asyncio.create_task(chain.ask())
    while not chain.waiting:
        await asyncio.sleep(0)
    for member in chain.members:
        member.follows(lane("a"))
    chain.gate.set()
    # A bare tag alone says nothing of the rules, and no id leads to them.
    assert await before == ("gray" if knows else "base")
    assert await chain.ask() == "base"
    assert chain.counted("unknown_rules") == {}


async def test_rules_that_a_sidecar_does_not_know_are_counted_and_go_on(chain: Chain) -> None:
    """The entry is ahead of the sidecar: that one decides by its own, and passes on which ones were meant."""
    chain.passes = ["baggage"]
    chain.entry.follows(lane("a", "b", "c"))
    ahead = chain.entry.plane.snapshot.rules.terms.digest
    assert await chain.ask() == "gray"
    assert chain.called[0]["baggage"] == f"x-gray-tag=gray,x-gray-tag-rules={ahead}"
    assert chain.counted("unknown_rules") == {"outbound": 1}
    assert isinstance(chain.a.plane, SidecarPlane)
    record = next(record for record in chain.a.plane.taker.take() if record.listener == "outbound")
    assert (record.rules, record.unknown_rules) == (chain.a.plane.snapshot.rules.terms.digest, ahead)


async def test_a_file_of_keys_is_read_again_when_it_changes(tmp_path: Path, origin: Origin) -> None:
    gateway = Gateway(tmp_path, origin)
    gateway.config["carriers"] = {"keys": "keys"}
    gateway.write("keys", f"{OLD}\n").chmod(0o600)
    try:
        await gateway.run()
        for key, revision in ((OLD, 1), (NEW, 2)):
            await gateway.wait_revision(revision)
            assert (await gateway.ask("/A/x?group=gray")).startswith("gray")
            value = origin.header("x-gray-tag") or ""
            assert TagSigner([bytes.fromhex(key)], lambda: NOW, 1.0).verify(value) is not None
            (tmp_path / "new").write_text(f"{NEW}\n")
            (tmp_path / "new").chmod(0o600)
            (tmp_path / "new").replace(tmp_path / "keys")
        assert not re.search("restart", gateway.log.read_text())
    finally:
        await gateway.close()
