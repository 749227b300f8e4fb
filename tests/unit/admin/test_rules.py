"""The part of the admin API that changes rules: what it hands on, and how it tells what comes of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.admin.rules import MOST_ERRORS, RulesApi
from gateway.admin.server import AdminServer
from gateway.errors import ConfigError, Problem, RegistryError, StartError
from gateway.rules.ruleset import RuleSet
from gateway.rulesources.documents import ConflictError
from gateway.ruletools.edit import (
    AlreadyThere,
    Change,
    LaneView,
    Misplaced,
    NotInForce,
    NotThere,
    Outdated,
    Refused,
)
from gateway.ruletools.history import History, Revision
from gateway.ruletools.whatif import Comparison
from tests.support.admin import ShownRole
from tests.support.strangers import ask

VIEW = LaneView("demo", "gray", {"name": "gray", "tag": "gray"}, "e1", "rules.yaml", 3)
LANES, LANE = "/api/v1/groups/demo/lanes", "/api/v1/groups/demo/lanes/gray"
SENT = {"tag": "blue"}
RULE_SET = RuleSet()


class Editor:
    """See LaneEditor: remembers what it is told, and raises what a test sets."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.error: Exception | None = None

    def _note(self, *call: Any) -> None:
        self.log.append(call)
        if self.error is not None:
            raise self.error

    def view(self, group: str, name: str) -> LaneView:
        self._note("view", group, name)
        return VIEW

    def views(self, group: str) -> list[LaneView]:
        self._note("views", group)
        return [VIEW]

    async def create(self, *args: Any) -> Change:
        self._note("create", *args)
        return Change(VIEW, 7, "+ gray", RULE_SET)

    async def replace(self, *args: Any) -> Change:
        self._note("replace", *args)
        return Change(VIEW, 7, "~ gray", RULE_SET)

    async def patch(self, *args: Any, what: str = "changed") -> Change:
        self._note("patch", *args, what)
        return Change(VIEW, 7, "~ gray", RULE_SET)

    async def delete(self, *args: Any) -> Change:
        self._note("delete", *args)
        return Change(None, 7, "- gray", RULE_SET)

    async def roll_back(self, *args: Any) -> Change:
        self._note("roll_back", *args)
        return Change(None, 8, "", RULE_SET)


class Api:
    def __init__(self) -> None:
        self.editor = Editor()
        self.history = History()
        self.history.add(Revision(5, 100.0, "alice", "a change", {"rules.yaml": "lane_groups: []\n"}))
        self.history.add(Revision(6, 200.0, "", "SIGHUP", {}))
        self.drafts: list[tuple[Any, ...]] = []
        self.server = AdminServer(
            "127.0.0.1",
            0,
            ShownRole(),
            rules=RulesApi(self.editor, self.history, self._what_if, self._review),  # type: ignore[arg-type]
        )

    def _review(self, rules: RuleSet) -> Callable[[], dict[str, Any]]:
        return lambda: {"rules": rules is RULE_SET}

    def _what_if(self, *args: Any) -> Comparison:
        self.drafts.append(args)
        return Comparison(total=3)

    async def send(
        self, method: str, path: str, body: Any = None, *fields: tuple[str, str]
    ) -> tuple[int, dict[str, str], Any]:
        content = b"" if body is None else json.dumps(body).encode()
        kind = (("Content-Type", "application/json"),)
        status, found, response = await ask(self.server.port, method, path, (*kind, *fields), content)
        return status, found, json.loads(response)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    await api.server.start()
    yield api
    await api.server.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "call"),
    [
        ("GET", LANES, None, ("views", "demo")),
        ("GET", LANE, None, ("view", "demo", "gray")),
        ("POST", LANES, SENT, ("create", "demo", SENT, "bob", True)),
        ("PUT", LANE, SENT, ("replace", "demo", "gray", SENT, "e0", "bob", True)),
        ("PATCH", LANE, SENT, ("patch", "demo", "gray", SENT, "e0", "bob", True, "changed")),
        ("DELETE", LANE, None, ("delete", "demo", "gray", "e0", "bob", True)),
        ("POST", LANE + "/enable", {}, ("patch", "demo", "gray", {"enabled": True}, "e0", "bob", True, "enabled")),
        ("POST", LANE + "/disable", {}, ("patch", "demo", "gray", {"enabled": False}, "e0", "bob", True, "disabled")),
        (
            "POST",
            "/api/v1/history/5/rollback",
            {},
            ("roll_back", {"rules.yaml": "lane_groups: []\n"}, "rolled back to revision 5", "bob", True),
        ),
    ],
)  # fmt: skip
async def test_each_endpoint_hands_on_what_it_was_told(
    api: Api, method: str, path: str, body: Any, call: tuple[Any, ...]
) -> None:
    status, _, _ = await api.send(method, f"{path}?dry_run=true", body, ("X-Author", "bob"), ("If-Match", '"e0"'))
    assert status == 200
    assert api.editor.log == [call]


