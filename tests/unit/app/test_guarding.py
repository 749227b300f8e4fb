"""The guards of lanes at work: counters go in, rules are changed, and what was done is seen everywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.app.configuration import Configuration
from gateway.app.entry_plane import EntryPlane
from gateway.app.fleet import Fleet
from gateway.app.guarding import Guarding
from gateway.app.rulebook import RuleBook
from gateway.control.guard.webhook import Webhook
from gateway.errors import RegistryError
from gateway.live.store import RecordStore
from gateway.rules.model import Lane
from gateway.rulesources.documents import ConflictError
from gateway.rulesources.files import Overlay
from gateway.settings.gateway import GatewaySettings
from tests.support.roles import gateway_settings, put_gateway
from tests.support.rules import NOW

RULES = """\
# Kept by the team.
lane_groups:
  - name: shop
    services: [a]
    lanes:
      - name: gray   # the new version
        tag: gray
        owner: team-shop
        match: [{cookie: uid, percent: 50}]
        guard: {errors: +2%, then: THEN}
"""
SCHEDULE = "        schedule: {start: 2027-01-15T07:30:00Z, steps: [1, 10], over: 2h}\n"
"""At NOW the lane is at 1 %, and in two windows still."""
REASON = "too many errors: 50.00% of 100 requests, of the baseline's 0.00% of 1000, failed"


class Told(Webhook):
    """Keeps what it should tell."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.events: list[Mapping[str, Any]] = []

    def tell(self, event: Mapping[str, Any]) -> None:
        self.events.append(event)


class Gateway:
    """A gateway without a listener whose clock is turned by hand."""

    async def open(self, folder: Path, then: str, more: str = "", **settings: Any) -> None:
        self.parts, self.now, self.told = AsyncExitStack(), NOW, Told()
        self.file = folder / "rules.yaml"
        self.fleet = Fleet(EntryPlane(gateway_settings()))
        path = put_gateway(folder, RULES.replace("THEN", then) + more, **settings)
        self.configuration = Configuration(
            GatewaySettings, path, (), lambda build, revision: self.fleet.configure(revision, build), keeps_history=True
        )
        await self.configuration.open(self.parts)
        self.parts.push_async_callback(self.fleet.close)
        self.parts.push_async_callback(self.configuration.close)
        self.book = RuleBook(self.configuration, self.fleet.plane, RecordStore(10, 1 << 16))
        self.guarding = Guarding(self.fleet, self.book.editor, self.told, lambda: self.now)
        self.configuration.begin()
        self.configuration.follow()

    async def windows(self, number: int, errors: int) -> None:
        """So many windows of 100 requests of the lane, some of which fail, and of 1,000 of the baseline."""
        for _ in range(number):
            for tag, count, bad in (("gray", 100, errors), ("base", 1000, 0)):
                for at in range(count):
                    status = 500 if at < bad else 200
                    self.fleet.plane.traffic.count_exchange("a", tag, status, 0.001, -1.0, received=0, sent=0)
            self.now += 60.0
            await self.guarding.look()

    @property
    def lane(self) -> Lane:
        return self.fleet.plane.rules.groups[0].lanes[0]

    def is_open(self) -> bool:
        return self.lane.enabled

    @property
    def said(self) -> dict[str, Any]:
        return self.guarding.describe("shop", self.lane) or {}

    @property
    def newest(self) -> tuple[str, str]:
        revision = self.configuration.history.revisions()[0]
        return revision.author, revision.cause


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway = Gateway()
    yield gateway
    await gateway.parts.aclose()


