"""LaneGroup objects as files of rules, with a status that says how each fared."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import RegistryError
from gateway.kubernetes.client import ApiClient
from gateway.rulesources.documents import ConflictError
from gateway.rulesources.lanegroups import LaneGroupFolder
from gateway.rulesources.mirror import LaneGroupMirror
from tests.support.apiserver import ApiServer, status

GROUPS = "/apis/graygateway.io/v1alpha1/namespaces/shop/lanegroups"
LANES = [
    {"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}]},
    {"name": "blue", "tag": "blue", "enabled": False, "match": [{"param": "group", "equals": "1"}]},
]
TEXT = """\
lane_groups:
  - name: demo
    lanes:
      - name: gray
        tag: gray
        match:
          - param: group
            equals: gray
"""


def group(name: str = "demo", lanes: Any = None, **more: Any) -> dict[str, Any]:
    metadata = {"uid": f"u-{name}", "name": name, "resourceVersion": "7", "generation": 3}
    return {"metadata": metadata, "spec": {"lanes": LANES[:1] if lanes is None else lanes}, **more}


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    await server.start()
    server.items[GROUPS] = [group()]
    yield server
    await server.stop()


@pytest.fixture
async def folder(server: ApiServer) -> AsyncIterator[LaneGroupFolder]:
    folder = LaneGroupFolder(ApiClient(server.access()), "")
    yield folder
    await folder.close()


def written(server: ApiServer) -> list[dict[str, Any]]:
    """The statuses that were written, without times."""
    for body in server.bodies:
        for condition in body["status"]["conditions"]:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", condition.pop("lastTransitionTime"))
    return [body["status"] for body in server.bodies]


def condition(kind: str, state: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": state, "reason": reason, "message": message, "observedGeneration": 3}


async def test_each_object_is_a_file_with_its_name(server: ApiServer, folder: LaneGroupFolder) -> None:
    watch = folder.watch()
    assert await anext(watch) == {"demo.yaml": TEXT}
    await watch.aclose()


async def test_none_is_nothing_and_no_such_api_is_said(server: ApiServer, folder: LaneGroupFolder) -> None:
    server.items[GROUPS] = []
    watch = folder.watch()
    assert await anext(watch) is None
    await watch.aclose()
    server.refusals[GROUPS] = [(404, status(404, "NotFound", "no such resource"))] * 3
    with pytest.raises(RegistryError) as error:
        await anext(folder.watch())
    assert error.value.reason == "api"


async def test_a_status_says_which_lanes_are_open_and_is_written_once(
    server: ApiServer, folder: LaneGroupFolder
) -> None:
    server.items[GROUPS] = [group(lanes=LANES)]
    server.refusals[f"{GROUPS}/demo/status"] = [(200, {})]
    watch = folder.watch()
    await anext(watch)
    await folder.report({}, True)
    await watch.aclose()
    (found,) = written(server)
    assert found == {
        "lanes": "gray (open), blue (closed)",
        "conditions": [condition("Accepted", "True", "Valid"), condition("InForce", "True", "Loaded")],
    }
    server.items[GROUPS] = [group(lanes=LANES, status=found)]
    watch = folder.watch()
    await anext(watch)
    await folder.report({}, True)
    await watch.aclose()
    assert len(server.bodies) == 1


async def test_an_object_with_a_problem_shows_it_and_the_others_that_they_are_not_in_force(
    server: ApiServer, folder: LaneGroupFolder
) -> None:
    server.items[GROUPS] = [group(), group("other")]
    server.refusals.update({f"{GROUPS}/{name}/status": [(200, {})] for name in ("demo", "other")})
    watch = folder.watch()
    await anext(watch)

    async def changed(cause: str) -> None:
        raise AssertionError(cause)

    mirror = LaneGroupMirror(folder, Path("unused"), changed)
    await mirror.report(["kubernetes:lanegroups/demo.yaml:3:5: lanes.0.tag: no", "rules/x.yaml:1:1: other"])
    await watch.aclose()
    before = "the rules before are in force"
    assert [item["conditions"] for item in written(server)] == [
        [
            condition("Accepted", "False", "Invalid", "3:5: lanes.0.tag: no"),
            condition("InForce", "False", "Invalid", before),
        ],
        [condition("Accepted", "True", "Valid"), condition("InForce", "False", "OthersInvalid", before)],
    ]


async def test_an_account_that_may_not_write_a_status_changes_nothing(
    server: ApiServer, folder: LaneGroupFolder
) -> None:
    server.refusals[f"{GROUPS}/demo/status"] = [(403, status(403, "Forbidden"))]
    watch = folder.watch()
    await anext(watch)
    await folder.report({}, True)
    await watch.aclose()


async def test_a_group_is_written_with_the_version_that_was_read(server: ApiServer, folder: LaneGroupFolder) -> None:
    server.refusals[f"{GROUPS}/demo"] = [(200, group()), (200, {}), (200, group()), (200, {})]
    await folder.publish("demo.yaml", TEXT.replace("tag: gray", "tag: blue"), TEXT)
    await folder.publish("demo.yaml", None, TEXT)
    changed, deleted = server.bodies
    assert (changed["metadata"], changed["spec"]["lanes"][0]["tag"]) == (group()["metadata"], "blue")
    assert deleted == {"preconditions": {"resourceVersion": "7"}}


async def test_a_new_group_is_a_new_object(server: ApiServer, folder: LaneGroupFolder) -> None:
    server.refusals[GROUPS] = [(201, {})]
    await folder.publish("demo.yaml", TEXT, None)
    (body,) = server.bodies
    assert (body["kind"], body["metadata"], body["spec"]) == ("LaneGroup", {"name": "demo"}, {"lanes": LANES[:1]})


@pytest.mark.parametrize(
    "answers",
    [[(200, group(lanes=LANES))], [(404, status(404, "NotFound"))], [(200, group()), (409, status(409, "Conflict"))]],
    ids=["changed", "gone", "changed between reading and writing"],
)
async def test_what_somebody_else_has_changed_is_not_overwritten(
    server: ApiServer, folder: LaneGroupFolder, answers: list[tuple[int, Any]]
) -> None:
    server.refusals[f"{GROUPS}/demo"] = answers
    with pytest.raises(ConflictError, match="it was changed in the meantime"):
        await folder.publish("demo.yaml", TEXT, TEXT)


@pytest.mark.parametrize("text", [TEXT.replace("demo", "other"), TEXT + "segments: []\n", "lane_groups: []\n", "7\n"])
async def test_an_object_has_one_group_of_its_own_name(server: ApiServer, folder: LaneGroupFolder, text: str) -> None:
    server.refusals[f"{GROUPS}/demo"] = [(200, group())]
    with pytest.raises(RegistryError, match="a LaneGroup has exactly one lane group, with the name of the object"):
        await folder.publish("demo.yaml", text, TEXT)
