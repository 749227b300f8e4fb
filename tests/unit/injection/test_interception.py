"""Which calls of a pod are redirected to its sidecar, and what the init container needs for that."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.injection.interception import USER, Interception
from gateway.injection.pod import Options, Refused, inject
from tests.support.pods import pod


def injected(is_native: bool = True, **annotations: str) -> dict[str, Any]:
    metadata, spec = pod(initContainers=[{"name": "migrate"}])
    found = {f"gray-gateway.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return inject({**metadata, "annotations": found}, spec, Options("x:1", is_native)).spec


def test_the_rules_redirect_calls_to_these_ports_but_those_of_the_sidecar_and_of_the_pod_to_itself() -> None:
    assert Interception("80, 8080", "10.0.0.0/8,192.168.1.0/24").rules(15081) == (
        "*nat\n"
        ":GRAY_OUTBOUND - [0:0]\n"
        "-A OUTPUT -p tcp -j GRAY_OUTBOUND\n"
        "-A GRAY_OUTBOUND -m owner --uid-owner 15081 -j RETURN\n"
        "-A GRAY_OUTBOUND -o lo -j RETURN\n"
        "-A GRAY_OUTBOUND -d 10.0.0.0/8 -p tcp -m multiport --dports 80,8080 -j REDIRECT --to-ports 15081\n"
        "-A GRAY_OUTBOUND -d 192.168.1.0/24 -p tcp -m multiport --dports 80,8080 -j REDIRECT --to-ports 15081\n"
        "COMMIT\n"
    )


def test_an_init_container_with_one_capability_comes_first_and_the_sidecar_has_a_user_of_its_own() -> None:
    first, sidecar, last = injected(intercept="true", intercept_ports="8080")["initContainers"]
    assert (first["name"], sidecar["name"], last["name"]) == ("gray-intercept", "gray-sidecar", "migrate")
    assert first["image"] == "x:1"
    assert first["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    assert first["securityContext"]["allowPrivilegeEscalation"] is False
    (rules,) = first["env"]
    assert rules["value"] == Interception("8080", "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16").rules(15081)
    assert sidecar["securityContext"]["runAsUser"] == sidecar["securityContext"]["runAsGroup"] == USER


def test_without_the_annotation_there_is_none_and_no_privilege() -> None:
    for spec in (injected(), injected(intercept="false"), injected(intercept_ports="80")):
        names = [item["name"] for item in spec["initContainers"]]
        assert names == ["gray-sidecar", "migrate"]


def test_beside_a_plain_sidecar_the_rules_come_after_the_other_init_containers() -> None:
    """Which would be redirected to a sidecar that has not started."""
    names = [item["name"] for item in injected(is_native=False, intercept="true")["initContainers"]]
    assert names == ["migrate", "gray-intercept"]


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ({"intercept_ports": "http"}, "'http' is not a port from 1 to 65535"),
        ({"intercept_ports": "80,"}, "'' is not a port"),
        ({"intercept_ports": "65536"}, "'65536' is not a port"),
        ({"intercept_ports": "80 -j ACCEPT"}, "is not a port"),
        ({"intercept_ports": "٣"}, "is not a port"),
        ({"intercept_ports": ",".join(map(str, range(1, 17)))}, "16 ports: at most 15"),
        ({"intercept_networks": "10.0.0.1/8"}, "'10.0.0.1/8' is not an IPv4 network like 10.0.0.0/8"),
        ({"intercept_networks": "fd00::/8"}, "is not an IPv4 network"),
        ({"intercept_networks": "10.0.0.0/8\n-A"}, "is not an IPv4 network"),
    ],
)
def test_what_cannot_be_redirected_is_refused(annotations: dict[str, str], message: str) -> None:
    with pytest.raises(Refused, match=message):
        injected(True, intercept="true", **annotations)


@pytest.mark.parametrize("holder", ["pod", "container"])
def test_a_container_that_runs_as_the_sidecars_user_is_refused(holder: str) -> None:
    metadata, spec = pod()
    (spec if holder == "pod" else spec["containers"][0])["securityContext"] = {"runAsUser": USER}
    with pytest.raises(Refused, match="the user 15081 is the sidecar's"):
        inject({**metadata, "annotations": {"gray-gateway.io/intercept": "true"}}, spec, Options("x"))
