"""What a manifest asks for, as processes."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.release.targets.base import Revision
from gateway.release.targets.workload import Workload, expand, workload_of

MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  template:
    metadata:
      labels: {msePilotCreateAppName: shop-service, alicloud.service.tag: gray}
    spec:
      containers:
        - image: shop:2
          args: [--verbose]
          env: [{name: COLOUR, value: red}]
          readinessProbe: {httpGet: {path: /ready, port: 8080}}
"""


def revision(manifest: str = MANIFEST, commands: dict[str, list[str]] | None = None) -> Revision:
    known = {"backend": ["serve", "$(ADDRESS)"]} if commands is None else commands
    return Revision.of("2", "shop", manifest, {"backend": "shop:2"}, known)


def test_a_deployment_is_a_workload() -> None:
    assert workload_of(revision()) == Workload(
        "shop-service", "gray", 2, ("serve", "$(ADDRESS)", "--verbose"), {"COLOUR": "red"}, "/ready"
    )


def test_without_labels_it_is_the_applications_service_in_the_baseline() -> None:
    bare = MANIFEST.replace("labels: {msePilotCreateAppName: shop-service, alicloud.service.tag: gray}", "labels: {}")
    workload = workload_of(revision(bare))
    assert (workload.service, workload.tag) == ("shop", "base")


def test_a_container_s_own_command_wins() -> None:
    own = MANIFEST.replace("args: [--verbose]", "command: [java, -jar, shop.jar]")
    assert workload_of(revision(own)).command == ("java", "-jar", "shop.jar")


@pytest.mark.parametrize(
    ("manifest", "commands", "message"),
    [
        (MANIFEST.replace("kind: Deployment", "kind: Job"), None, "wants one document of kind Deployment"),
        (
            MANIFEST.replace("replicas: 2", "replicas: two"),
            None,
            "replicas: a number from 0 to 9999 is accepted; found 'two'",
        ),
        (MANIFEST.replace("args: [--verbose]", ""), {}, "nothing says what an instance runs"),
        (MANIFEST.replace("tag: gray", "tag: 'gr ay'"), None, "the tag of the pods' labels is none: 'gr ay'"),
    ],
)
def test_what_processes_cannot_be_is_said(manifest: str, commands: dict[str, list[str]] | None, message: str) -> None:
    with pytest.raises(GatewayError, match=message):
        workload_of(revision(manifest, commands))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://$(ADDRESS)/", "http://127.0.0.1:80/"),
        ("$(NOPE)", "$(NOPE)"),
        ("$$(ADDRESS)", "$(ADDRESS)"),
        ("$HOME", "$HOME"),
    ],
)
def test_variables_are_those_of_kubernetes(text: str, expected: str) -> None:
    assert expand(text, {"ADDRESS": "127.0.0.1:80"}) == expected


def test_a_version_with_other_values_is_another_revision() -> None:
    assert revision().name != revision(MANIFEST.replace("replicas: 2", "replicas: 3")).name
    assert revision().name == revision().name
