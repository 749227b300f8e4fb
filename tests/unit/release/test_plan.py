"""Orders made of workflows: who does what, in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.release.catalog import load_catalog
from gateway.release.plan import Wish, plan_release, plan_take_back
from gateway.release.store import VersionRecord
from tests.support.release import FILES, WORKFLOW, write_files

RECORD = VersionRecord("prod", "a", 7, "41", {"backend": "a:41"}, {}, "kind: X", "alice", "why", 1.0)


def wish(*apps: str, **more: object) -> Wish:
    fields: dict[str, object] = {"images": {(None, "backend"): "shop:1"}, **more}
    return Wish(dict.fromkeys(apps), "alice", "why", **fields)  # type: ignore[arg-type]


def test_a_train_does_production_one_after_the_other_and_the_rest_at_once(tmp_path: Path) -> None:
    order = plan_release(load_catalog(write_files(tmp_path)), wish("a", "c"), {}, {}, 1.0)
    assert [(task.name, task.kind, task.rank) for task in order.tasks] == [
        ("gray.1.c", "deploy", 0),
        ("gray.1.a", "deploy", 0),
        ("gray.2", "lane", 0),
        ("production.1", "approve", 0),
        ("production.2.c", "deploy", 0),
        ("production.2.a", "deploy", 1),
        ("cleanup.1", "lane", 0),
        ("cleanup.2.c", "cleanup", 0),
        ("cleanup.2.a", "cleanup", 0),
    ]
    assert (order.environments, order.lanes) == (["gray", "prod"], [("demo", "gray")])


def test_versions_are_counted_on_and_what_ran_before_is_known(tmp_path: Path) -> None:
    order = plan_release(
        load_catalog(write_files(tmp_path)), wish("a"), {("prod", "a"): RECORD}, {"a": ["41", "x"]}, 1.0
    )
    assert (order.releases["a"].version, order.releases["a"].before) == ("42", {"gray": None, "prod": "41"})


def test_images_are_called_by_application_and_version_where_they_are_built(tmp_path: Path) -> None:
    changed = {
        "workflows/release.yaml": WORKFLOW.replace("stages:\n", "stages:\n  - {name: build, steps: [{build: }]}\n"),
        "apps/a.yaml": FILES["apps/a.yaml"].replace("{backend: {", "{backend: {repository: registry.example/a, "),
    }
    order = plan_release(load_catalog(write_files(tmp_path, changed)), wish("a", "c", images={}), {}, {}, 1.0)
    assert [item.images for item in order.releases.values()] == [
        {"backend": "c-backend:1"},
        {"backend": "registry.example/a:1"},
    ]
    assert "image: registry.example/a:1" in order.releases["a"].manifests["prod"]


def test_applications_with_different_workflows_want_to_be_told_which(tmp_path: Path) -> None:
    changed = {
        "apps/a.yaml": FILES["apps/a.yaml"].replace("workflow: release", "workflow: other"),
        "workflows/other.yaml": WORKFLOW,
    }
    catalog = load_catalog(write_files(tmp_path, changed))
    with pytest.raises(GatewayError, match=r"different workflows \(other, release\): say which one with --workflow"):
        plan_release(catalog, wish("a", "c"), {}, {}, 1.0)
    assert plan_release(catalog, wish("a", "c", workflow="release"), {}, {}, 1.0).workflow == "release"


def test_taking_back_closes_lanes_first_and_then_goes_backwards(tmp_path: Path) -> None:
    order = plan_release(load_catalog(write_files(tmp_path)), wish("a"), {}, {}, 1.0)
    assert plan_take_back(order) == []
    for task in order.tasks[:4]:
        task.started_at = 1.0
    tasks = plan_take_back(order)
    assert [(task.name, task.kind, task.spec.get("environment")) for task in tasks] == [
        ("take-back.1", "lane", None),
        ("take-back.2.a", "restore", "prod"),
        ("take-back.3.a", "restore", "gray"),
    ]
