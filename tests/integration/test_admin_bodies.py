"""Whatever is sent to the admin API: an answer in its own words, and the data plane never waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from aiohttp import ClientSession

from gateway.admin.rules import MAX_DRAFT, RulesApi
from gateway.admin.server import AdminServer
from gateway.web.bodies import parse_json
from gateway.web.work import MOST_WAITING, QUICK
from tests.support.admin import ShownRole
from tests.support.gateway import Gateway
from tests.support.origin import Origin
from tests.support.strangers import ask

JSON = {"Content-Type": "application/json"}
ODD: list[Any] = [None, True, -1, 0, 1.5, 10**299, "", "x" * 5000, "\0", "\r\nX: y", "\x1b[2J", "\u202e", "ü商", [], {}, [[]], {"": ""}, [None], "../../etc/passwd", "${HOME}", "[::1]", "1e400", "NaN"]  # fmt: skip
RAW = [b"", b"{", b"\xff\xfe", b"null", b"[1e400]", b'{"last": 1e400}', b"[NaN]", b"[" * 100_000, b"9" * 5000, b'{"a":1,"a":2}', b'"\\ud800"', b'{"rules": "\\udfff"}', b'{"name": "\\ud800"}', b"\xef\xbb\xbf{}", b'"' + b"x" * 4000 + b'"']  # fmt: skip
LANE = {"name": "new", "tag": "gray", "match": [{"param": "a", "equals": "x"}]}
EXPLAIN = {"method": "GET", "url": "/A/a", "headers": [["X", "y"]], "client_ip": "127.0.0.1", "body": "x"}
DRAFT = {"rules": "lane_groups: []\n", "requests": [{"url": "/A/x"}], "last": 0}
LANES, ONE = "/api/v1/groups/demo/lanes", "/api/v1/groups/demo/lanes/gray"
ENDPOINTS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/api/v1/explain", EXPLAIN),
    ("POST", "/api/v1/whatif", DRAFT),
    ("POST", LANES, LANE),
    ("PUT", ONE, LANE),
    ("PATCH", ONE, LANE),
    ("DELETE", LANES + "/nobody", {}),
    ("POST", LANES + "/nobody/enable", {}),
    ("POST", ONE + "/disable", {}),
    ("POST", "/api/v1/history/99/rollback", {}),
    ("POST", "/api/v1/groups", {"name": "more", "services": ["a"]}),
    ("PUT", "/api/v1/groups/demo", {"name": "demo", "services": ["a"]}),
    ("DELETE", "/api/v1/groups/nobody", {}),
    ("PUT", "/api/v1/segments/nobody", {"text": "alice"}),
]


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path, origin)
    gateway.config["state"] = "state"
    gateway.config["access_log"] = {"path": "access.log"}
    await gateway.run()
    yield gateway
    await gateway.close()


class Admin:
    """Asks, and looks at every answer."""

    def __init__(self, gateway: Gateway, session: ClientSession) -> None:
        self._base = f"http://127.0.0.1:{gateway.admin}"
        self._session = session

    async def send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
        async with self._session.request(method, self._base + path, data=body, headers=headers or JSON) as answer:
            text = await answer.text()
            told = (method, path, body[:200], answer.status, text[:500])
            # What the data plane would answer to a request that is to be explained may be 501.
            assert answer.status < 500 or "the gateway would refuse this request" in text, told
            if answer.status >= 400:
                assert answer.content_type == "application/problem+json", told
                problem = json.loads(text)
                assert problem["status"] == answer.status, told
                assert problem["type"] == f"urn:gray-gateway:error:{problem['code']}", told
                for word in ("Traceback", "object has no attribute", "invalid literal", "maxlen", "NoneType", "codec can", "not subscriptable", "unhashable", "expected str", "str, bytes", "for string conversion", "int too large", "argument"):  # fmt: skip
                    assert word not in problem["detail"], told
            else:
                assert answer.content_type == "application/json", told
            assert text.isascii(), told
            return answer.status


async def test_hostile_bodies_get_an_answer_in_our_words(gateway: Gateway) -> None:
    """Every endpoint, with what is no JSON, another value, an odd value at each key, and keys that there are not."""
    async with ClientSession() as session:
        admin = Admin(gateway, session)
        for method, path, good in ENDPOINTS:
            bodies = [*RAW, *(json.dumps(value).encode() for value in ODD)]
            bodies += [json.dumps({**good, key: value}).encode() for key in (*good, "nonsense") for value in ODD]
            bodies += [
                json.dumps({name: value for name, value in good.items() if name != key}).encode() for key in good
            ]
            for body in bodies:
                await admin.send(method, f"{path}?dry_run=true", body)
        assert (await gateway.ask("/A/x?group=gray")).split()[0] == "gray"
    assert "Traceback" not in gateway.log.read_text()


MATCHES: list[Any] = [
    *ODD,
    *([{key: value}] for key in ("param", "header", "percent", "all", "not", "client_ip", "time", "jwt", "segment") for value in ODD),
    *([{"param": "a", key: value}] for key in ("equals", "in", "regex", "range", "percent", "gt", "exists", "segment", "ignore_case") for value in ODD),
]  # fmt: skip


async def test_hostile_conditions_and_headers_of_requests_too(gateway: Gateway) -> None:
    async with ClientSession() as session:
        admin = Admin(gateway, session)
        for match in MATCHES:
            await admin.send("PATCH", f"{ONE}?dry_run=true", json.dumps({"match": match}).encode())
        for headers in (*ODD, *([value] for value in ODD), *([["X", value]] for value in ODD), *([[value, "x"]] for value in ODD), [["X", "y"]] * 2000, [["Content-Length", "-1"]], [["Transfer-Encoding", "chunked"]]):  # fmt: skip
            await admin.send("POST", "/api/v1/explain", json.dumps({**EXPLAIN, "headers": headers}).encode())
        for record in (*ODD, *({"url": value} for value in ODD), *({**EXPLAIN, key: value} for key in (*EXPLAIN, "target", "ts", "client", "service") for value in ODD), *({"target": "/x", "method": "GET", "client": "127.0.0.1", "ts": value} for value in ODD)):  # fmt: skip
            assert (
                await admin.send("POST", "/api/v1/whatif", json.dumps({**DRAFT, "requests": [record]}).encode()) == 200
            )
        for last in (-1, 10**6 + 1, 10**299, 1.0, "5", True, [1]):
            assert await admin.send("POST", "/api/v1/whatif", json.dumps({**DRAFT, "last": last}).encode()) == 400
        assert await admin.send("POST", "/api/v1/whatif", json.dumps({**DRAFT, "last": 10**6}).encode()) == 200
    assert "Traceback" not in gateway.log.read_text()


async def test_hostile_paths_queries_and_fields(gateway: Gateway) -> None:
    async with ClientSession() as session:
        admin = Admin(gateway, session)
        for path in ("//", "/api", "/api/v1/history/abc", "/api/v1/history/-1", "/api/v1/history/٣", "/api/v1/history/99999999999999999999", "/api/v1/history/0", "/api/v1/history/1e3", "/api/v1/groups/%00/lanes", "/api/v1/groups/%ff%fe/lanes", "/api/v1/groups/..%2f..%2fetc/lanes", "/api/v1/groups/%1b%5b2J/lanes/%0d%0a", "/api/v1/groups/demo/lanes/" + "x" * 4000):  # fmt: skip
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                assert await admin.send(method, path, b"{}" if method != "GET" else b"") >= 400
        for query in ("dry_run=1", "dry_run=", "dry_run=%00", "dry_run=%ff", "dry_run=true%0d%0a"):
            for method, path, good in ENDPOINTS[2:]:
                body = json.dumps(good).encode()
                assert await admin.send(method, f"{path}?{query}", body) in (400, 404)
    names = (("If-Match", "\xff\xfe"), ("X-Author", "a\xff\x80b"), ("Authorization", "Bearer \xff"), ("Content-Type", "application/json"))  # fmt: skip
    for method, path, good in ENDPOINTS:
        status, fields, _ = await ask(gateway.admin, method, f"{path}?dry_run=true", names, json.dumps(good).encode())
        assert status < 500
        assert fields["content-type"].startswith("application/")
    assert "Traceback" not in gateway.log.read_text()


async def test_an_authors_name_is_printable_in_the_history(gateway: Gateway) -> None:
    fields = (("X-Author", "eve\x80\xffü" + "x" * 500), ("Content-Type", "application/json"))
    assert (await ask(gateway.admin, "POST", ONE + "/disable", fields, b"{}"))[0] == 200
    _, _, body = await ask(gateway.admin, "GET", "/api/v1/history")
    author = json.loads(body)["revisions"][0]["author"]
    assert author.startswith("eve")
    assert author.isprintable()
    assert (gateway.folder / "state" / "history" / "000000002.json").exists()


class Slow(ShownRole):
    """An admin API in this process whose work waits to be let on."""

    def __init__(self) -> None:
        super().__init__()
        self.effects = MagicMock()
        self.going = threading.Event()
        self.threads: list[str] = []
        rules = RulesApi(self.effects.editor, self.effects.history, self.effects.what_if, self.effects.review)
        self.server = AdminServer("127.0.0.1", 0, self, explainer=self, rules=rules)

    def explain(self, *_: object) -> dict[str, object]:
        self.threads.append(threading.current_thread().name)
        self.going.wait(20)
        return {}


@pytest.fixture
async def slow() -> AsyncIterator[Slow]:
    slow = Slow()
    await slow.server.start()
    yield slow
    slow.going.set()
    await slow.server.close()


async def test_what_takes_long_waits_in_a_thread_of_its_own_and_not_for_ever(slow: Slow) -> None:
    port, body = slow.server.port, json.dumps(EXPLAIN).encode()
    asking = [asyncio.create_task(ask(port, "POST", "/api/v1/explain", (), body)) for _ in range(MOST_WAITING + 3)]
    done, pending = await asyncio.wait(asking, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 3:
        more, pending = await asyncio.wait(pending, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    for task in done:
        status, _, answer = task.result()
        assert (status, json.loads(answer)["code"]) == (503, "busy")
    assert (await ask(port, "GET", "/livez"))[0] == 200  # nobody else waits
    slow.going.set()
    assert [status for status, _, _ in await asyncio.gather(*pending)] == [200] * MOST_WAITING
    assert {name.rpartition("_")[0] for name in slow.threads} == {"admin"}


async def test_a_large_body_is_parsed_in_the_thread_and_a_small_one_at_once(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[tuple[int, bool]] = []

    def noted(content: bytes) -> Any:
        parsed.append((len(content), threading.current_thread() is threading.main_thread()))
        return parse_json(content)

    monkeypatch.setattr("gateway.web.work.parse_json", noted)
    slow.going.set()
    for size in (100, QUICK, QUICK + 1, MAX_DRAFT // 4):
        body = json.dumps({**EXPLAIN, "body": ""})
        body = json.dumps({**EXPLAIN, "body": "x" * (size - len(body))}) if size > len(body) else body
        assert (await ask(slow.server.port, "POST", "/api/v1/explain", (), body.encode()))[0] == 200
    assert [is_main for _, is_main in parsed] == [True, True, False, False]


async def test_the_data_plane_answers_while_a_large_body_comes_and_is_looked_at(gateway: Gateway) -> None:
    """A body of the largest size, of the most values, arrives bit by bit; requests are answered all the time."""
    body = (
        json.dumps({**DRAFT, "requests": "@"}).encode().replace(b'"@"', b"[" + b"[]," * (MAX_DRAFT // 3 - 100) + b"[]]")
    )
    assert len(body) <= MAX_DRAFT
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.admin)
    writer.write(
        f"POST /api/v1/whatif HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    for start in range(0, len(body), 1 << 20):
        writer.write(body[start : start + (1 << 20)])
        assert (await gateway.ask("/A/x?group=gray")).split()[0] == "gray"
    answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    answered = 0
    async with asyncio.timeout(60):
        while not answer.done():
            assert (await gateway.ask("/A/x?group=gray")).split()[0] == "gray"
            answered += 1
    assert b" 200 " in answer.result()
    assert answered > 3
    writer.close()


async def test_a_body_that_is_too_large_is_refused_before_it_has_come(gateway: Gateway) -> None:
    fields = (("Content-Type", "application/json"), ("Content-Length", "48000000"))
    for method, path, _ in ENDPOINTS:
        status, _, answer = await ask(gateway.admin, method, path, fields)
        assert (status, json.loads(answer)["code"]) == (413, "too_large")
    chunked = (("Content-Type", "application/json"), ("Transfer-Encoding", "chunked"))
    body = b"1000\r\n" + b" " * 4096 + b"\r\n1000\r\n" + b" " * 4096 + b"\r\n0\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.admin)
    head = "".join(f"{name}: {value}\r\n" for name, value in (("Host", "127.0.0.1"), *chunked))
    writer.write(f"POST {ONE}/disable HTTP/1.1\r\n{head}\r\n".encode() + body)
    assert b" 413 " in await reader.readline()
    writer.close()
    assert (await gateway.ask("/A/x?group=gray")).split()[0] == "gray"


async def test_an_answer_tells_a_hundred_problems(gateway: Gateway) -> None:
    """A small draft may have as many as it has letters."""
    body = json.dumps({"rules": "lane_groups:\n" + "- {name: a}\n" * 5000}).encode()
    status, _, answer = await ask(
        gateway.admin, "POST", "/api/v1/whatif", (("Content-Type", "application/json"),), body
    )
    found = json.loads(answer)
    assert (status, len(found["errors"]), found["detail"].splitlines()[-1]) == (422, 100, "and 4899 more")


async def test_a_draft_reads_no_file_and_no_variable_of_the_machine(gateway: Gateway) -> None:
    """A list of a draft could be any file, read line by line by asking who would move; or one that never ends."""
    gateway.write("rules/vips.txt", "alice\n")
    os.mkfifo(gateway.folder / "rules" / "fifo")
    rules = "segments: [{name: s, file: '%s'}]\nlane_groups: [{name: demo, lanes: [{name: gray, tag: gray, match: [{param: u, segment: s}]}]}]"  # fmt: skip
    asked = [{"url": "/A/x?u=alice"}, {"url": "/A/x?u=root"}]

    async def what_if(draft: str) -> tuple[int, Any]:
        body = json.dumps({"rules": draft, "requests": asked}).encode()
        status, _, answer = await ask(
            gateway.admin, "POST", "/api/v1/whatif", (("Content-Type", "application/json"),), body
        )
        return status, json.loads(answer)

    status, found = await what_if(rules % "vips.txt")
    assert (status, found["lanes"][0]) == (200, {"lane": "demo/gray", "before": 0, "after": 1})
    for name in ("/etc/passwd", "/dev/zero", "../gateway.yaml", "/proc/self/environ"):
        status, found = await what_if(rules % name)
        assert (status, [error["message"] for error in found["errors"]]) == (
            422,
            [f"segments.0.file: '{name}' is not below the directories of rules"],
        )
    status, found = await what_if(rules % "fifo")
    assert (status, "not a regular file" in found["detail"]) == (422, True)
    status, found = await what_if("lane_groups: [{name: '${HOME}', lanes: []}]")
    assert (status, "cannot read variables" in found["detail"]) == (422, True)
    assert (await gateway.ask("/A/x?group=gray")).split()[0] == "gray"