@pytest.mark.parametrize(("given", "etag"), [('"e1"', "e1"), ('W/"e1"', "e1"), ("*", "")])
async def test_the_etag_that_a_client_expects(api: Api, given: str, etag: str) -> None:
    await api.send("DELETE", LANE, None, ("If-Match", given))
    assert api.editor.log == [("delete", "demo", "gray", etag, "", False)]


async def test_a_lane_is_told_with_its_etag(api: Api) -> None:
    described = {"group": "demo", "lane": dict(VIEW.data), "file": "rules.yaml", "line": 3}
    status, fields, body = await api.send("GET", LANE)
    assert (status, fields["etag"], body) == (200, '"e1"', described)
    _, _, body = await api.send("GET", LANES)
    assert body == {"lanes": [{**described, "etag": '"e1"'}]}


async def test_a_lane_is_told_as_yaml_if_that_is_asked_for(api: Api) -> None:
    status, fields, body = await ask(api.server.port, "GET", LANE, (("Accept", "application/yaml, */*;q=0.1"),))
    assert (status, fields["etag"], body) == (200, '"e1"', b"name: gray\ntag: gray\n")
    assert fields["content-type"] == "application/yaml; charset=utf-8"


@pytest.mark.parametrize(("method", "path", "call"), [("POST", LANES, "create"), ("PUT", LANE, "replace")])
async def test_a_whole_lane_may_be_yaml(api: Api, method: str, path: str, call: str) -> None:
    kind = (("Content-Type", "application/yaml; charset=utf-8"),)
    status, _, _ = await ask(api.server.port, method, path, kind, b"name: gray\ntag: on")
    assert status in (200, 201)
    assert api.editor.log[0][0] == call
    assert {"name": "gray", "tag": "on"} in api.editor.log[0]
    for other, where in (("PATCH", LANE), ("DELETE", LANE), ("POST", LANE + "/enable")):
        status, _, body = await ask(api.server.port, other, where, kind, b"enabled: false")
        assert (status, json.loads(body)["code"]) == (415, "unsupported_media_type")


async def test_a_change_is_told_with_its_revision(api: Api) -> None:
    status, fields, body = await api.send("POST", LANES, SENT)
    assert (status, fields["location"], fields["etag"]) == (201, LANE, '"e1"')
    lane = {"group": "demo", "lane": dict(VIEW.data)}
    assert body == {"revision": 7, "dry_run": False, "diff": "+ gray", **lane}
    status, _, body = await api.send("POST", f"{LANES}?dry_run=true", SENT)
    reviewed = {"yaml": "name: gray\ntag: gray\n", "review": {"rules": True}}
    assert (status, body) == (200, {"revision": 7, "dry_run": True, "diff": "+ gray", **lane, **reviewed})
    status, fields, body = await api.send("DELETE", LANE)
    assert (status, "etag" in fields, body) == (200, False, {"revision": 7, "dry_run": False, "diff": "- gray"})


