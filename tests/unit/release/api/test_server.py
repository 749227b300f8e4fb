"""The release API: who may, what is refused and how, and that the OpenAPI page says what is so."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from jsonschema import Draft202012Validator

from gateway.release.api.server import ReleaseServer
from gateway.release.store import StoreError
from tests.support.release import FILES, WORKFLOW
from tests.support.releases import Bench

ALICE = {"X-Author": "alice"}
RUN = {"apps": {"a": "1"}, "reason": "a test", "images": {"backend": "shop:1"}}


class Client:
    """Asks one server, and holds every response against the OpenAPI page."""

    def __init__(self, session: ClientSession, base: str) -> None:
        self.session = session
        self.base = base
        self.page: dict[str, Any] = {}

    async def __call__(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, Any]:
        sent = ALICE if headers is None else headers
        async with self.session.request(method, self.base + path, json=body, headers=sent) as response:
            found = await response.json(content_type=None)
            self._check(method, path.partition("?")[0], response.status, response.content_type, found)
            return response.status, found, response.headers

    def _check(self, method: str, path: str, status: int, kind: str, found: Any) -> None:
        for template, operations in self.page.get("paths", {}).items():
            parts, names = path.split("/"), template.split("/")
            if len(parts) != len(names) or any(
                name != part and "{" not in name for name, part in zip(names, parts, strict=True)
            ):
                continue
            if method.lower() not in operations:
                return
            responses = operations[method.lower()]["responses"]
            schema = responses.get(str(status), responses["default"])["content"][kind]["schema"]
            Draft202012Validator({**schema, "components": self.page["components"]}).validate(found)
            return


@pytest.fixture
async def bench(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with Bench(tmp_path, None, getattr(request, "param", "")) as bench:
        yield bench


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[Client]:
    server = ReleaseServer(bench.server)
    server._server.port = 0
    await server._server.start()
    server._server._host = "127.0.0.1"
    async with ClientSession() as session:
        client = Client(session, f"http://127.0.0.1:{server.port}")
        async with session.get(client.base + "/openapi.json") as response:
            client.page = await response.json()
        yield client
    await server.close()


async def test_an_order_from_begin_to_end(bench: Bench, client: Client) -> None:
    status, order, headers = await client("POST", "/api/v1/orders", RUN)
    assert (status, order["state"], headers["Location"]) == (201, "RUNNING", "/api/v1/orders/1")
    await bench.drive(1)
    status, order, headers = await client("GET", "/api/v1/orders/1")
    assert order["jobs"][0]["stages"][1]["tasks"][0]["state"] == "SUSPENDED"
    stale = {"If-Match": '"1"', **ALICE}
    assert (await client("POST", "/api/v1/orders/1/approve", {"reason": "fine"}, stale))[0] == 412
    fresh = {"If-Match": headers["ETag"], **ALICE}
    assert (await client("POST", "/api/v1/orders/1/approve", {"reason": "fine"}, fresh))[0] == 200
    await bench.settle(1)
    assert (await client("GET", "/api/v1/orders/1"))[1]["state"] == "SUCCESS"
    status, found, _ = await client("POST", "/api/v1/orders/1/abort", {"reason": "late"})
    assert (status, found["detail"]) == (404, "order 1 has ended")
    versions = (await client("GET", "/api/v1/history?app=a&environment=prod"))[1]["versions"]
    assert [(item["version"], item["actor"], item["reason"]) for item in versions] == [("1", "alice", "a test")]
    apps = (await client("GET", "/api/v1/apps"))[1]["apps"]
    assert [place["version"] for place in apps[0]["environments"]] == [None, "1"]
    assert (await client("GET", "/api/v1/apps/a/prod/manifest"))[1]["version"] == "1"
    assert (await client("GET", "/api/v1/audit"))[1]["lines"][0]["action"] == "order.deploy"
    status, order, _ = await client("POST", "/api/v1/undo", {"app": "a", "environment": "prod", "reason": "x"})
    assert (status, order["detail"]) == (404, "a has no earlier version in prod to go back to (it had: 1)")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("POST", "/api/v1/orders", {"apps": {}, "reason": "x"}, 422, "apps: Dictionary should have at least 1 item"),
        ("POST", "/api/v1/orders", {"apps": {"a": "1"}}, 422, "reason: Field required"),
        ("POST", "/api/v1/orders", [], 400, "the body is an object: reason, apps"),
        ("POST", "/api/v1/orders", {"apps": {"x": "1"}, "reason": "x"}, 422, "there is no application 'x' (there are: a, b, c)"),
        ("POST", "/api/v1/orders", {"apps": {"a": "1"}, "reason": "x"}, 422, "application 'a' has no image for backend"),
        ("POST", "/api/v1/orders", {**RUN, "apps": {"a": "no way"}}, 422, "a version is 1 to 63 letters"),
        ("POST", "/api/v1/orders", {**RUN, "workflow": "nope"}, 422, "there is no workflow 'nope' (there are: release)"),
        ("POST", "/api/v1/orders", {**RUN, "values": {"replicas": "x"}}, 422, "--set: replicas: the placeholder 'replicas'"),
        ("POST", "/api/v1/orders", {**RUN, "images": {"b.backend": "x:1"}}, 422, "an image is given for 'b', which this order"),
        ("GET", "/api/v1/orders/7", None, 404, "there is no order 7"),
        ("GET", "/api/v1/orders?count=many", None, 400, "count is a whole number, not 'many'"),
        ("POST", "/api/v1/orders/7/abort", {"reason": "x"}, 404, "there is no order 7"),
        ("POST", "/api/v1/environments/moon/lock", {"reason": "x"}, 404, "there is no environment 'moon'"),
        ("GET", "/api/v1/apps/a/moon/logs", None, 404, "there is no application 'a' in an environment 'moon'"),
        ("DELETE", "/api/v1/orders", None, 405, "DELETE /api/v1/orders"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_and_nothing_begins(
    bench: Bench, client: Client, method: str, path: str, body: Any, status: int, detail: str
) -> None:
    found = await client(method, path, body)
    assert (found[0], found[1]["detail"][: len(detail)]) == (status, detail)
    assert await bench.store.orders(5) == []


async def test_nobody_does_anything_without_a_name(client: Client) -> None:
    status, found, _ = await client("POST", "/api/v1/orders", RUN, {})
    assert (status, found["code"]) == (400, "no_actor")


USERS = "users: {alice: aaaaaaaaaaaaaaaa, bob: bbbbbbbbbbbbbbbb}\n"


@pytest.mark.parametrize("bench", [USERS], indirect=True)
async def test_with_users_the_token_says_who_somebody_is(bench: Bench, client: Client) -> None:
    status, found, headers = await client("GET", "/api/v1/orders", headers={"X-Author": "alice"})
    assert (status, found["code"], headers["WWW-Authenticate"]) == (401, "unauthorized", "Bearer")
    bob = {"Authorization": "Bearer bbbbbbbbbbbbbbbb", "X-Author": "alice"}
    assert (await client("POST", "/api/v1/orders", RUN, bob))[1]["actor"] == "bob"
    await bench.drive(1)
    status, found, _ = await client("POST", "/api/v1/orders/1/approve", {"reason": "me"}, bob)
    assert (status, found["code"]) == (403, "not_allowed")


async def test_a_conflict_and_a_lock_are_409_and_name_the_other(bench: Bench, client: Client) -> None:
    await client("POST", "/api/v1/orders", RUN)
    status, found, _ = await client("POST", "/api/v1/orders", RUN)
    assert (status, found["code"]) == (409, "conflict")
    assert "order 1 (a, by alice)" in found["detail"]
    status, found, _ = await client("POST", "/api/v1/environments/gray/lock", {"reason": "a sale"})
    assert [item["lock"] and item["lock"]["by"] for item in found["environments"]] == ["alice", None]


async def test_a_dry_run_begins_nothing(bench: Bench, client: Client) -> None:
    status, order, _ = await client("POST", "/api/v1/orders", {**RUN, "dry_run": True})
    assert (status, order["id"], order["state"]) == (200, 0, "INIT")
    assert await bench.store.orders(5) == []


async def test_files_with_problems_keep_new_orders_out_and_are_told_all_at_once(bench: Bench, client: Client) -> None:
    (bench.config.files / "apps" / "a.yaml").write_text(FILES["apps/a.yaml"] + "owner: me\n")
    (bench.config.files / "workflows" / "release.yaml").write_text(WORKFLOW + "nope: 1\n")
    status, found, _ = await client("POST", "/api/v1/orders", RUN)
    assert (status, found["code"], len(found["errors"])) == (422, "bad_files", 2)


async def test_a_database_that_is_away_is_a_503(bench: Bench, client: Client) -> None:
    bench.store.is_away = "database or disk is full"
    status, found, _ = await client("POST", "/api/v1/orders", RUN)
    assert (status, found["code"]) == (503, "database_unavailable")
    assert "database or disk is full" in found["detail"]


async def test_events_tell_of_changes_and_go_on_where_they_were(bench: Bench, client: Client) -> None:
    async def events(headers: dict[str, str], begin: Callable[[], Awaitable[Any]], last: str) -> list[str]:
        """What comes after a stream has begun and something was done, up to a state or an action."""
        found: list[str] = []
        async with client.session.get(client.base + "/api/v1/events", headers=headers) as response:
            # On a stream that goes on, something is done after it has shown where it was.
            if not headers:
                await begin()
            while last not in found:
                line = (await response.content.readline()).decode().rstrip()
                if line.startswith("data: "):
                    item = json.loads(line[6:])
                    found.append(item.get("action") or item["state"])
                    if headers and len(found) == 2:
                        await begin()
        return found

    async def abort() -> None:
        await bench.server.actions.abort(1, "alice", "enough")
        await bench.drive(1)

    async with asyncio.timeout(20):
        seen = await events({}, lambda: client("POST", "/api/v1/orders", RUN), "order.deploy")
        assert seen == ["RUNNING", "order.deploy"]
        seen = await events({"Last-Event-ID": "0"}, abort, "CANCELED")
        assert [seen[0], seen[1]] == ["RUNNING", "order.deploy"]


async def test_events_end_well_when_the_database_is_away(
    bench: Bench, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second response in the middle of the first is what nobody can read."""

    async def away(*_: Any) -> Any:
        raise StoreError("the database of the release server: disk I/O error")

    await bench.run(a="1")
    monkeypatch.setattr(bench.store, "audit", away)
    async with asyncio.timeout(20):
        async with client.session.get(client.base + "/api/v1/events", headers=ALICE) as response:
            assert (response.status, (await response.read())[:12]) == (200, b"event: order")


async def test_a_web_page_of_elsewhere_is_not_answered(client: Client) -> None:
    status, found, _ = await client("POST", "/api/v1/orders", RUN, {**ALICE, "Origin": "https://evil.example"})
    assert (status, found["code"]) == (403, "wrong_origin")


def test_the_openapi_page_is_whole() -> None:
    from gateway.release.api.endpoints import Api

    class Nothing:
        def __getattr__(self, _: str) -> Any:
            return self

    page = Api(Nothing(), Nothing()).describe()  # type: ignore[arg-type]
    names = [operation["operationId"] for item in page["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))
    text = json.dumps(page)
    for schema in page["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert reference in page["components"]["schemas"]
    documented = (Path(__file__).parents[4] / "docs" / "release-api.md").read_text()
    for path, operations in page["paths"].items():
        for method in operations:
            shown = re.sub(r"\{(\w+)\}", lambda found: found[1].upper(), path)
            assert f"`{method.upper()} {shown}`" in documented
