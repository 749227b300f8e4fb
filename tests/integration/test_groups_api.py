"""Groups and segments are changed over the API: what was tried changes nothing, what is refused names its field, comments stay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.integration.test_rules_api import Admin
from tests.support.gateway import Gateway
from tests.support.origin import Origin

RULES = """\
# Kept by the team.
segments: [{name: vips, file: ../vips.txt}]
lane_groups:
  - name: demo   # first
    services: [a]
    lanes:
      - {name: gray, tag: gray, match: [{header: X-User, segment: vips}]}   # them
"""
VIPS = "alice\n"


@pytest.fixture
async def admin(tmp_path: Path, origin: Origin) -> AsyncIterator[Admin]:
    gateway = Gateway(tmp_path, origin)
    gateway.config["state"] = "state"
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("vips.txt", VIPS)
    gateway.write("rules/gray.yaml", RULES)
    await gateway.start("serve", "-c", "gateway.yaml")
    await gateway.wait_ok(gateway.admin)
    async with ClientSession() as session:
        yield Admin(gateway, session)
    await gateway.close()


async def test_a_group_is_tried_changed_renamed_and_deleted_and_its_lanes_stay(admin: Admin) -> None:
    status, body, etag = await admin.ask("GET", "/groups/demo")
    assert (status, body["group"], body["lanes"]) == (200, {"name": "demo", "services": ["a"]}, 1)
    assert body["file"].endswith("rules/gray.yaml")
    changed = {"name": "shop", "services": ["a", "b"], "order": 3}
    status, body, _ = await admin.ask("PUT", "/groups/demo?dry_run=true", changed, If_Match=etag)
    assert (status, body["group"], set(body["review"])) == (200, changed, {"lint", "tests", "what_if"})
    assert "+    order: 3" in body["diff"]
    assert admin.file == RULES
    status, body, _ = await admin.ask("PUT", "/groups/demo", changed, If_Match=etag, X_Author="alice")
    assert (status, body["revision"]) == (200, 2)
    text = RULES.replace("name: demo ", "name: shop ").replace("[a]", "[a, b]")
    assert admin.file == text + "    order: 3\n"
    assert (await admin.ask("PUT", "/groups/shop", {"services": []}, If_Match=etag))[0] == 412
    status, body, _ = await admin.ask("PUT", "/groups/shop", {"services": ["a"]})  # what is not said is gone
    assert admin.file == RULES.replace("name: demo ", "name: shop ")
    assert (await admin.ask("GET", "/history"))[1]["revisions"][0]["cause"] == "group shop changed"
    assert (await admin.ask("DELETE", "/groups/shop?dry_run=true"))[1]["diff"].count("\n-") > 3
    assert (await admin.ask("DELETE", "/groups/shop"))[0] == 200
    assert (await admin.ask("GET", "/groups"))[1] == {"groups": []}


async def test_a_group_is_created_and_takes_lanes(admin: Admin) -> None:
    status, body, _ = await admin.ask("POST", "/groups", {"name": "beta", "order": -1})
    assert (status, body["group"]) == (201, {"name": "beta", "order": -1})
    lane = {"name": "l", "tag": "t", "match": [{"param": "x", "equals": "1"}]}
    assert (await admin.ask("POST", "/groups/beta/lanes", lane))[0] == 201
    groups = (await admin.ask("GET", "/groups"))[1]["groups"]
    assert [(item["group"]["name"], item["lanes"]) for item in groups] == [("beta", 1), ("demo", 1)]
    assert (await admin.ask("POST", "/groups", {"name": "beta"}))[1]["code"] == "already_there"
    assert RULES in admin.file


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/groups", {"name": "a b"}, "name"),
        ("POST", "/groups", {}, "name"),
        ("PUT", "/groups/demo", {"order": "soon"}, "order"),
        ("PUT", "/groups/demo", {"baseline": "none"}, "baseline"),
        ("PUT", "/groups/demo", {"sevices": []}, "sevices"),
        ("PUT", "/groups/demo", {"lanes": []}, "lanes"),
        ("PUT", "/segments/vips", {"text": "'alice"}, ""),
        ("PUT", "/segments/vips", {"text": ""}, ""),
    ],
)
async def test_what_is_unsound_is_refused_with_its_field(
    admin: Admin, method: str, path: str, body: object, field: str
) -> None:
    status, found, _ = await admin.ask(method, path, body)
    assert (status, found["errors"][0]["field"]) == (422, field)
    assert (admin.file, (admin.gateway.folder / "vips.txt").read_text()) == (RULES, VIPS)


async def test_a_segment_is_read_tried_and_changed(admin: Admin) -> None:
    [listed] = (await admin.ask("GET", "/segments"))[1]["segments"]
    assert (listed["segment"], listed["values"]) == ("vips", 1)
    status, body, etag = await admin.ask("GET", "/segments/vips")
    assert (status, body) == (200, {"segment": "vips", "text": VIPS})
    more = {"text": VIPS + "bob   # new\n"}
    status, body, _ = await admin.ask("PUT", "/segments/vips?dry_run=true", more)
    assert (status, "+bob" in body["diff"]) == (200, True)
    assert (admin.gateway.folder / "vips.txt").read_text() == VIPS
    assert (await admin.ask("PUT", "/segments/vips", more, If_Match=etag))[0] == 200
    assert (await admin.ask("GET", "/segments"))[1]["segments"][0]["values"] == 2
    assert (admin.gateway.folder / "vips.txt").read_text() == more["text"]
    assert (await admin.ask("PUT", "/segments/vips", more, If_Match=etag))[0] == 412
    assert (await admin.ask("GET", "/segments/nobody"))[0] == 404
    (admin.gateway.folder / "vips.txt").write_text("x" * (1 << 20) + "\n")
    assert (await admin.ask("GET", "/segments/vips"))[0] == 422
