"""Changing rules through the admin API of a running gateway, and looking back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from click.testing import CliRunner

from gateway.cli import main
from tests.support.gateway import Gateway
from tests.support.origin import Origin

RULES = """\
# Kept by the team.
lane_groups:
  - name: demo
    services: [a]   # only this one
    lanes:
      - {name: gray, enabled: true, tag: gray, match: [{param: group, equals: gray}]}
"""
BLUE = {"name": "blue", "tag": "gray", "match": [{"param": "group", "equals": "blue"}]}


class Admin:
    """The admin API of a gateway."""

    def __init__(self, gateway: Gateway, session: ClientSession) -> None:
        self.gateway = gateway
        self.session = session

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, str]:
        """Status, body and ETag."""
        url = f"http://127.0.0.1:{self.gateway.admin}/api/v1{path}"
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, url, json=body, headers=names) as response:
            return response.status, json.loads(await response.read()), response.headers.get("ETag", "")

    @property
    def file(self) -> str:
        return (self.gateway.folder / "rules" / "gray.yaml").read_text()


@pytest.fixture
async def admin(tmp_path: Path, origin: Origin) -> AsyncIterator[Admin]:
    gateway = Gateway(tmp_path, origin)
    gateway.config["state"] = "state"
    gateway.config["access_log"] = {"path": "access.log"}
    await gateway.run()
    gateway.write("rules/gray.yaml", RULES)
    await gateway.wait_revision(2)
    async with ClientSession() as session:
        yield Admin(gateway, session)
    await gateway.close()


async def pool(admin: Admin, group: str) -> str:
    return (await admin.gateway.ask(f"/A/x?group={group}")).split()[0]


async def test_a_lane_is_created_changed_and_deleted_and_its_file_keeps_its_comments(admin: Admin) -> None:
    lane = "/groups/demo/lanes/blue"
    assert (await admin.ask("GET", lane))[0] == 404
    assert await pool(admin, "blue") == "base"
    status, body, created = await admin.ask("POST", "/groups/demo/lanes", BLUE, X_Author="alice")
    assert (status, body["revision"], body["lane"]) == (201, 3, {**BLUE, "enabled": True})
    assert await pool(admin, "blue") == "gray"
    assert "# Kept by the team." in admin.file
    assert "# only this one" in admin.file
    assert (await admin.ask("POST", "/groups/demo/lanes", BLUE))[0] == 409
    assert (await admin.ask("POST", "/groups/nobody/lanes", BLUE))[0] == 404

    status, body, etag = await admin.ask("GET", lane)
    assert (status, body["lane"], etag) == (200, {**BLUE, "enabled": True}, created)
    assert body["file"].endswith("rules/gray.yaml")
    listed = (await admin.ask("GET", "/groups/demo/lanes"))[1]["lanes"]
    assert [(item["lane"]["name"], item["line"]) for item in listed] == [("gray", 6), ("blue", 7)]
    assert listed[1] == {**body, "etag": etag}
    assert (await admin.ask("GET", "/groups/nobody/lanes"))[0] == 404

    status, body, changed = await admin.ask("PATCH", lane, {"owner": "bob", "enabled": False}, If_Match=etag)
    assert (status, body["lane"]["owner"]) == (200, "bob")
    assert await pool(admin, "blue") == "base"
    status, body, _ = await admin.ask("PATCH", lane, {"owner": "eve"}, If_Match=etag)
    assert (status, body["code"]) == (412, "outdated")
    status, body, etag = await admin.ask("PATCH", lane, {"owner": None}, If_Match=changed)
    assert "owner" not in body["lane"]

    assert (await admin.ask("POST", lane + "/enable"))[1]["lane"]["enabled"] is True
    assert await pool(admin, "blue") == "gray"
    assert (await admin.ask("POST", lane + "/disable", If_Match=etag))[0] == 412
    assert (await admin.ask("POST", lane + "/disable"))[0] == 200
    assert await pool(admin, "blue") == "base"

    purple = {"tag": "gray", "match": [{"param": "group", "equals": "purple"}]}
    status, body, etag = await admin.ask("PUT", lane, purple, If_Match="*")
    assert (status, body["lane"]) == (200, {"name": "blue", "enabled": True, **purple})
    assert await pool(admin, "purple") == "gray"
    assert (await admin.ask("DELETE", lane, If_Match='"other"'))[0] == 412
    assert (await admin.ask("DELETE", lane, If_Match=etag))[0] == 200
    assert await pool(admin, "purple") == "base"
    assert (await admin.ask("GET", lane))[0] == 404
    assert await pool(admin, "gray") == "gray"


SEVERAL = """\
# Kept by the team.
lane_groups:
  - name: demo
    services: [a]
    lanes:
      # the first one
      - {name: gray, tag: gray, match: [{param: group, equals: gray}]}
      - name: last
        tag: gray  # not yet blue
        # who
        match:
          - {param: group, equals: last}
      # add lanes above this line
