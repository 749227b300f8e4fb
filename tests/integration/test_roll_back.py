"""Rolling back: from wherever the gateway is started, and never to anywhere but the rules."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.support.gateway import RULES, Gateway
from tests.support.origin import Origin
from tests.support.process import get_json
from tests.support.wait import until

OFF = RULES.replace("enabled: true", "enabled: false")
OTHER = RULES.replace("demo", "other").replace("equals: gray", "equals: red")


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin) -> AsyncIterator[Gateway]:
    (tmp_path / "there" / "config").mkdir(parents=True)
    gateway = Gateway(tmp_path / "there" / "config", origin)
    gateway.config["state"] = "../state"
    gateway.config["rules"] = ["../rules", "one.yaml"]
    gateway.write("gw.yaml", gateway.config)
    gateway.write("../rules/gray.yaml", RULES)
    gateway.write("one.yaml", OTHER)
    yield gateway
    await gateway.close()


async def start(gateway: Gateway, folder: Path, config: str) -> None:
    """From another working directory, with the configuration spelled otherwise."""
    folder.mkdir(exist_ok=True)
    gateway.folder = folder
    await gateway.start("serve", "-c", config)
    await gateway.wait_ok(gateway.admin)


async def post(gateway: Gateway, path: str) -> tuple[int, Any]:
    async with ClientSession() as session:
        async with session.post(f"http://127.0.0.1:{gateway.admin}/api/v1{path}", json={}) as response:
            return response.status, await response.json(content_type=None)


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.yaml") if path.is_file()}


@pytest.mark.parametrize("spelling", ["absolute", "relative", "linked"])
async def test_it_does_not_matter_where_the_gateway_is_started(gateway: Gateway, tmp_path: Path, spelling: str) -> None:
    there = tmp_path / "there"
    await start(gateway, there / "config", "gw.yaml")
    assert (await post(gateway, "/groups/demo/lanes/gray/disable"))[0] == 200
    assert list((await get_json(gateway.admin, "/api/v1/history/1"))["files"]) == ["../rules/gray.yaml", "one.yaml"]
    await gateway.close()
    (tmp_path / "link").symlink_to(there)
    elsewhere = tmp_path / "elsewhere"
    config = {"absolute": f"{there}/config/gw.yaml", "relative": "../there/config/gw.yaml", "linked": f"{tmp_path}/link/config/gw.yaml"}  # fmt: skip
    await start(gateway, elsewhere, config[spelling])
    before = files(there)
    status, body = await post(gateway, "/history/1/rollback")
    assert (status, body["revision"]) == (200, 4), body
    assert files(there) == {**before, "rules/gray.yaml": RULES}
    assert list(elsewhere.iterdir()) == []
    assert (await gateway.ask("/A/x?group=gray")).split()[0] == "gray"
    assert (await gateway.ask("/A/x?group=red")).split()[0] == "gray"


async def test_files_that_came_later_are_removed_and_come_back(gateway: Gateway, tmp_path: Path) -> None:
    there = tmp_path / "there"
    await start(gateway, there / "config", "gw.yaml")
    (there / "rules" / "more.yaml").write_text(OTHER.replace("other", "more"))
    await gateway.wait_revision(2)
    # In force and in the history already, and on the disk a moment later: `close` does not let it finish.
    await until(lambda: len(list((there / "state" / "history").glob("*.json"))) == 2)
    await gateway.close()
    await start(gateway, tmp_path, "there/config/gw.yaml")
    assert (await post(gateway, "/history/1/rollback"))[0] == 200
    assert sorted(files(there)) == ["config/gw.yaml", "config/one.yaml", "rules/gray.yaml"]
    assert (await post(gateway, "/history/2/rollback"))[0] == 200
    assert sorted(files(there)) == ["config/gw.yaml", "config/one.yaml", "rules/gray.yaml", "rules/more.yaml"]


def planted(there: Path) -> list[tuple[str, dict[str, str]]]:
    """Revisions that nobody recorded, or that an earlier version has."""
    outside = there.parent / "outside.yaml"
    return [
        ("absolute", {str(outside): RULES}),
        ("absolute rules", {str(there / "rules" / "gray.yaml"): OFF}),
        ("relative to elsewhere", {"there/rules/gray.yaml": OFF}),
        ("above", {"../rules/../../outside.yaml": RULES}),
        ("the configuration", {"gw.yaml": "{}", "one.yaml": OTHER}),
        ("beside", {"../rules/gray.yaml": RULES, "one.yaml": OTHER, "../rules/x.sh": "#!/bin/sh"}),
        ("hidden", {"../rules/gray.yaml": RULES, "one.yaml": OTHER, "../rules/.x.yaml": RULES}),
        ("below", {"../rules/gray.yaml": RULES, "one.yaml": OTHER, "../rules/a/b.yaml": RULES}),
        ("NUL", {"../rules/gray.yaml": RULES, "one.yaml": OTHER, "../rules/a\0.yaml": RULES}),
        ("a link", {"../rules/gray.yaml": RULES, "one.yaml": OTHER, "../rules/link.yaml": RULES}),
        ("without a source", {"../rules/gray.yaml": RULES}),
        ("nothing", {}),
    ]


async def test_a_revision_that_somebody_has_put_there_writes_and_deletes_nothing(
    gateway: Gateway, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    (there / "rules" / "link.yaml").symlink_to(tmp_path / "linked.yaml")
    revisions = planted(there)
    folder = there / "state" / "history"
    folder.mkdir(parents=True)
    for number, (_, content) in enumerate(revisions, 1):
        data = {"number": number, "at": 1.0, "author": "", "cause": "", "files": content}
        (folder / f"{number:09d}.json").write_text(json.dumps(data))
    await start(gateway, tmp_path, "there/config/gw.yaml")
    before, everything = files(there), sorted(map(str, tmp_path.rglob("*")))
    for number, (name, _) in enumerate(revisions, 1):
        status, body = await post(gateway, f"/history/{number}/rollback")
        assert (status, body["code"]) == (422, "bad_revision"), name
        assert body["detail"].startswith("the revision "), name
    assert files(there) == before
    assert sorted(map(str, tmp_path.rglob("*"))) == everything
    assert (await gateway.ask("/A/x?group=gray")).split()[0] == "gray"


async def test_a_state_of_others_does_not_keep_it_from_starting(gateway: Gateway, tmp_path: Path) -> None:
    folder = tmp_path / "there" / "state" / "history"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "000000001.json")
    (folder / "000000002.json").symlink_to("/dev/zero")
    (folder / "000000003.json").write_text("\x1b[2J")
    await start(gateway, tmp_path, "there/config/gw.yaml")
    assert (await get_json(gateway.admin, "/api/v1/status"))["revision"] == 1
    assert "000000003.json is ignored" in gateway.log.read_text()
    assert "\x1b" not in gateway.log.read_text()