async def test_the_history_is_told_the_newest_first(api: Api) -> None:
    _, _, body = await api.send("GET", "/api/v1/history")
    assert body == {
        "revisions": [
            {"revision": 6, "at": 200.0, "author": None, "cause": "SIGHUP"},
            {"revision": 5, "at": 100.0, "author": "alice", "cause": "a change"},
        ]
    }
    _, _, body = await api.send("GET", "/api/v1/history/5")
    assert body == {
        "revision": 5,
        "at": 100.0,
        "author": "alice",
        "cause": "a change",
        "files": {"rules.yaml": "lane_groups: []\n"},
    }
    for path in ("/api/v1/history/4", "/api/v1/history/4/rollback"):
        status, _, body = await api.send("POST" if "rollback" in path else "GET", path)
        assert (status, body["detail"]) == (404, "revision 4 is not in the history")


async def test_a_what_if_hands_on_its_draft(api: Api) -> None:
    status, _, body = await api.send("POST", "/api/v1/whatif", {"rules": "x", "requests": [1], "last": 9})
    assert (status, body["requests"]) == (200, 3)
    assert (await api.send("POST", "/api/v1/whatif", {"rules": "y"}))[0] == 200
    assert api.drafts == [("x", [1], 9), ("y", [], 0)]


@pytest.mark.parametrize(
    ("error", "status", "code", "detail"),
    [
        (NotThere("nobody"), 404, "not_found", "nobody"),
        (AlreadyThere("twice"), 409, "already_there", "twice"),
        (NotInForce("not run"), 409, "not_in_force", "not run"),
        (Outdated("old"), 412, "outdated", "old"),
        (ConflictError("written"), 412, "outdated", "written"),
        (Misplaced("no place"), 422, "bad_revision", "no place"),
        (Refused([("tag", "is bad"), ("", "so is all")]), 422, "bad_lane", "tag: is bad; so is all"),
        (ConfigError([Problem("a.yaml", 1, 2, "is bad")]), 422, "bad_rules", "a.yaml:1:2: is bad"),
        (RegistryError("unreachable", "away"), 502, "source_unavailable", "the change was not made: away"),
        (OSError("disk"), 500, "not_written", "the change was not made: disk"),
        (StartError("other"), 500, "not_written", "the change was not made: other"),
    ],
)
async def test_what_is_in_the_way_of_a_change_is_told(
    api: Api, error: Exception, status: int, code: str, detail: str
) -> None:
    api.editor.error = error
    found, _, body = await api.send("DELETE", LANE)
    assert (found, body["code"], body["detail"]) == (status, code, detail)


async def test_of_many_problems_a_hundred_are_told(api: Api) -> None:
    api.editor.error = Refused([("match", str(number)) for number in range(MOST_ERRORS + 5)])
    _, _, body = await api.send("DELETE", LANE)
    assert body["errors"] == [{"field": "match", "detail": str(number)} for number in range(MOST_ERRORS)]
    assert body["detail"].endswith("match: 99; and 5 more")


@pytest.mark.parametrize(
    ("method", "path", "body", "detail"),
    [
        ("POST", LANES, [], "expected a lane"),
        ("PUT", LANE, 3, "expected a lane"),
        ("POST", LANE + "/enable?dry_run=perhaps", {}, "dry_run must be true or false, not 'perhaps'"),
        ("POST", "/api/v1/whatif", [], "`rules` must be YAML"),
        ("POST", "/api/v1/whatif", {"rules": "", "x": 1}, "unknown key 'x'"),
        ("POST", "/api/v1/whatif", {"rules": "", "requests": {}}, "`requests` must be a list"),
        ("POST", "/api/v1/whatif", {"rules": "", "last": -1}, "`last` must be a whole number from 0 to 1,000,000"),
        ("POST", "/api/v1/whatif", {"rules": "", "last": True}, "`last` must be a whole number from 0 to 1,000,000"),
    ],
)
async def test_a_bad_request_changes_nothing(api: Api, method: str, path: str, body: Any, detail: str) -> None:
    status, _, found = await api.send(method, path, body)
    assert (status, found["code"]) == (400, "bad_request")
    assert detail in found["detail"]
    assert (api.editor.log, api.drafts) == ([], [])