async def test_a_lane_that_is_worse_in_two_windows_is_closed_with_the_reason(
    tmp_path: Path, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    await gateway.open(tmp_path, "close")
    await gateway.guarding.look()
    await gateway.windows(1, errors=50)
    assert gateway.is_open()
    assert gateway.said == {
        "then": "close", "state": "worse", "windows": 1, "reason": REASON, "at": NOW + 60, "outcome": None,
        "past": [{"at": NOW + 60, "state": "worse", "reason": REASON}],
    }  # fmt: skip
    await gateway.windows(1, errors=50)
    assert not gateway.is_open()
    assert gateway.file.read_text() == RULES.replace("THEN", "close") + "        enabled: false\n"
    assert gateway.newest == ("guard", f"lane shop/gray closed by its guard: {REASON}")
    assert gateway.said["state"] == "tripped"
    assert [past["at"] for past in gateway.said["past"]] == [NOW + 60, NOW + 120]  # a lane that is closed has a past
    assert gateway.guarding.tripped() == {("shop", "gray"): True}
    assert gateway.guarding.verdicts == {("shop", "gray", "worse"): 2}
    assert f"lane shop/gray closed by its guard: {REASON}" in caplog.messages
    assert gateway.told.events == [
        {
            "event": "lane_guard", "group": "shop", "lane": "gray", "tag": "gray", "owner": "team-shop",
            "outcome": "closed", "what": "closed by its guard", "reason": REASON, "at": NOW + 120,
        }
    ]  # fmt: skip
    # It stays so until somebody opens it; then the guard begins anew.
    await gateway.windows(3, errors=100)
    assert (len(gateway.told.events), gateway.said["outcome"]) == (1, "closed")
    await gateway.book.editor.patch("shop", "gray", {"enabled": True}, "", "alice", dry_run=False)
    await gateway.windows(1, errors=0)
    assert (gateway.said["state"], gateway.guarding.tripped()) == ("undecided", {("shop", "gray"): False})
    await gateway.windows(2, errors=50)
    assert (gateway.is_open(), len(gateway.told.events)) == (False, 2)


async def test_an_equal_lane_stays_as_it_is(tmp_path: Path, gateway: Gateway) -> None:
    await gateway.open(tmp_path, "close")
    await gateway.windows(5, errors=0)
    assert (gateway.is_open(), gateway.said["state"], gateway.said["windows"]) == (True, "good", 4)
    assert gateway.guarding.verdicts == {("shop", "gray", "good"): 4}


async def test_a_lane_shrinks_and_everything_else_of_it_stays(tmp_path: Path, gateway: Gateway) -> None:
    await gateway.open(tmp_path, "shrink to 1 %", SCHEDULE.replace("[1, 10]", "[5, 10]"))
    await gateway.windows(3, errors=50)
    assert gateway.file.read_text() == RULES.replace("THEN", "shrink to 1 %").replace("percent: 50", "percent: 1")
    assert gateway.newest == ("guard", f"lane shop/gray shrunk from 5 % to 1 % by its guard: {REASON}")
    assert gateway.said["outcome"] == "shrunk"


async def test_what_people_wrote_of_a_lane_that_shrinks_stays_as_they_wrote_it(
    tmp_path: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comments, and above all variables: what they stand for may be secret."""
    monkeypatch.setenv("BETA", "not-for-the-file")
    await gateway.open(tmp_path, "shrink to 1 %")
    own = """\
        match:
          - &beta {header: X-Beta, equals: "${BETA}"}   # only testers
          - all:
              # half of them
              - {cookie: uid, percent: "${SHARE:-50}", issue: 90d}
              - not: {not: *beta}
"""
    text = gateway.file.read_text().replace("        match: [{cookie: uid, percent: 50}]\n", own)
    gateway.file.write_text(text)
    await gateway.configuration.reload("a change")
    await gateway.windows(3, errors=50)
    assert (gateway.said["outcome"], gateway.lane.percent) == ("shrunk", 1.0)
    assert gateway.file.read_text() == text.replace('"${SHARE:-50}"', "1")


async def test_a_warning_holds_a_schedule_at_its_step(tmp_path: Path, gateway: Gateway) -> None:
    await gateway.open(tmp_path, "warn", SCHEDULE)
    await gateway.windows(3, errors=50)
    assert gateway.lane.share_at(NOW + 1e6) == 1.0
    assert gateway.file.read_text().splitlines()[-1] == SCHEDULE.rstrip().replace("2h}", "2h, hold: 1}")
    assert gateway.newest == ("guard", f"lane shop/gray held at 1 % by its guard: {REASON}")


async def test_people_are_warned_once_until_it_was_good_again(tmp_path: Path, gateway: Gateway) -> None:
    await gateway.open(tmp_path, "warn")
    text = gateway.file.read_text()
    await gateway.windows(6, errors=50)
    assert ([event["outcome"] for event in gateway.told.events], gateway.said["state"]) == (["warned"], "tripped")
    await gateway.windows(1, errors=0)
    assert gateway.said["state"] == "tripped"
    await gateway.windows(1, errors=0)
    assert gateway.said["state"] == "good"
    await gateway.windows(2, errors=50)
    assert len(gateway.told.events) == 2
    assert gateway.file.read_text() == text


@pytest.mark.parametrize(
    "error",
    [
        RegistryError("refused", "the server refuses to be written to"),
        ConflictError("the server refuses to be written to"),
        OSError("the server refuses to be written to"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_rules_that_cannot_be_written_are_said_so_and_tried_again(
    tmp_path: Path,
    gateway: Gateway,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    await gateway.open(tmp_path, "close")
    write = gateway.book.write

    async def refuse(overlay: Overlay) -> None:
        raise error

    monkeypatch.setattr(gateway.book, "write", refuse)
    await gateway.windows(3, errors=50)
    gateway.now += 5.0
    await gateway.guarding.look()  # whoever was outrun tries once more
    [said] = [item for item in caplog.records if item.levelname == "ERROR"]
    assert said.getMessage() == (
        "lane shop/gray should be closed by its guard, but the rules cannot be changed: "
        f"the server refuses to be written to; {REASON}"
    )
    assert (gateway.is_open(), gateway.said["state"], gateway.said["outcome"]) == (True, "tripped", "failed")
    monkeypatch.setattr(gateway.book, "write", write)
    await gateway.windows(1, errors=50)
    assert (gateway.is_open(), gateway.said["outcome"]) == (False, "closed")


async def test_a_lane_that_another_gateway_has_changed_at_the_same_moment_is_no_error(
    tmp_path: Path, gateway: Gateway, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where the server tells of it nor where the file has been changed already."""
    await gateway.open(tmp_path, "close")
    write = gateway.book.write

    async def is_outrun(overlay: Overlay) -> None:
        raise ConflictError("it was changed in the meantime")

    monkeypatch.setattr(gateway.book, "write", is_outrun)
    await gateway.windows(3, errors=0)
    await gateway.windows(2, errors=50)
    assert (gateway.said["state"], gateway.told.events) == ("worse", [])
    # It was about something else: the next look acts, and does not wait for another window.
    monkeypatch.setattr(gateway.book, "write", write)
    gateway.now += 5.0
    await gateway.guarding.look()
    assert (gateway.is_open(), [event["outcome"] for event in gateway.told.events]) == (False, ["closed"])
    await gateway.guarding.look()
    await gateway.book.editor.patch("shop", "gray", {"enabled": True}, "", "alice", dry_run=False)
    await gateway.windows(2, errors=50)
    gateway.file.write_text(gateway.file.read_text().replace("enabled: true", "enabled: false"))
    await gateway.windows(2, errors=50)
    assert (gateway.is_open(), len(gateway.told.events)) == (False, 1)
    assert [item for item in caplog.records if item.levelname == "ERROR"] == []


async def test_a_service_that_the_group_gets_is_not_judged_by_what_was_counted_before(
    tmp_path: Path, gateway: Gateway
) -> None:
    await gateway.open(tmp_path, "close")
    traffic = gateway.fleet.plane.traffic
    for tag, status in (("gray", 500), ("base", 200)):
        for _ in range(1000):
            traffic.count_exchange("b", tag, status, 0.001, -1.0, received=0, sent=0)
    await gateway.windows(2, errors=0)
    gateway.file.write_text(gateway.file.read_text().replace("services: [a]", "services: [a, b]"))
    await gateway.configuration.reload("a change")
    await gateway.windows(3, errors=0)
    assert [past["state"] for past in gateway.said["past"]] == ["good"] * 3


@pytest.mark.parametrize("key", ["entry: [elsewhere]", "enabled: false"])
async def test_a_lane_that_takes_nothing_here_is_not_watched(tmp_path: Path, gateway: Gateway, key: str) -> None:
    await gateway.open(tmp_path, "close")
    text = gateway.file.read_text()
    gateway.file.write_text(text.replace("    services:", f"    {key}\n    services:"))
    await gateway.configuration.reload("a change")
    await gateway.windows(3, errors=100)
    assert (gateway.said["state"], gateway.told.events) == (None, [])


async def test_windows_begin_anew_after_a_person_has_changed_the_lane(tmp_path: Path, gateway: Gateway) -> None:
    await gateway.open(tmp_path, "close")
    await gateway.windows(2, errors=50)
    await gateway.book.editor.patch("shop", "gray", {"owner": "alice"}, "", "alice", dry_run=False)
    await gateway.windows(2, errors=50)
    assert (gateway.is_open(), gateway.said["state"], gateway.said["windows"]) == (True, "worse", 1)
    await gateway.windows(1, errors=50)
    assert not gateway.is_open()
