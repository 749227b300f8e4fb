"""The objects of a revision: whose they are, which Deployment is its own, and what cannot be deployed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from gateway.errors import GatewayError
from gateway.release.targets.base import Place, Revision
from gateway.release.targets.manifests import manifests_of, owned_by, replicas_asked, scaled, short

PLACE = Place("gray", "shop", "a")


def documents(**spec: Any) -> list[dict[str, Any]]:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "a:1"}]}}
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a-gray"}}
    return [
        {**head, "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template, **spec}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"selector": {"app": "a"}}},
    ]


def revision(items: list[Any] | None = None, version: str = "1") -> Revision:
    return Revision.of(version, "svc-a", yaml.safe_dump_all(documents() if items is None else items), {}, {})


def test_each_revision_has_a_deployment_of_its_own_and_everything_says_whose_it_is() -> None:
    one = revision()
    found = manifests_of(PLACE, one)
    hashed = short(one.name)
    labels = {
        "app.kubernetes.io/managed-by": "gray-gateway-release",
        "gray-gateway.io/environment": "gray",
        "gray-gateway.io/application": "a",
    }
    deployment = scaled(found.workload, 2)
    assert deployment["metadata"] == {
        "name": f"a-gray-{hashed}",
        "namespace": "shop",
        "labels": {**labels, "gray-gateway.io/revision": hashed},
        "annotations": {"gray-gateway.io/revision": one.name},
    }
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["selector"] == {"matchLabels": {"app": "a", "gray-gateway.io/revision": hashed}}
    assert deployment["spec"]["template"]["metadata"] == {
        "labels": {"app": "a", **labels, "gray-gateway.io/revision": hashed},
        "annotations": {
            "gray-gateway.io/revision": one.name,
            "gray-gateway.io/version": "1",
            "gray-gateway.io/service-name": "svc-a",
        },
    }
    (service,) = found.shared
    assert service["metadata"] == {"name": "a", "namespace": "shop", "labels": labels}
    assert owned_by(PLACE) == ",".join(f"{key}={value}" for key, value in labels.items())


def test_another_version_is_another_deployment() -> None:
    names = {manifests_of(PLACE, revision(version=text)).workload["metadata"]["name"] for text in ("1", "2")}
    assert len(names) == 2


@pytest.mark.parametrize(("spec", "count"), [({}, 1), ({"replicas": 0}, 0), ({"replicas": 12}, 12)])
def test_how_many_are_asked_for(spec: dict[str, Any], count: int) -> None:
    assert replicas_asked(revision(documents(**spec))) == count


@pytest.mark.parametrize("value", ["two", -1, 1.5, True, 10_000])
def test_what_is_no_number_of_replicas(value: Any) -> None:
    with pytest.raises(GatewayError, match="a number from 0 to 9999 is accepted"):
        replicas_asked(revision(documents(replicas=value)))


def test_a_stateful_set_is_one_for_all_revisions() -> None:
    """Its name and its selector stay as they are; its pods say which revision they are of."""
    first, *_ = documents()
    one = revision([{**first, "kind": "StatefulSet"}])
    found = manifests_of(PLACE, one).workload
    assert found["metadata"]["name"] == "a-gray"
    assert found["metadata"]["annotations"] == {"gray-gateway.io/revision": one.name}
    assert "gray-gateway.io/revision" not in found["metadata"]["labels"]
    assert found["spec"]["selector"] == {"matchLabels": {"app": "a"}}
    pod = found["spec"]["template"]["metadata"]
    assert pod["labels"]["gray-gateway.io/revision"] == short(one.name)
    assert pod["annotations"]["gray-gateway.io/revision"] == one.name


SET = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "a"}}
ELSEWHERE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b", "namespace": "bank"}}


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([{**SET, "kind": "CloneSet"}], "wants one Deployment or StatefulSet; the manifest has: CloneSet"),
        ([SET, *documents()], "the manifest has: StatefulSet, Deployment, Service"),
        ([{**SET, "spec": {"updateStrategy": {"type": "OnDelete"}}}], "StatefulSet a: .* OnDelete, nobody replaces"),
        ([*documents(), documents()[0]], "the manifest has: Deployment, Service, Deployment"),
        ([*documents(), ELSEWHERE], "Service b is for namespace bank, and environment gray is in shop"),
        ([{"kind": "Deployment"}], "needs `apiVersion`, `kind` and `metadata.name`"),
        ([7], "needs `apiVersion`, `kind` and `metadata.name`"),
    ],
)
def test_what_cannot_be_deployed(items: list[Any], message: str) -> None:
    with pytest.raises(GatewayError, match=message):
        manifests_of(PLACE, revision(items))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "the manifest is not YAML"),
        ("a: 1\na: 2", "is not YAML: the key 'a' is given twice"),
        ("[" * 20_000, "is nested too deeply"),
    ],
    ids=["open", "twice", "deep"],
)
def test_no_yaml(text: str, message: str) -> None:
    with pytest.raises(GatewayError, match=message):
        manifests_of(PLACE, Revision.of("1", "a", text, {}, {}))


def test_a_time_of_day_is_a_text() -> None:
    """To PyYAML it is a number."""
    annotated = yaml.safe_dump_all(documents()).replace(
        "name: a-gray\n", "name: a-gray\n  annotations: {open: 12:30:00}\n"
    )
    found = manifests_of(PLACE, Revision.of("1", "a", annotated, {}, {})).workload
    assert found["metadata"]["annotations"]["open"] == "12:30:00"


def test_a_name_that_cannot_be_a_label() -> None:
    with pytest.raises(GatewayError, match="'x/y' cannot be a label in Kubernetes"):
        manifests_of(Place("x/y", "shop", "a"), revision())
