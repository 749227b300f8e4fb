"""Instances that people have taken out of traffic."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.control import drains as module
from gateway.control.drains import Drain, Drains, LastInstance, NoSuchInstance
from gateway.instance import Instance
from gateway.registry.several import Registries

ONE, TWO, GRAY = Instance("127.0.0.1", 1), Instance("127.0.0.1", 2), Instance("127.0.0.1", 3, tag="gray")
LISTED = {"a": (ONE, TWO, GRAY), "b": (ONE,)}


class Desk:
    """Registries with a list, and what routes hears of it."""

    def __init__(self, state: Path | None = None) -> None:
        self.heard: list[tuple[str, dict[int, bool]]] = []
        self.drains = Drains(self._hear)
        registries = SimpleNamespace(instances=lambda service: LISTED.get(service, ()))
        self.drains.open(cast("Registries", registries), None if state is None else str(state))

    def _hear(self, service: str, instances: tuple[Instance, ...]) -> None:
        self.heard.append((service, {item.port: item.enabled for item in instances}))


def drain(port: int, service: str = "a") -> Drain:
    return Drain(service, f"127.0.0.1:{port}", "bob", "a new disk", 100.0)


def test_a_drained_instance_is_disabled_in_every_list_until_it_is_brought_back() -> None:
    desk = Desk()
    desk.drains.drain(drain(1))
    desk.drains.service_changed("a", LISTED["a"])
    desk.drains.service_changed("b", LISTED["b"])  # another service at the same address
    desk.drains.restore("a", ONE.address, "bob")
    out, back = {1: False, 2: True, 3: True}, {1: True, 2: True, 3: True}
    assert desk.heard == [("a", out), ("a", out), ("b", {1: True}), ("a", back)]


def test_what_is_drained_is_shown() -> None:
    desk = Desk()
    desk.drains.drain(drain(1))
    desk.drains.drain(drain(3))
    assert desk.drains.counts() == {"a": 2}
    assert desk.drains.describe()[0] == {
        "service": "a", "address": "127.0.0.1:1", "author": "bob", "reason": "a new disk", "at": 100.0,
    }  # fmt: skip


def test_the_last_usable_instance_of_the_baseline_is_not_drained_but_that_of_a_tag_is() -> None:
    desk = Desk()
    desk.drains.drain(drain(3))
    desk.drains.drain(drain(1))
    for last in (drain(2), drain(1, "b")):
        with pytest.raises(LastInstance, match="the last usable instance of the baseline"):
            desk.drains.drain(last)


def test_only_so_many_are_drained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    desk = Desk()
    desk.drains.drain(drain(1))
    with pytest.raises(LastInstance, match="1 instances are drained already"):
        desk.drains.drain(drain(3))


def test_what_is_not_there_is_neither_drained_nor_brought_back() -> None:
    desk = Desk()
    for unknown in (drain(9), drain(1, "nobody")):
        with pytest.raises(NoSuchInstance):
            desk.drains.drain(unknown)
    with pytest.raises(NoSuchInstance, match=r"127.0.0.1:1 of service a is not drained"):
        desk.drains.restore("a", ONE.address, "bob")
    assert desk.heard == []


def test_it_lasts_over_a_restart_if_there_is_a_state_directory(tmp_path: Path) -> None:
    Desk(tmp_path).drains.drain(drain(1))
    desk = Desk(tmp_path)
    assert [item["address"] for item in desk.drains.describe()] == ["127.0.0.1:1"]
    desk.drains.restore("a", ONE.address, "")
    assert Desk(tmp_path).drains.describe() == []


@pytest.mark.parametrize("content", ["{", "[1]", '[{"service": "a"}]'])
def test_a_file_that_cannot_be_read_is_told_and_nothing_is_drained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    (tmp_path / "drains").mkdir()
    (tmp_path / "drains" / "instances.json").write_text(content)
    with caplog.at_level(logging.WARNING):
        assert Desk(tmp_path).drains.describe() == []
    assert "drains/instances.json is not known" in caplog.text


def test_a_successor_knows_what_its_predecessor_knew_at_the_end() -> None:
    first, second = Desk(), Desk()
    first.drains.drain(drain(1))
    second.drains.know(first.drains.describe())
    first.drains.restore("a", ONE.address, "")
    first.drains.drain(drain(2))
    second.drains.know(first.drains.describe())
    assert second.heard == [("a", {1: False, 2: True, 3: True}), ("a", {1: True, 2: False, 3: True})]


def test_a_full_disk_drains_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "drains").write_text("a file")
    desk = Desk(tmp_path)
    desk.drains.drain(drain(1))
    assert desk.drains.counts() == {"a": 1}
    assert "cannot be kept for a restart" in caplog.text
