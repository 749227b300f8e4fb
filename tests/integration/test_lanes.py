"""Lanes as their users meet them: a running gateway, real sockets, every feature that needs more than a match."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from aiohttp import ClientResponse, ClientSession, DummyCookieJar

from gateway.release.ports import free_port
from tests.support.gateway import Gateway
from tests.support.origin import Origin
from tests.support.process import Program, get_json

SECRET = "a-secret-of-the-tests"


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path, origin)
    gateway.config["routes"] = [{"path": "/A", "service": "a", "strip_prefix": True, "inspect_body": 64}]
    gateway.config["sticky"] = {"secret": SECRET}
    gateway.config["debug"] = {"secret": SECRET}
    gateway.config["jwt"] = {"keys": [{"file": "key.txt", "algorithm": "HS256"}]}
    (tmp_path / "key.txt").write_text("k" * 64)
    yield gateway
    await gateway.close()


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        yield session


def lanes(*several: dict[str, Any], **group: Any) -> str:
    """A file of rules with one group."""
    named = [{"name": f"l{number}", "tag": "gray", **lane} for number, lane in enumerate(several)]
    return yaml.safe_dump({"lane_groups": [{"name": "g", "lanes": named, **group}]})


async def run(gateway: Gateway, rules: str) -> None:
    await gateway.run()
    revision = 1
    gateway.write("rules/gray.yaml", rules)
    await gateway.wait_revision(revision + 1)


async def change(gateway: Gateway, rules: str) -> None:
    """Saves other rules and waits until they are in force."""
    revision = (await get_json(gateway.admin, "/api/v1/status"))["revision"]
    gateway.write("rules/gray.yaml", rules)
    await gateway.wait_revision(revision + 1)


def url(gateway: Gateway, target: str = "/A/x") -> str:
    return f"http://127.0.0.1:{gateway.port}{target}"


async def pool(response: ClientResponse) -> str:
    """Which origin answered."""
    return (await response.text()).split()[0]


async def test_a_body_is_looked_at_where_the_route_says_so(
    gateway: Gateway, session: ClientSession, origin: Origin
) -> None:
    await run(gateway, lanes({"match": [{"body": "/user/level", "gte": "3"}]}))

    async def ask(body: bytes, kind: str = "application/json", **headers: str) -> str:
        async with session.post(url(gateway), data=body, headers={"Content-Type": kind, **headers}) as response:
            return await pool(response)

    assert await ask(b'{"user": {"level": 3}}') == "gray"
    assert origin.requests[-1][2] == b'{"user": {"level": 3}}'
    assert await ask(b'{"user": {"level": 2}}') == "base"
    assert await ask(b'{"user": {"level": 3}', "application/json; charset=utf-8") == "base"
    assert await ask(b'{"user": {"level": 3}}', "text/plain") == "base"
    long = b'{"user": {"level": 3}, "more": "' + b"x" * 64 + b'"}'
    assert await ask(long) == "base"
    assert origin.requests[-1][2] == long

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"user": {'
        yield b'"level": 3}}'

    async def many() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b'{"user": {"level": 3}}'

    headers = {"Content-Type": "application/json"}
    async with session.post(url(gateway), data=chunks(), headers=headers) as response:
        assert await pool(response) == "gray"
    assert origin.requests[-1][2] == b'{"user": {"level": 3}}'
    async with session.post(url(gateway), data=many(), headers=headers) as response:
        assert await pool(response) == "base"
    assert origin.requests[-1][2] == b'{"user": {"level": 3}}' * 50
    async with session.post(url(gateway), data=chunks(), headers=headers, expect100=True) as response:
        assert await pool(response) == "gray"
    await change(gateway, lanes({"match": [{"body": "/level", "equals": "3"}]}))
    assert await ask(b"level=3&x=1", "application/x-www-form-urlencoded") == "gray"
    await change(gateway, lanes({"match": [{"body": "/a", "regex": "x."}]}))
    assert await ask(b'{"a": "x\\ud800"}') == "gray"  # half a character is U+FFFD, and answered
    assert await ask(b'{"a": "\\ud800"}') == "base"


async def test_claims_count_only_of_a_token_that_is_sound(gateway: Gateway, session: ClientSession) -> None:
    await run(gateway, lanes({"match": [{"jwt": "roles", "contains": "tester"}]}))
    claims = {"roles": ["dev", "tester"], "exp": int(time.time()) + 600}

    async def ask(token: str) -> str:
        async with session.get(url(gateway), headers={"Authorization": f"Bearer {token}"}) as response:
            return await pool(response)

    assert await ask(jwt.encode(claims, "k" * 64)) == "gray"
    assert await ask(jwt.encode({**claims, "roles": ["dev"]}, "k" * 64)) == "base"
    assert await ask(jwt.encode(claims, "x" * 64)) == "base"
    assert await ask(jwt.encode({**claims, "exp": int(time.time()) - 600}, "k" * 64)) == "base"
    assert await ask(jwt.encode(claims, "", algorithm="none")) == "base"
    assert await ask(jwt.encode(claims, "k" * 64, algorithm="HS512")) == "base"
    assert await ask("no.token") == "base"


async def test_a_client_without_the_key_is_given_one_and_keeps_its_side(
    gateway: Gateway, session: ClientSession
) -> None:
    await run(gateway, lanes({"match": [{"cookie": "visitor", "percent": 50, "issue": "30d"}]}))
    pools = set()
    for _ in range(40):
        async with session.get(url(gateway)) as first:
            cookie = first.cookies["visitor"]
            pools.add(side := await pool(first))
        assert (len(cookie.value), cookie["max-age"], cookie["path"], cookie["httponly"]) == (32, "2592000", "/", True)
        assert (cookie["samesite"], cookie["secure"]) == ("Lax", "")
        async with session.get(url(gateway), headers={"Cookie": f"visitor={cookie.value}"}) as again:
            assert await pool(again) == side
            assert "visitor" not in again.cookies
    assert pools == {"gray", "base"}


async def test_a_lane_set_to_nothing_keeps_the_users_it_had(gateway: Gateway, session: ClientSession) -> None:
    def rules(percent: float, **lane: Any) -> str:
        return lanes({"match": [{"cookie": "uid", "percent": percent}], "sticky": "1d", **lane})

    await run(gateway, rules(100))
    async with session.get(url(gateway), headers={"Cookie": "uid=alice"}) as response:
        assert await pool(response) == "gray"
        kept = response.cookies["gray-lane"].value
    await change(gateway, rules(0))

    async def ask(cookies: str) -> str:
        async with session.get(url(gateway), headers={"Cookie": cookies}) as response:
            assert "gray-lane" not in response.cookies
            return await pool(response)

    assert await ask(f"uid=alice; gray-lane={kept}") == "gray"
    assert await ask("uid=alice") == "base"
    assert await ask("uid=bob") == "base"
    forged = kept[:-1] + ("A" if kept[-1] != "A" else "B")
    assert await ask(f"uid=alice; gray-lane={forged}") == "base"
    assert await ask("uid=alice; gray-lane=g/l0~ffffffff~") == "base"
    await change(gateway, rules(0, enabled=False))
    assert await ask(f"uid=alice; gray-lane={kept}") == "base"


async def test_an_authorised_request_is_told_why(gateway: Gateway, session: ClientSession, origin: Origin) -> None:
    closed = {"match": [{"param": "group", "equals": "gray"}]}
    await run(gateway, lanes(closed, {"match": [{"param": "never", "equals": "x"}], "debug": True}))

    async def ask(target: str, debug: str) -> tuple[str, dict[str, Any] | None]:
        async with session.get(url(gateway, target), headers={"X-Gray-Debug": debug}) as response:
            why = response.headers.get("X-Gray-Explain")
            return (await response.text()).split()[0], None if why is None else json.loads(why)

    served, why = await ask("/A/x?group=gray", SECRET)
    assert why is not None
    assert (served, why["lane"], why["tag_source"], why["pool"]) == ("gray", "l0", "rule", "gray")
    assert why["instance"] == f"127.0.0.1:{origin.ports['gray']}"
    assert origin.header("x-gray-debug") is None
    assert await ask("/A/x?group=gray", "wrong") == ("gray", None)
    assert origin.header("x-gray-debug") is None
    served, why = await ask("/A/x", f"{SECRET}; lane=g/l1")
    assert why is not None
    assert (served, why["lane"], why["tag_source"]) == ("gray", "l1", "debug")
    # A lane that does not allow it, and one that there is not.
    for lane in ("g/l0", "g/nobody"):
        served, why = await ask("/A/x", f"{SECRET}; lane={lane}")
        assert why is not None
        assert (served, why.get("lane")) == ("base", None)
    assert await ask("/A/x", "wrong; lane=g/l1") == ("base", None)
    _, why = await ask("/nowhere", SECRET)
    assert why is not None
    assert why["error"] == "no_route"


async def test_a_strict_lane_fails_rather_than_fall_back(gateway: Gateway, session: ClientSession) -> None:
    await run(gateway, lanes({"tag": "blue", "strict": True, "match": [{"param": "group", "equals": "gray"}]}))
    async with session.get(url(gateway, "/A/x?group=gray")) as response:
        assert (response.status, (await response.json(content_type=None))["code"]) == (503, "lane_unavailable")
    async with session.get(url(gateway)) as response:
        assert await pool(response) == "base"
    # Outside of the group's services the baseline serves, strict or not.
    await change(
        gateway,
        lanes({"tag": "blue", "strict": True, "match": [{"param": "group", "equals": "gray"}]}, services=["other"]),
    )
    async with session.get(url(gateway, "/A/x?group=gray")) as response:
        assert await pool(response) == "base"


async def test_instances_of_closed_lanes_rejoin_the_baseline(gateway: Gateway, session: ClientSession) -> None:
    def rules(enabled: bool, baseline: str) -> str:
        return lanes({"enabled": enabled, "match": [{"param": "group", "equals": "gray"}]}, baseline=baseline)

    async def pools() -> set[str]:
        found = set()
        for _ in range(6):
            async with session.get(url(gateway)) as response:
                found.add(await pool(response))
        return found

    await run(gateway, rules(True, "closed_lanes_rejoin"))
    assert await pools() == {"base"}
    await change(gateway, rules(False, "closed_lanes_rejoin"))
    assert await pools() == {"base", "gray"}
    await change(gateway, rules(True, "closed_lanes_rejoin"))
    assert await pools() == {"base"}
    await change(gateway, rules(False, "untagged"))
    assert await pools() == {"base"}


async def test_a_lane_closes_when_it_expires(gateway: Gateway, session: ClientSession) -> None:
    lane = {"match": [{"param": "group", "equals": "gray"}], "owner": "team-x"}

    async def asked() -> str:
        async with session.get(url(gateway, "/A/x?group=gray")) as response:
            return await pool(response)

    await run(gateway, lanes(lane))
    life = 1.0
    while True:
        moment = datetime.now(UTC) + timedelta(seconds=life)
        await change(gateway, lanes({**lane, "expires": moment.isoformat()}))
        if await asked() == "gray":
            break
        # A machine that is busy may take longer to read the rules than the lane has to live.
        assert datetime.now(UTC) >= moment
        life *= 2
    async with session.get(f"http://127.0.0.1:{gateway.admin}/metrics") as response:
        assert 'gateway_lane_expiry_timestamp_seconds{group="g",lane="l0"}' in await response.text()
    assert f"lane g/l0 (owner: team-x) expires at {moment.isoformat()}" in gateway.log.read_text()
    async with asyncio.timeout(60):
        while await asked() != "base":
            await asyncio.sleep(0.05)
    assert datetime.now(UTC) >= moment
    assert f"lane g/l0 (owner: team-x) expired at {moment.isoformat()}" in gateway.log.read_text()


async def test_paths_entries_segments_and_times(gateway: Gateway, session: ClientSession) -> None:
    gateway.config["name"] = "shop-edge"
    now = datetime.now(UTC)
    text = yaml.safe_dump(
        {
            "segments": [{"name": "vips", "file": "vips.txt"}],
            "lane_groups": [
                {
                    "name": "elsewhere",
                    "entry": ["other-edge"],
                    "lanes": [{"name": "l", "tag": "blue", "strict": True, "match": [{"path": {"prefix": "/"}}]}],
                },
                {
                    "name": "here",
                    "entry": ["shop-edge"],
                    "lanes": [
                        {
                            "name": "l",
                            "tag": "gray",
                            "paths": ["/A/v1"],
                            "match": [
                                {"header": "x-user", "segment": "vips"},
                                {"time": {"until": (now + timedelta(days=1)).isoformat()}},
                                {"not": {"time": {"until": (now - timedelta(days=1)).isoformat()}}},
                            ],
                        }
                    ],
                },
            ],
        }
    )
    gateway.write("rules/vips.txt", "# people\nalice\n")
    await run(gateway, text)

    async def ask(target: str, user: str) -> str:
        async with session.get(url(gateway, target), headers={"X-User": user}) as response:
            return await pool(response)

    assert await ask("/A/v1/x", "alice") == "gray"
    assert await ask("/A/v1", "alice") == "gray"
    assert await ask("/A/v11", "alice") == "base"
    assert await ask("/A/v1/x", "bob") == "base"
    revision = (await get_json(gateway.admin, "/api/v1/status"))["revision"]
    gateway.write("rules/vips.txt", "bob\n")
    await gateway.wait_revision(revision + 1)
    assert await ask("/A/v1/x", "alice") == "base"
    assert await ask("/A/v1/x", "bob") == "gray"


async def test_a_services_own_traffic_is_matched_by_its_sidecar(tmp_path: Path, origin: Origin) -> None:
    sidecar = Program(tmp_path)
    outbound, admin = free_port(), free_port()
    instances = [
        {"address": f"127.0.0.1:{origin.ports['base']}"},
        {"address": f"127.0.0.1:{origin.ports['gray']}", "tag": "gray"},
    ]
    sidecar.write(
        "sidecar.yaml",
        {
            "service": "jobs",
            "app": f"127.0.0.1:{origin.ports['base']}",
            "inbound": f"127.0.0.1:{free_port()}",
            "outbound": f"127.0.0.1:{outbound}",
            "admin": f"127.0.0.1:{admin}",
            "drain": {"delay": "0s"},
            "registry": {"kind": "static", "services": {"a": instances, "b": instances}},
            "rules": "rules.yaml",
        },
    )
    conditions = [{"service": {"equals": "a"}}, {"caller": {"equals": "jobs"}}, {"caller_tag": {"equals": "base"}}]
    sidecar.write("rules.yaml", lanes({"match": [*conditions, {"header": "x-job", "exists": True}]}, entry=["jobs"]))
    await sidecar.start("sidecar", "-c", "sidecar.yaml")
    await sidecar.wait_ok(admin)
    try:
        async with ClientSession() as session:

            async def ask(host: str, **headers: str) -> str:
                url = f"http://127.0.0.1:{outbound}/x"
                async with session.get(url, headers={"Host": host, **headers}) as response:
                    return await pool(response)

            assert await ask("a", **{"X-Job": "1"}) == "gray"
            assert origin.header("x-gray-tag") == "gray"
            assert await ask("a") == "base"
            assert await ask("b", **{"X-Job": "1"}) == "base"
            assert await ask("b", **{"X-Gray-Tag": "gray"}) == "gray"
    finally:
        await sidecar.close()
