"""The data plane of a sidecar: what it takes for itself, and what both of its listeners share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.app.build import Build
from gateway.app.sidecar_plane import SidecarPlane, identities_of
from gateway.instance import Instance
from gateway.settings.sidecar import SidecarSettings
from gateway.tls.contexts import Spoken
from tests.support.roles import GROUPS
from tests.support.roles import sidecar_settings as settings
from tests.support.rules import rule_set

NACOS = {"kind": "nacos", "address": "127.0.0.1:8848"}
STATIC = {"kind": "static", "services": {}}


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        pytest.param({}, {"base"}, id="baseline"),
        pytest.param({"tag": "gray"}, {"gray"}, id="gray"),
        pytest.param({"tag": "gray", "metadata": {"lane": "gray"}}, {"gray"}, id="gray twice"),
        pytest.param({"metadata": {"lane": "gray"}}, {"gray"}, id="marked by its metadata alone: no baseline"),
        pytest.param({"metadata": {"lane": "gray"}, "registry": STATIC}, {"base", "gray"}, id="listed by hand"),
        pytest.param(
            {"metadata": {"zone": "gray"}, "registry": {**NACOS, "tag_keys": ["zone"]}},
            {"base", "gray"},
            id="marked for those who look at this key",
        ),
    ],
)
def test_what_peers_may_call_an_instance(values: dict[str, Any], tags: set[str]) -> None:
    sidecar = {
        "service": "a",
        "app": "127.0.0.1:1",
        "inbound": "127.0.0.1:2",
        "outbound": "127.0.0.1:3",
        "registry": NACOS,
    }
    found = identities_of(SidecarSettings.model_validate({**sidecar, **values}))
    assert set(found) == {f"{tag}{service}" for tag in tags for service in ("", ";service=a")}


class TestPlane:
    """A sidecar's plane, of service b beside an application that speaks TLS, as do its peers and service c."""

    @pytest.fixture
    async def plane(self) -> AsyncIterator[SidecarPlane]:
        plane = SidecarPlane(settings())
        yield plane
        await plane.close()

    async def test_a_build_counts_its_revisions_for_both_listeners(self, plane: SidecarPlane) -> None:
        plane.configure(7, Build.of(settings(), rule_set(GROUPS)))
        assert plane._inbound_router.snapshot is plane._outbound_router.snapshot is plane.snapshot
        assert plane.snapshot.revision == 7
        assert [lane.name for lane in plane.snapshot.rules.lanes] == ["sidecar"]

    async def test_the_application_speaks_tls_and_its_peers_sidecars_do_not(self, plane: SidecarPlane) -> None:
        """Other instances of this service are reached through their sidecars."""
        secured = settings(services={"b": {"tls": {"server_name": "b"}}, "c": {"tls": {"server_name": "c"}}})
        build = Build.of(secured, rule_set([]))
        plane.configure(1, build)
        assert plane.app_spoken() == Spoken(build.secured.services["b"], True, False)
        peer = Instance("192.0.2.1", 80)
        assert plane._peer_origins.spoken(peer, "b", is_grpc=False) == Spoken()
        assert plane._peer_origins.spoken(peer, "c", is_grpc=False) == Spoken(build.secured.services["c"], True, False)

    async def test_a_protocol_that_is_set_is_the_applications_and_not_its_peers(self, plane: SidecarPlane) -> None:
        build = Build.of(settings(services={"b": {"protocol": "h2c"}}), rule_set([]))
        plane.configure(1, build)
        assert plane.app_spoken() == Spoken(None, True, True)
        assert plane._peer_origins.spoken(Instance("192.0.2.1", 80), "b", is_grpc=False) == Spoken()

    async def test_what_requests_were_marked_with_goes_from_one_to_the_next(self, plane: SidecarPlane) -> None:
        other = SidecarPlane(settings())
        plane.know({})
        plane.know({"memory": [("tr\xe4ce", "gray")]})  # of a version that knew no copies
        assert plane.state() == {"memory": [("tr\xe4ce", "gray")], "copies": []}
        plane.know({"memory": [("tr\xe4ce", "gray")], "copies": ["tr\xe4ce"]})
        state = plane.state()
        assert state == {"memory": [("tr\xe4ce", "gray")], "copies": ["tr\xe4ce"]}
        other.know(json.loads(json.dumps(state)))
        assert other.state() == state
        await other.close()

    async def test_which_tags_of_peers_have_series_of_their_own(self, plane: SidecarPlane) -> None:
        """Those that something says beside a request: the rules, this instance, an instance of a service."""
        plane.configure(1, Build.of(settings(tag="own"), rule_set(GROUPS)))
        plane.service_changed("c", (Instance("127.0.0.1", 1, tag="blue"),))
        found = {tag: plane._knows_inbound("b", tag) for tag in ("", "base", "gray", "blue", "green")}
        assert found == {"": True, "base": True, "gray": True, "blue": True, "green": False}
        assert not plane._knows_inbound("c", "")

    async def test_before_it_listens_there_is_nothing_to_drain(self, plane: SidecarPlane) -> None:
        assert await plane.drain_inbound(5.0, 5.0)
        assert await plane.drain_outbound(5.0)
        await plane.stop_accepting()
        assert (list(plane.traffic()), plane.connections()) == (["inbound", "outbound"], {})
