"""What a sidecar knows of its application: what that has registered, and whether it is called past the sidecar."""

from __future__ import annotations

import json

import pytest

from gateway import hop
from gateway.app import facade as module
from gateway.app.facade import Facade
from gateway.facade.naming import Application
from gateway.instance import Instance
from gateway.registry.base import Registration
from gateway.registry.embedded.store import Refused
from tests.support.roles import sidecar_settings

OWN = Registration("b", "192.0.2.1", 20200, "gray", 1, {"zone": "1", "version": "2"})
SAID = Application("10.0.0.7", 8080, 3.0, True, {"version": "1", "team": "x"})


class Beside:
    """A façade that does not serve, and what it has said to its sidecar."""

    def __init__(self) -> None:
        self.told = 0
        self.learned: list[tuple[str, float]] = []
        self.there: dict[str, list[Instance]] = {}
        settings = sidecar_settings(
            tag="gray",
            app="127.0.0.1:8080",
            advertise="192.0.2.1",
            registry={"kind": "nacos", "address": "127.0.0.1:9"},
            facade={"nacos": "127.0.0.1:0"},
        )
        self.facade = Facade(settings, self.there.get, self._learn, self._told)

    async def _learn(self, service: str, timeout: float) -> bool:
        self.learned.append((service, timeout))
        return True

    def _told(self) -> None:
        self.told += 1


@pytest.fixture
def beside() -> Beside:
    return Beside()


def test_before_the_application_has_registered_it_wants_no_requests(beside: Beside) -> None:
    facade = beside.facade
    assert (facade.is_registered, facade.state(), facade.asked) == (False, None, frozenset())
    assert facade.registration(OWN) is OWN


def test_the_sidecar_is_told_of_what_is_new_only(beside: Beside) -> None:
    facade = beside.facade
    for said in (SAID, SAID, None, None):
        facade._registered(said)
    assert (beside.told, facade.is_registered) == (2, False)


def test_an_application_that_is_switched_off_wants_no_requests(beside: Beside) -> None:
    beside.facade._registered(Application("10.0.0.7", 8080, 3.0, False, {}))
    assert (beside.told, beside.facade.is_registered) == (1, False)


def test_address_and_tag_are_the_sidecars_and_so_is_what_it_says_itself(beside: Beside) -> None:
    """Of metadata that both say the sidecar's is what counts, and its weight unless that is the default."""
    facade = beside.facade
    facade._registered(SAID)
    metadata = {"team": "x", "zone": "1", "version": "2"}
    assert facade.registration(OWN) == Registration("b", "192.0.2.1", 20200, "gray", 3.0, metadata)
    heavy = Registration("b", "192.0.2.1", 20200, "gray", 5, {})
    assert facade.registration(heavy) == Registration("b", "192.0.2.1", 20200, "gray", 5, dict(SAID.metadata))


def test_a_successor_knows_the_application_as_its_predecessor_did(beside: Beside) -> None:
    beside.facade._registered(SAID)
    state = beside.facade.state()
    assert state is not None
    successor = Beside().facade
    successor.know(json.loads(json.dumps(state)))
    assert (successor.application, successor.state(), successor.is_registered) == (SAID, state, True)


def test_grpc_calls_come_to_the_sidecar_whatever_port_the_application_has_for_them(
    beside: Beside, caplog: pytest.LogCaptureFixture
) -> None:
    facade = beside.facade
    facade._registered(Application("10.0.0.7", 8080, 1.0, True, {"gRPC_port": "8080"}))
    assert facade.registration(OWN).metadata["gRPC_port"] == "20200"
    assert "gRPC" not in caplog.text
    facade._registered(Application("10.0.0.7", 8080, 1.0, True, {"gRPC.port": "9090\x1b"}))
    assert facade.registration(OWN).metadata["gRPC.port"] == "20200"
    assert r"takes gRPC calls on port 9090\x1b (gRPC.port in its metadata), but `app` is 127.0.0.1:8080" in caplog.text


async def test_a_service_that_is_asked_for_is_followed(beside: Beside) -> None:
    assert beside.facade._is_there("c") is None
    await beside.facade._ask("c", 1.5)
    assert beside.learned == [("c", 1.5)]
    assert beside.facade.asked == {"c"}


async def test_an_application_that_makes_names_up_is_refused_at_some_point(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is watched in the registry for as long as the sidecar runs."""
    monkeypatch.setattr(module, "MOST_ASKED", 2)
    for name in ("c", "d", "c"):
        await beside.facade._ask(name, 0.0)
    with pytest.raises(Refused, match="follows 2 services already: 'e' is one too many"):
        await beside.facade._ask("e", 0.0)


@pytest.mark.parametrize(("instances", "is_there"), [([], False), ([Instance("127.0.0.1", 1)], True)])
def test_a_service_is_there_while_it_has_instances(beside: Beside, instances: list[Instance], is_there: bool) -> None:
    beside.there["c"] = instances
    assert beside.facade._is_there("c") is is_there


@pytest.mark.parametrize("metadata", [{}, {"lane": "gray"}, {"gray.tag": "blue"}])
def test_an_application_can_be_registered_if_its_tag_is_its_sidecars(beside: Beside, metadata: dict[str, str]) -> None:
    """What the sidecar adds decides before what the application has."""
    assert list(beside.facade._problems(Application("10.0.0.7", 8080, 1.0, True, metadata))) == []


def test_an_application_that_marks_itself_beside_a_baseline_sidecar_cannot() -> None:
    """Peers would take it for what it says: its requests would come from another lane."""
    settings = sidecar_settings(registry={"kind": "nacos", "address": "127.0.0.1:9", "tag_keys": ["zone"]})
    facade = Facade(settings, lambda _: None, None, lambda: None)  # type: ignore[arg-type]
    problem = "its metadata says tag 'blue', its sidecar's `tag` is 'base': make them the same"
    for key in ("lane", "zone"):
        said = Application("10.0.0.7", 8080, 1.0, True, {key: "blue"})
        assert list(facade._problems(said)) == [problem], key


def at(host: str, port: int = 8080, metadata: dict[str, str] | None = None) -> Instance:
    return Instance(host, port, metadata=metadata or {})


@pytest.mark.parametrize(
    ("instance", "is_past"),
    [
        (at("127.0.0.1"), True),
        (at("192.0.2.1"), True),
        (at("10.0.0.7"), True),
        (at("10.0.0.8"), False),
        (at("127.0.0.1", 8081), False),
        (at("127.0.0.1", metadata={hop.SIDECAR_KEY: "b"}), False),
    ],
    ids=["its address", "its sidecar's", "that it registered", "another host", "another port", "a sidecar"],
)
def test_an_application_that_is_registered_past_its_sidecar_is_told(
    beside: Beside, instance: Instance, is_past: bool, caplog: pytest.LogCaptureFixture
) -> None:
    facade = beside.facade
    facade._registered(SAID)
    caplog.clear()
    facade.service_changed("b", [instance])
    expected = [f"the application is registered at {instance.address} as well as its sidecar"] if is_past else []
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == expected
    assert facade.bypasses == len(expected)


def test_that_is_told_once_for_as_long_as_it_lasts(beside: Beside) -> None:
    facade = beside.facade
    past = at("127.0.0.1")
    for instances in ([past], [past], [], [past]):
        facade.service_changed("b", instances)
    facade.service_changed("c", [at("192.0.2.1")])  # another service's instance
    assert facade.bypasses == 2


async def test_what_has_not_begun_to_serve_can_be_closed(beside: Beside) -> None:
    await beside.facade.close()
