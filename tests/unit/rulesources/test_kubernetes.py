"""A ConfigMap as a folder of rules: read by a watch, written bound to what was read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.errors import RegistryError
from gateway.kubernetes.client import ApiClient
from gateway.rulesources.documents import ConflictError
from gateway.rulesources.kubernetes import ConfigMapFolder
from tests.support.apiserver import ApiServer, status
from tests.support.wait import until

MAPS = "/api/v1/namespaces/shop/configmaps"
MAP = f"{MAPS}/gray"


def config_map(**data: str) -> dict[str, Any]:
    return {"metadata": {"uid": "u", "name": "gray", "resourceVersion": "7"}, "data": data}


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    await server.start()
    server.items[MAPS] = []
    yield server
    await server.stop()


@pytest.fixture
async def folder(server: ApiServer) -> AsyncIterator[ConfigMapFolder]:
    folder = ConfigMapFolder(ApiClient(server.access()), "", "gray", (".yaml", ".yml"))
    yield folder
    await folder.close()


async def test_keys_that_can_be_rules_are_told_as_they_change(server: ApiServer, folder: ConfigMapFolder) -> None:
    server.items[MAPS] = [config_map(**{"a.yaml": "1", "b.yml": "2", "notes.txt": "x"})]
    watch = folder.watch()
    assert await anext(watch) == {"a.yaml": "1", "b.yml": "2"}
    await until(lambda: server.is_watched(MAPS))
    server.send(MAPS, "MODIFIED", config_map(**{"a.yaml": "3"}))
    async with asyncio.timeout(10):
        while await anext(watch) != {"a.yaml": "3"}:
            pass
    server.send(MAPS, "DELETED", config_map())
    async with asyncio.timeout(10):
        while await anext(watch) is not None:
            pass
    await watch.aclose()
    asked = [query["fieldSelector"] for _, path, query in server.requests if path == MAPS]
    assert set(asked) == {"metadata.name=gray"}, "an account may see this one alone"


async def test_no_config_map_and_none_with_rules_are_nothing(server: ApiServer, folder: ConfigMapFolder) -> None:
    for there in ([], [config_map(**{"notes.txt": "x"})]):
        server.items[MAPS] = there
        watch = folder.watch()
        assert await anext(watch) is None
        await watch.aclose()


async def test_a_refusal_says_what_an_account_needs(server: ApiServer, folder: ConfigMapFolder) -> None:
    server.refusals[MAPS] = [(403, status(403, "Forbidden", "no"))] * 3
    with pytest.raises(
        RegistryError, match=r"no; get, list and watch of the configmap, and patch to change it, are needed"
    ):
        await anext(folder.watch())


async def test_a_key_is_written_with_the_version_that_was_read(server: ApiServer, folder: ConfigMapFolder) -> None:
    server.refusals[MAP] = [
        (200, config_map(**{"a.yaml": "1"})),
        (200, {}),
        (200, config_map(**{"a.yaml": "2"})),
        (200, {}),
    ]
    await folder.publish("a.yaml", "2", "1")
    await folder.publish("a.yaml", None, "2")
    assert server.bodies == [
        {"metadata": {"resourceVersion": "7"}, "data": {"a.yaml": "2"}},
        {"metadata": {"resourceVersion": "7"}, "data": {"a.yaml": None}},
    ]


async def test_the_first_key_makes_the_config_map(server: ApiServer, folder: ConfigMapFolder) -> None:
    server.refusals[MAPS] = [(201, {})]
    await folder.publish("a.yaml", "1", None)
    assert server.bodies == [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gray"}, "data": {"a.yaml": "1"}}
    ]


@pytest.mark.parametrize(
    "answers",
    [
        [(200, config_map(**{"a.yaml": "other"}))],
        [(200, config_map())],
        [(404, status(404, "NotFound"))],
        [(200, config_map(**{"a.yaml": "1"})), (409, status(409, "Conflict"))],
    ],
    ids=["changed", "key gone", "map gone", "changed between reading and writing"],
)
async def test_what_somebody_else_has_changed_is_not_overwritten(
    server: ApiServer, folder: ConfigMapFolder, answers: list[tuple[int, Any]]
) -> None:
    server.refusals[MAP] = answers
    with pytest.raises(ConflictError, match=r"kubernetes:gray/a\.yaml: it was changed in the meantime"):
        await folder.publish("a.yaml", "2", "1")


async def test_one_that_may_not_be_changed_says_so(server: ApiServer, folder: ConfigMapFolder) -> None:
    immutable = status(422, "Invalid", "field is immutable when `immutable` is set")
    server.refusals[MAP] = [(200, config_map(**{"a.yaml": "1"})), (422, immutable)]
    with pytest.raises(RegistryError, match="field is immutable"):
        await folder.publish("a.yaml", "2", "1")