# the end
"""


async def test_a_change_leaves_everything_else_in_the_file_as_it_was(admin: Admin) -> None:
    admin.gateway.write("rules/gray.yaml", SEVERAL)
    await admin.gateway.wait_revision(3)
    lane = "/groups/demo/lanes/last"
    again = {"name": "last", "tag": "gray", "match": [{"param": "group", "equals": "last"}]}
    status, body, _ = await admin.ask("PUT", lane, again)
    assert (status, body["revision"], body["diff"], admin.file) == (200, 3, "", SEVERAL)
    status, _, _ = await admin.ask(
        "PUT", lane, {**again, "match": [{"client_ip": {"equals": "::1"}}], "owner": "a: ${X}"}
    )
    put = SEVERAL.replace("{param: group, equals: last}", "{client_ip: {equals: '::1'}}\n        owner: 'a: $${X}'")
    assert (status, admin.file) == (200, put)
    assert (await admin.ask("GET", lane))[1]["lane"]["owner"] == "a: ${X}"
    status, _, _ = await admin.ask("PATCH", lane, {"owner": None, "match": [{"header": "x", "equals": "a\u0085b"}]})
    assert (status, admin.file) == (
        200,
        SEVERAL.replace("{param: group, equals: last}", '{header: x, equals: "a\\Nb"}'),
    )
    assert (await admin.ask("GET", lane))[1]["lane"]["match"] == [{"header": "x", "equals": "a\u0085b"}]
    status, body, _ = await admin.ask("PATCH", lane, {"owner": "\ud800"})
    assert (status, body["detail"]) == (400, "the body contains a lone surrogate, which is not a character")
    assert (await admin.ask("DELETE", lane))[0] == 200
    assert (
        admin.file == SEVERAL[: SEVERAL.index("      - name: last")] + "      # add lanes above this line\n# the end\n"
    )
    assert (await admin.ask("DELETE", "/groups/demo/lanes/gray"))[0] == 200
    assert "    lanes: []\n      # the first one\n      # add lanes above this line\n# the end\n" in admin.file


async def test_a_change_that_does_not_check_names_the_field_and_changes_nothing(admin: Admin) -> None:
    before = admin.file
    wrong = {"name": "x", "tag": "base", "match": [{"param": "a", "percent": 101}, {"cookie": "b"}]}
    status, body, _ = await admin.ask("POST", "/groups/demo/lanes", wrong)
    assert (status, body["code"]) == (422, "bad_lane")
    assert {error["field"] for error in body["errors"]} == {"tag", "match.0.percent", "match.1"}
    assert "found '101'" in next(e["detail"] for e in body["errors"] if e["field"] == "match.0.percent")
    assert (await admin.ask("PATCH", "/groups/demo/lanes/gray", {"expires": "soon"}))[1]["errors"][0][
        "field"
    ] == "expires"
    # What is sound by itself may not be so beside the others, or with this configuration.
    status, body, _ = await admin.ask("PATCH", "/groups/demo/lanes/gray", {"debug": True})
    assert (status, "the configuration has no `debug:`" in body["errors"][0]["detail"]) == (422, True)
    assert (await admin.ask("POST", "/groups/demo/lanes", ["no", "lane"]))[0] == 400
    assert (await admin.ask("POST", "/groups/demo/lanes?dry_run=maybe", BLUE))[0] == 400
    nested: Any = {"param": "a", "equals": "x"}
    for _ in range(400):
        nested = {"not": nested}
    status, body, _ = await admin.ask("POST", "/groups/demo/lanes", {**BLUE, "match": [nested]})
    assert (status, body["detail"]) == (400, "the body is nested too deeply: more than 64 values inside one another")
    assert admin.file == before
    assert (await admin.ask("GET", "/status"))[1]["revision"] == 2
    status, body, _ = await admin.ask("POST", "/groups/demo/lanes?dry_run=true", BLUE)
    assert (status, body["revision"], body["dry_run"]) == (200, 2, True)
    assert "+      - name: blue" in body["diff"]
    assert admin.file == before
    assert await pool(admin, "blue") == "base"


async def test_history_tells_who_and_why_and_rolls_back(admin: Admin) -> None:
    server = f"127.0.0.1:{admin.gateway.admin}"
    await admin.ask("POST", "/groups/demo/lanes/gray/disable", X_Author="alice")
    admin.gateway.write("rules/more.yaml", RULES.replace("demo", "more").replace("gray}", "red}"))
    await admin.gateway.wait_revision(4)
    revisions = (await admin.ask("GET", "/history"))[1]["revisions"]
    assert [(item["revision"], item["author"], item["cause"]) for item in revisions] == [
        (4, None, "files changed"),
        (3, "alice", "lane demo/gray disabled"),
        (2, None, "files changed"),
        (1, None, "start"),
    ]
    assert list((await admin.ask("GET", "/history/2"))[1]["files"].values()) == [RULES]
    assert (await admin.ask("GET", "/history/99"))[0] == 404

    shown = CliRunner().invoke(main, ["rules", "history", "--server", server])
    assert shown.exit_code == 0
    assert "lane demo/gray disabled" in shown.stdout
    dry = CliRunner().invoke(main, ["rules", "rollback", "2", "--server", server, "--dry-run"])
    assert (dry.exit_code, "nothing was changed" in dry.stderr) == (0, True)
    assert await pool(admin, "gray") == "base"
    done = CliRunner().invoke(main, ["rules", "rollback", "2", "--server", server, "--author", "bob"])
    assert done.exit_code == 0, done.output
    assert "revision 5 now has the rules of revision 2" in done.stderr
    assert admin.file == RULES
    assert not (admin.gateway.folder / "rules" / "more.yaml").exists()
    assert (await pool(admin, "gray"), await pool(admin, "red")) == ("gray", "base")
    newest = (await admin.ask("GET", "/history"))[1]["revisions"][0]
    assert (newest["revision"], newest["author"], newest["cause"]) == (5, "bob", "rolled back to revision 2")

    # A restart goes on counting, and remembers.
    await admin.gateway.close()
    await admin.gateway.start("serve", "-c", "gateway.yaml")
    await admin.gateway.wait_ok(admin.gateway.admin)
    assert [item["revision"] for item in (await admin.ask("GET", "/history"))[1]["revisions"]] == [6, 5, 4, 3, 2, 1]


async def test_a_change_that_is_not_in_force_is_not_written_over(admin: Admin) -> None:
    broken = RULES.replace("tag: gray", "tga: gray")
    admin.gateway.write("rules/gray.yaml", broken)
    status, body, _ = await admin.ask("POST", "/groups/demo/lanes/gray/disable")
    assert (status, body["code"], "rules/gray.yaml; fix it" in body["detail"]) == (409, "not_in_force", True)
    assert admin.file == broken
    assert await pool(admin, "gray") == "gray"
    # Back to what runs: no revision is new, and the change that does not check is gone.
    status, body, _ = await admin.ask("POST", "/history/2/rollback")
    assert (status, body["revision"], "-      - {name: gray, enabled: true, tga: gray" in body["diff"]) == (
        200,
        2,
        True,
    )
    assert admin.file == RULES
    assert (await admin.ask("GET", "/status"))[1]["last_reload_error"] is None
    assert (await admin.ask("POST", "/groups/demo/lanes/gray/disable"))[0] == 200


async def test_a_change_of_a_file_that_nobody_has_seen_yet_is_taken_first(admin: Admin) -> None:
    admin.gateway.write("rules/gray.yaml", RULES.replace("equals: gray", "equals: grey"))
    status, body, _ = await admin.ask("PATCH", "/groups/demo/lanes/gray", {"owner": "bob"})
    assert (status, body["lane"]["match"]) == (200, [{"param": "group", "equals": "grey"}])
    assert (await pool(admin, "grey"), await pool(admin, "gray")) == ("gray", "base")


async def test_what_if_counts_who_would_move(admin: Admin) -> None:
    for group in ("gray", "blue", "blue", "x"):
        await admin.gateway.ask(f"/A/x?group={group}")
    draft = RULES.replace("equals: gray", "equals: blue")
    requests = [{"url": "/A/x?group=gray"}, {"nonsense": 1}]
    status, body, _ = await admin.ask("POST", "/whatif", {"rules": draft, "requests": requests})
    assert (status, body["requests"], body["unread"], body["moved"]) == (200, 1, 1, 1)
    assert body["moves"][0]["from"] == "demo/gray"
    assert body["moves"][0]["to"] == "baseline"
    async with asyncio.timeout(10):  # the access log is written now and then
        while (body := (await admin.ask("POST", "/whatif", {"rules": draft, "last": 100}))[1])["requests"] < 4:
            await asyncio.sleep(0.02)
    assert body["lanes"] == [
        {"lane": "demo/gray", "before": 1, "after": 2},
        {"lane": "baseline", "before": 3, "after": 2},
    ]
    assert [(move["from"], move["to"], move["requests"]) for move in body["moves"]] == [
        ("baseline", "demo/gray", 2),
        ("demo/gray", "baseline", 1),
    ]
    status, body, _ = await admin.ask("POST", "/whatif", {"rules": "lane_groups: [{name: '-'}]"})
    assert (status, body["errors"][0]["line"]) == (422, 1)
    assert (await admin.ask("POST", "/whatif", {"requests": []}))[0] == 400
    assert await pool(admin, "gray") == "gray"


async def raw(port: int, head: str) -> tuple[int, str]:
    """Status and body of the answer to a head that no client would make."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return int(answer.split()[1]), answer.partition("\r\n\r\n")[2]


