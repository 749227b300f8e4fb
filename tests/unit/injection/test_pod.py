"""Which pods get a sidecar, what it is, and which are refused or left alone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load_sidecar
from gateway.injection.pod import ADMIN, INBOUND, Options, Refused, inject
from tests.support.pods import MSE, pod

OPTIONS = Options("registry.test/gray:1")


def sidecar(spec: dict[str, Any]) -> dict[str, Any]:
    (found,) = [item for item in spec["initContainers"] if item["name"] == "gray-sidecar"]
    return dict(found)


def test_a_pod_of_the_scenario_gets_a_native_sidecar_before_everything_else() -> None:
    metadata, spec = pod({**MSE, "alicloud.service.tag": "gray"}, initContainers=[{"name": "migrate"}])
    before = copy.deepcopy((metadata, spec))
    found = inject(metadata, spec, OPTIONS)
    assert (metadata, spec) == before, "what was given stays"
    assert [item["name"] for item in found.spec["initContainers"]] == ["gray-sidecar", "migrate"]
    added = sidecar(found.spec)
    assert added["restartPolicy"] == "Always"
    assert {item["name"]: item["value"] for item in added["env"]} == {
        "SERVICE": "spring-cloud-a",
        "TAG": "gray",
        "APP_PORT": "8080",
    }
    assert [port["containerPort"] for port in added["ports"]] == [INBOUND, ADMIN]
    assert found.metadata["labels"] == {
        **metadata["labels"],
        "gray-gateway.io/inbound-port": "15080",
        "gray-sidecar": "spring-cloud-a",
        "gray-protocol": "h2c",
    }
    assert found.spec["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}


def test_an_old_cluster_gets_a_container_that_outlives_the_application_a_little() -> None:
    found = inject(*pod(), Options("x", is_native=False))
    assert "initContainers" not in found.spec
    added = found.spec["containers"][1]
    assert (added["name"], "restartPolicy" in added) == ("gray-sidecar", False)
    assert added["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}


def test_it_runs_with_no_privilege() -> None:
    context = sidecar(inject(*pod(), OPTIONS).spec)["securityContext"]
    assert context["runAsNonRoot"] is context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({}, "it does not ask for a sidecar"),
        ({**MSE, "msePilotAutoEnable": "off"}, "it does not ask for a sidecar"),
        ({**MSE, "gray-gateway.io/inject": "false"}, "it does not ask for a sidecar"),
        ({"gray-gateway.io/inject": "true", "gray-gateway.io/service": "a"}, ""),
    ],
)
def test_who_asks(labels: dict[str, str], reason: str) -> None:
    assert inject(*pod(labels), OPTIONS).left_alone == reason


@pytest.mark.parametrize("more", [{"os": {"name": "windows"}}, {"nodeSelector": {"kubernetes.io/os": "windows"}}])
def test_a_pod_of_windows_is_left_alone(more: dict[str, Any]) -> None:
    metadata, spec = pod(None, **more)
    found = inject(metadata, spec, OPTIONS)
    assert (found.spec, found.left_alone) == (spec, "it runs on Windows, for which there is no image")


@pytest.mark.parametrize("is_native", [True, False])
def test_one_that_has_a_sidecar_gets_no_second(is_native: bool) -> None:
    once = inject(*pod(), Options("x", is_native))
    twice = inject(once.metadata, once.spec, Options("y", is_native))
    assert (twice.metadata, twice.spec) == (once.metadata, once.spec)
    assert twice.left_alone == "it has a sidecar already"


@pytest.mark.parametrize(
    ("labels", "spec", "message"),
    [
        (MSE, {"hostNetwork": True}, "it has the node's network"),
        ({"msePilotAutoEnable": "on"}, {}, "has to say which service it is"),
        ({**MSE, "gray.tag": "a", "gray-tag": "b"}, {}, "its labels say two tags"),
        (MSE, {"containers": [{"name": "a"}]}, "its containers have 0 ports"),
        (MSE, {"containers": [{"name": "a", "ports": [{"containerPort": 1}, {"containerPort": 2}]}]}, "have 2 ports"),
    ],
)
def test_who_asks_and_cannot_have_one(labels: dict[str, str], spec: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message):
        inject(*pod(labels, **spec), OPTIONS)


PORTS = [{"name": "admin", "containerPort": 9}, {"name": "http", "containerPort": 80}]


@pytest.mark.parametrize(("wanted", "port"), [("", "80"), ("admin", "9"), ("81", "81")])
def test_which_port_is_the_applications(wanted: str, port: str) -> None:
    metadata, spec = pod(None, containers=[{"name": "a", "ports": PORTS}])
    metadata["annotations"] = {"gray-gateway.io/port": wanted} if wanted else {}
    env = sidecar(inject(metadata, spec, OPTIONS).spec)["env"]
    assert env[-1] == {"name": "APP_PORT", "value": port}


def test_a_port_that_no_container_has() -> None:
    metadata, spec = pod()
    metadata["annotations"] = {"gray-gateway.io/port": "web"}
    with pytest.raises(Refused, match="says 'web', and no container has a port of that name"):
        inject(metadata, spec, OPTIONS)


def test_calls_go_through_the_sidecar_if_wanted_and_variables_that_are_there_stay() -> None:
    metadata, spec = pod()
    spec["containers"][0]["env"] = [{"name": "NO_PROXY", "value": "db"}]
    assert inject(metadata, spec, OPTIONS).spec["containers"][0]["env"] == spec["containers"][0]["env"]
    metadata["annotations"] = {"gray-gateway.io/http-proxy": "true"}
    env = {item["name"]: item["value"] for item in inject(metadata, spec, OPTIONS).spec["containers"][0]["env"]}
    assert (env["HTTP_PROXY"], env["http_proxy"], env["NO_PROXY"]) == (*["http://127.0.0.1:15081"] * 2, "db")


def test_a_hook_that_is_there_stays() -> None:
    metadata, spec = pod()
    spec["containers"][0]["lifecycle"] = {"preStop": {"exec": {"command": ["x"]}}}
    assert inject(metadata, spec, OPTIONS).spec["containers"][0]["lifecycle"] == spec["containers"][0]["lifecycle"]


def test_the_ports_are_those_of_the_sidecars_configuration() -> None:
    file = Path(__file__).parents[3] / "config" / "kubernetes" / "sidecar.yaml"
    environ = {item["name"]: item["value"] for item in sidecar(inject(*pod(), OPTIONS).spec)["env"]}
    settings = load_sidecar(file, (), environ).settings
    assert (settings.service, settings.tag, str(settings.app)) == ("spring-cloud-a", "base", "127.0.0.1:8080")
    assert (settings.inbound.port, settings.admin.port) == (INBOUND, ADMIN)
