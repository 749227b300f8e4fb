"""The rules of a running entry gateway as something that people change."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.app.configuration import Configuration
from gateway.app.entry_plane import EntryPlane
from gateway.app.rulebook import RuleBook
from gateway.errors import ConfigError
from gateway.live.store import RecordStore
from gateway.rules.ruleset import RuleSet
from gateway.settings.gateway import GatewaySettings
from gateway.telemetry.request_record import Reporter
from tests.support.records import record
from tests.support.roles import gateway_settings, lanes, put_gateway


class Book:
    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.plane = EntryPlane(gateway_settings())
        path = put_gateway(folder, lanes("gray"), **settings)
        self.configuration = Configuration(
            GatewaySettings, path, (), lambda build, revision: self.plane.configure(revision, build), keeps_history=True
        )
        self.records = RecordStore(100, 1 << 20)
        self.book = RuleBook(self.configuration, self.plane, self.records)
        self.parts = AsyncExitStack()

    async def open(self) -> None:
        await self.configuration.open(self.parts)
        self.parts.push_async_callback(self.plane.close)
        self.parts.push_async_callback(self.configuration.close)
        self.configuration.begin()
        self.configuration.follow()


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Book]:
    opened = Book(tmp_path, access_log={"path": "access.log"})
    await opened.open()
    yield opened
    await opened.parts.aclose()


async def test_what_is_written_and_loaded_is_in_force(opened: Book) -> None:
    book, path = opened.book, opened.folder / "rules.yaml"
    assert (book.revision, [lane.tag for lane in book.lanes.rules.groups[0].lanes]) == (1, ["gray"])
    await book.write({path: lanes("blue")})
    assert await book.reload("a change", "alice") == 2
    assert (book.revision, [lane.tag for lane in opened.plane.rules.groups[0].lanes]) == (2, ["blue"])
    [newest, _] = opened.configuration.history.revisions()
    assert (newest.author, newest.files) == ("alice", {book.places.name(path): lanes("blue")})


async def test_to_try_a_change_changes_nothing(opened: Book) -> None:
    path = opened.folder / "rules.yaml"
    tried = opened.book.try_load({path: lanes("blue")})
    assert [lane.tag for lane in tried.rules.groups[0].lanes] == ["blue"]
    with pytest.raises(ConfigError, match="lane_groups"):
        opened.book.try_load({path: "lane_groups: 3\n"})
    assert path.read_text() == lanes("gray")
    assert opened.book.revision == 1


async def test_a_file_can_be_deleted_and_that_it_is_gone_is_no_surprise(opened: Book) -> None:
    path = opened.folder / "rules.yaml"
    assert opened.configuration.copies.from_now().in_force == {path}
    await opened.book.write({path: None})
    assert not path.exists()
    assert opened.configuration.copies.from_now().in_force == set()
    await opened.book.write({path: None})  # as it is already


async def test_a_draft_is_compared_over_requests_and_the_last_of_the_log(opened: Book) -> None:
    record = {"time": "2026-01-01T00:00:00Z", "method": "GET", "path": "/A/x?group=blue", "client": "127.0.0.1"}
    (opened.folder / "access.log").write_text(json.dumps(record) + "\n" + "not a record\n")
    found = opened.book.what_if(lanes("blue"), [{"url": "/A/x?group=gray"}, {"url": "/A/x"}], 0)
    assert (found.total, found.moved) == (2, 1)
    found = opened.book.what_if(lanes("blue"), [{"url": "/A/x?group=gray"}], 1)
    assert (found.total, found.unread) == (1, 1)  # the last line alone
    assert opened.book.revision == 1


async def test_a_draft_that_is_none_is_told(opened: Book) -> None:
    with pytest.raises(ConfigError, match=r"draft\.yaml"):
        opened.book.what_if("lane_groups: 3\n", [], 0)


@pytest.mark.parametrize("log", [None, {"path": "stdout"}, {"path": "access.log", "format": "combined"}])
async def test_only_a_log_that_can_be_read_again_is(tmp_path: Path, log: dict[str, str] | None) -> None:
    opened = Book(tmp_path, **({} if log is None else {"access_log": log}))
    await opened.open()
    with pytest.raises(ConfigError, match="`last` needs an access log in JSON that goes to a file"):
        opened.book.what_if(lanes("blue"), [], 1)
    await opened.parts.aclose()


async def test_a_log_that_is_not_there_is_told(opened: Book) -> None:
    with pytest.raises(ConfigError, match=r"access\.log: cannot be read: No such file"):
        opened.book.what_if(lanes("blue"), [], 1)


async def test_the_api_has_the_history(opened: Book) -> None:
    assert opened.book.api()._history is opened.configuration.history


async def test_a_change_is_reviewed_with_the_requests_of_late_and_the_tests_beside_the_rules(opened: Book) -> None:
    (opened.folder / "tests").mkdir()
    (opened.folder / "tests" / "gray.yaml").write_text(
        "tests: [{name: marked, request: {url: '/A?group=gray'}, lane: g/entry}]\n"
    )
    head = b"GET /A?group=gray HTTP/1.1\r\nhost: shop.example\r\n\r\n"
    opened.records.add(Reporter("gateway"), [record(head=head, client_ip="127.0.0.1"), record()])
    work = opened.book.review(RuleSet())
    opened.records.add(Reporter("gateway"), [record(head=head, client_ip="127.0.0.1")])  # too late
    found = work()
    [move] = found["what_if"]["moves"]
    assert (move["to"], move["requests"], found["what_if"]["requests"]) == ("baseline", 1, 1)
    assert [(test["name"], test["lane"]) for test in found["tests"]["failed"]] == [("marked", "none")]