async def test_explain_and_the_listener_read_a_target_alike(admin: Admin) -> None:
    """Whatever is asked for, explain says where the request goes, or that it is refused and with which status."""
    gateway = admin.gateway
    targets = [
        "/A/x?group=gray", "//A/x?group=gray", "/A//x?group=%67ray", "/%41/x?group=gray", "//x/A?group=gray", "/A/x?group=grey",
        f"http://127.0.0.1:{gateway.port}/A/x?group=gray", "http://other.example//A?group=gray", "/A/ä", "/A/../x", "/A/x#a?group=gray",
        "/A/%zz", "/A/x?group=gr%61y&group=x", "/A/x?a=b?group=gray", "*", "A/x", "/a?group=gray", "http:///A/x",
    ]  # fmt: skip
    for target in targets:
        head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        status, body = await raw(gateway.port, head)
        explained, found, _ = await admin.ask("POST", "/explain", {"url": target})
        if explained == 200:
            decision = found["decision"]
            assert (status, decision["error"]) == ((404, "no_route") if decision["route"] is None else (200, None)), (
                target
            )
            assert status == 404 or body.split()[0] == ("gray" if decision["lane"] else "base"), target
        else:
            assert status == explained, target


async def test_strangers_are_kept_out(tmp_path: Path, origin: Origin) -> None:
    gateway = Gateway(tmp_path, origin)
    gateway.config["admin_token"] = "let-me-in-please"
    await gateway.run()
    async with ClientSession() as session:
        admin = Admin(gateway, session)
        assert (await admin.ask("GET", "/lanes"))[0] == 401
        assert (await admin.ask("GET", "/lanes", Authorization="Bearer wrong"))[0] == 401
        good = "Bearer let-me-in-please"
        assert (await admin.ask("GET", "/lanes", Authorization=good))[0] == 200
        status, body, _ = await admin.ask(
            "POST", "/groups/demo/lanes/gray/disable", Authorization=good, Origin="http://evil.example"
        )
        assert (status, body["code"]) == (403, "wrong_origin")
        url = f"http://127.0.0.1:{gateway.admin}/metrics"
        async with session.get(url) as response:
            assert response.status == 200
    await gateway.close()


async def test_a_value_that_is_the_same_stays_as_it_is_spelt(admin: Admin) -> None:
    """A moment may be a date in the file, and a number have zeros: what a client read and sends back is no change."""
    spelt = RULES.replace(
        "match: [{param: group, equals: gray}]", "expires: 2099-03-31, match: [{cookie: uid, percent: 5.00}]"
    )
    admin.gateway.write("rules/gray.yaml", spelt)
    await admin.gateway.wait_revision(3)
    _, body, _ = await admin.ask("GET", "/groups/demo/lanes/gray")
    status, body, _ = await admin.ask("PUT", "/groups/demo/lanes/gray", {**body["lane"], "owner": "alice"})
    assert status == 200
    assert admin.file == spelt.replace("]}\n", "], owner: alice}\n")
