"""The data plane of an entry gateway in one process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from gateway.app.entry_plane import EntryPlane
from gateway.errors import StartError
from gateway.http.head_reader import HeadReader
from gateway.instance import Instance
from gateway.proxy.server import bind
from gateway.routing.peer import Peer
from gateway.routing.verdict import Forward
from gateway.rules.ruleset import RuleSet
from tests.support.roles import GROUPS, gateway_build, gateway_settings
from tests.support.rules import rule_set
from tests.support.wait import until


@pytest.fixture
async def plane() -> AsyncIterator[EntryPlane]:
    plane = EntryPlane(gateway_settings())
    yield plane
    await plane.close()


async def test_before_the_first_build_there_is_nothing(plane: EntryPlane) -> None:
    assert (plane.snapshot.revision, plane.rules, dict(plane.snapshot.services)) == (0, RuleSet(), {})
    assert plane.router.snapshot is plane.snapshot


async def test_before_it_listens_there_is_nothing_to_drain(plane: EntryPlane) -> None:
    assert await plane.drain(5.0, 5.0)


async def test_a_build_is_what_is_routed_by_and_explained(plane: EntryPlane) -> None:
    build = gateway_build(rule_set(GROUPS), name="shop")
    plane.configure(7, build)
    assert plane.snapshot.revision == 7
    assert plane.router.snapshot is plane.snapshot
    assert plane.snapshot.rules is build.compiled
    assert plane.snapshot.routes is build.routes
    assert (plane.rules, plane.around) == (build.rules, build.around)
    assert plane.knows("a", "") is False


async def test_requests_are_read_and_marked_as_the_settings_say() -> None:
    """A client that is trusted may send its tag, and it goes on in the fields that are configured."""
    settings = gateway_settings(trusted=["192.0.2.0/24"], carriers={"header": "x-lane", "baggage": "lane"})
    plane = EntryPlane(settings)
    plane.configure(1, gateway_build())
    there = Instance("127.0.0.1", 1, tag="gray")
    plane.service_changed("a", (Instance("127.0.0.1", 2), there))
    reader = HeadReader("x-lane")
    for ip, instance in (("192.0.2.1", there), ("198.51.100.1", Instance("127.0.0.1", 2))):
        request = reader.read(b"GET /A HTTP/1.1\r\nHost: x\r\nX-Lane: gray\r\n\r\n")
        assert request is not None
        verdict = plane.router.route(request, Peer(ip, plane.router.is_trusted(ip)), 0.0)
        assert isinstance(verdict, Forward)
        assert verdict.instance == instance
        is_marked = instance is there
        assert (b"\r\nx-lane: gray\r\n" in verdict.head, b"lane=gray" in verdict.head) == (is_marked, is_marked)
    await plane.close()


async def test_what_registries_say_is_routed_by(plane: EntryPlane) -> None:
    plane.configure(1, gateway_build(rule_set(GROUPS), name="shop"))
    plane.service_changed("a", (Instance("127.0.0.1", 1), Instance("127.0.0.1", 2, tag="blue")))
    assert plane.router.snapshot is plane.snapshot
    assert [item.address for item in plane.snapshot.services["a"].instances] == ["127.0.0.1:1", "127.0.0.1:2"]
    # The tags of lanes and of instances are known, and no others.
    assert [plane.knows("a", tag) for tag in ("", "blue", "gray", "green")] == [True, True, True, False]
    plane.service_removed("a")
    assert dict(plane.router.snapshot.services) == {}


async def test_statistics_are_built_in_types_of_what_is_here(plane: EntryPlane) -> None:
    plane.configure(1, gateway_build())
    plane.service_changed("a", (Instance("127.0.0.1", 1),))
    statistics = plane.statistics()
    assert sorted(statistics) == ["ejected", "failures", "mirrored", "origins", "requests", "traffic"]
    assert statistics["ejected"] == {"a": []}
    assert statistics["traffic"] == plane.traffic.dump()


async def test_it_listens_with_its_certificates_and_new_ones_replace_them(tmp_path: Path) -> None:
    authority = trustme.CA()

    def certificates(name: str) -> dict[str, object]:
        issued = authority.issue_cert(name)
        for file, content in (("c", issued.cert_chain_pems[0].bytes()), ("k", issued.private_key_pem.bytes())):
            (tmp_path / f"{name}.{file}").write_bytes(content)
        return {"certificates": [{"cert": str(tmp_path / f"{name}.c"), "key": str(tmp_path / f"{name}.k")}]}

    tls = certificates("one.example")
    plane = EntryPlane(gateway_settings(tls=tls))
    plane.configure(1, gateway_build(tls=tls))
    with bind("127.0.0.1", 0) as sock:
        await plane.listen([sock])
        assert plane._tls is not None
        context = plane._tls.context
        plane.configure(2, gateway_build(tls=certificates("two.example")))
        assert [item.names for item in plane._tls.certificates] == [("two.example",)]
        assert plane._tls.context is context  # which the listener has
        assert await plane.drain(0.0, 0.0)
        await plane.close()


async def test_a_log_that_cannot_be_opened_is_told_and_one_that_was_moved_is_opened_anew(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as sock:
        plane = EntryPlane(gateway_settings(access_log={"path": str(tmp_path)}))
        with pytest.raises(StartError, match="cannot open the access log"):
            await plane.listen([sock])
        await plane.close()
        plane = EntryPlane(gateway_settings(access_log={"path": str(tmp_path / "access.log")}))
        await plane.listen([sock])
        (tmp_path / "access.log").rename(tmp_path / "old.log")
        plane.reopen_log()
        await until((tmp_path / "access.log").exists)
        await plane.close()
