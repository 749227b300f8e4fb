"""docs/rules.md names every key and operator, and its examples and tables say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.control.rulefiles import load_rules
from gateway.http.request import Request
from gateway.rules.conditions import OPERATORS, Condition
from gateway.rules.model import Lane, LaneGroup, RulesFile
from tests.support.rules import compiled

DOCUMENT = (Path(__file__).parents[3] / "docs" / "rules.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)


def first_cells(heading: str) -> list[str]:
    """The code in the first column of the table under a heading, in order."""
    part = re.split(r"\n#+ ", DOCUMENT.partition(f"# {heading}\n")[2])[0]
    return re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE)


@pytest.mark.parametrize(
    ("heading", "model"),
    [("Files", RulesFile), ("A lane group", LaneGroup), ("A lane", Lane)],
    ids=str,
)
def test_every_key_is_documented(heading: str, model: type[BaseModel]) -> None:
    assert set(first_cells(heading)) == set(model.model_fields)


def test_every_source_and_operator_is_documented() -> None:
    sources = [field.alias or name for name, field in Condition.model_fields.items() if name not in {*OPERATORS, "in_"}]
    assert first_cells("Conditions") == sources
    operators = [cell.partition(":")[0] for cell in first_cells("Operators")]
    assert list(dict.fromkeys(operators)) == list(OPERATORS)


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_are_valid(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    assert load_rules([path]).rules.groups


def test_the_forms_of_conditions_are_valid(tmp_path: Path) -> None:
    forms = re.findall(r"^\| `[a-z_]+` \| `(\{.*?\})` \|", DOCUMENT, re.MULTILINE)
    assert len(forms) == 7
    path = tmp_path / "r.yaml"
    path.write_text(f"lane_groups: [{{name: g, lanes: [{{name: l, tag: t, match: [{', '.join(forms)}]}}]}}]")
    assert len(load_rules([path]).rules.groups[0].lanes[0].match) == 7


def test_the_table_of_absent_and_empty_values_is_true(tmp_path: Path) -> None:
    lines = DOCUMENT.partition("\n| | `equals: x`")[2].splitlines()
    operators = ["equals: x", *re.findall(r"`([^`]+)`", lines[0])]
    targets = {"absent": "/", "empty (`?a=`, `?a`)": "/?a=", "`x`": "/?a=x"}
    path = tmp_path / "r.yaml"
    for line in lines[2:5]:
        situation, *cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        for operator, cell in zip(operators, cells, strict=True):
            if cell == "by bucket":
                continue
            condition = {"range": "range: [0, 9]", "percent": "percent: 100"}.get(operator, operator)
            path.write_text(
                f"lane_groups: [{{name: g, lanes: [{{name: l, tag: t, match: [{{param: a, {condition}}}]}}]}}]"
            )
            winner = compiled(load_rules([path]).rules.groups).match(Request.build("GET", targets[situation]))
            assert ("no", "yes")[winner is not None] == cell, (situation, operator)
