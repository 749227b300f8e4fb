"""docs/rules.md names every key and operator, and its examples and tables say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.rules.compile import compile_rules
from gateway.rules.conditions import ALL_SOURCES, COMBINATIONS, Condition, TimeTest
from gateway.rules.model import Lane, LaneGroup, RulesFile
from gateway.rules.operators import OPERATORS
from gateway.rulesources.files import load_rules
from tests.support.asked import asked
from tests.support.rules import around

DOCUMENT = (Path(__file__).parents[3] / "docs" / "rules.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)


def first_cells(heading: str) -> list[str]:
    """The code in the first column of the table under a heading, in order."""
    part = re.split(r"\n#+ ", DOCUMENT.partition(f"# {heading}\n")[2])[0]
    return re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE)


def segment(folder: Path, name: str) -> None:
    """A segment's file beside the rules, with the value `x` in it."""
    (folder / "segments").mkdir(exist_ok=True)
    (folder / "segments" / f"{name}.txt").write_text("# some\nx\n")


@pytest.mark.parametrize(
    ("heading", "model"),
    [("Files", RulesFile), ("A lane group", LaneGroup), ("A lane", Lane), ("Times", TimeTest)],
    ids=str,
)
def test_every_key_is_documented(heading: str, model: type[BaseModel]) -> None:
    assert set(first_cells(heading)) == {field.alias or name for name, field in model.model_fields.items()}


def test_every_source_and_operator_is_documented() -> None:
    others = {*OPERATORS, "in_", "ignore_case", "issue"}
    sources = [field.alias or name for name, field in Condition.model_fields.items() if name not in others]
    assert sources == [*ALL_SOURCES, *COMBINATIONS]
    assert sorted(first_cells("Conditions")) == sorted(sources)
    operators = [cell.partition(":")[0] for cell in first_cells("Operators")]
    assert list(dict.fromkeys(operators)) == list(OPERATORS)


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_are_valid(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    segment(tmp_path, "vips")
    assert load_rules([path]).rules.groups


def test_the_forms_of_conditions_are_valid(tmp_path: Path) -> None:
    forms = re.findall(r"^\| `[a-z_]+` \| `(\{.*?\})` \|", DOCUMENT, re.MULTILINE)
    assert len(forms) == len(ALL_SOURCES) + len(COMBINATIONS)
    path = tmp_path / "r.yaml"
    segment(tmp_path, "vips")
    path.write_text(
        f"segments: [{{name: vips, file: segments/vips.txt}}]\nlane_groups: [{{name: g, lanes: [{{name: l, tag: t, match: [{', '.join(forms)}]}}]}}]"
    )
    assert len(load_rules([path]).rules.groups[0].lanes[0].match) == len(forms)


def test_the_table_of_absent_and_empty_values_is_true(tmp_path: Path) -> None:
    lines = DOCUMENT.partition("\n| | `equals: x`")[2].splitlines()
    operators = ["equals: x", *re.findall(r"`([^`]+)`", lines[0])]
    targets = {"absent": "/", "empty (`?a=`, `?a`)": "/?a=", "`x`": "/?a=x"}
    path = tmp_path / "r.yaml"
    segment(tmp_path, "s")
    for line in lines[2:5]:
        situation, *cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        for operator, cell in zip(operators, cells, strict=True):
            if cell == "by bucket":
                continue
            condition = {"range": "range: [0, 9]", "segment": "segment: s"}.get(operator, operator)
            condition = {"percent": "percent: 100"}.get(condition, condition)
            condition = f"{condition}: 0" if condition in ("gt", "gte", "lt", "lte") else condition
            path.write_text(
                "segments: [{name: s, file: segments/s.txt}]\n"
                f"lane_groups: [{{name: g, lanes: [{{name: l, tag: t, match: [{{param: a, {condition}}}]}}]}}]"
            )
            winner = compile_rules(load_rules([path]).rules, around()).match(asked("GET", targets[situation]))
            assert ("no", "yes")[winner is not None] == cell, (situation, operator)
