"""The last rules that were in force: kept whole, and used for what they were kept for only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.rulesources.files import LoadedRules, load_rules
from gateway.rulesources.lastgood import LastGood
from gateway.rulesources.reach import Reach
from gateway.settings.gateway import GatewaySettings

RULES = """\
segments: [{name: testers, file: testers.txt}]
lane_groups:
  - name: demo
    lanes:
      - {name: gray, tag: gray, match: [{param: user, segment: testers}]}
"""


def settings(*rules: str | dict[str, str]) -> GatewaySettings:
    return GatewaySettings.model_validate({"registry": {"kind": "static"}, "rules": list(rules)})


@pytest.fixture
def lanes(tmp_path: Path) -> LoadedRules:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "gray.yaml").write_text(RULES)
    (folder / "more.yaml").write_text("# none\n")
    (folder / "testers.txt").write_text("ann\nbob\n")
    return load_rules([folder])


@pytest.fixture
def last_good(tmp_path: Path, lanes: LoadedRules) -> LastGood:
    last_good = LastGood(tmp_path / "state")
    last_good.save(settings("rules"), lanes, 7)
    return last_good


def test_rules_come_back_as_they_were_with_their_segments_and_places(
    last_good: LastGood, lanes: LoadedRules, tmp_path: Path
) -> None:
    for file in (tmp_path / "rules").iterdir():
        file.write_text("ruined: [")
    kept = last_good.load(settings("rules"))
    assert kept is not None
    found = kept.load({}, str, Reach())
    assert (kept.revision, found.rules, dict(found.texts)) == (7, lanes.rules, dict(lanes.texts))
    assert found.places["demo"].of_lane(0) == (str(tmp_path / "rules" / "gray.yaml"), 5, 16)


def test_rules_of_other_sources_are_not_taken(last_good: LastGood) -> None:
    remote = {"consul": "gray/", "address": "127.0.0.1:8500"}
    for other in (settings("rulez"), settings("rules", "more"), settings(), settings(remote)):
        assert last_good.load(other) is None


def test_where_nothing_is_kept_there_is_nothing(tmp_path: Path) -> None:
    assert LastGood(tmp_path).load(settings("rules")) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema": 1}', "null", "[" * 100_000])
def test_a_file_that_cannot_be_read_is_passed_over_and_told(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "last-good" / "rules.json"
    file.parent.mkdir()
    file.write_text(content)
    assert LastGood(tmp_path).load(settings("rules")) is None
    assert f"the last good rules in {file} are not used" in caplog.text


def test_another_versions_file_is_passed_over(last_good: LastGood, tmp_path: Path) -> None:
    file = tmp_path / "state" / "last-good" / "rules.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema": 2}))
    assert last_good.load(settings("rules")) is None


def test_a_disk_that_does_not_take_it_is_told(
    tmp_path: Path, lanes: LoadedRules, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no directory")
    LastGood(tmp_path / "file").save(settings("rules"), lanes, 7)
    assert "cannot save revision 7 for a restart" in caplog.text
