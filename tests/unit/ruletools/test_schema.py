"""The JSON Schemas that editors use: committed as they are written, and true of every file there is."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from gateway.ruletools.schema import SCHEMAS, schema_of

ROOT = Path(__file__).parents[3]
FILES = [
    *((path, "rules") for path in [*ROOT.glob("rules/*.yaml"), *ROOT.glob("rules/examples/*.yaml")]),
    *((path, "rule-tests") for path in ROOT.glob("rules/**/tests/*.yaml")),
    (ROOT / "config" / "gateway.yaml", "gateway"),
    (ROOT / "config" / "sidecar.yaml", "sidecar"),
]
_FENCE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def as_an_editor_reads_it(text: str) -> Any:
    """Plain scalars become numbers, booleans and dates, which JSON has no word for."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


@functools.cache
def validator(kind: str) -> Validator:
    """That of a schema, which is one by the rules of schemas: to see that takes longer than anything else here."""
    schema = schema_of(kind)
    found = validator_for(schema)
    found.check_schema(schema)
    return found(schema)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_committed_schema_is_the_one_written(kind: str) -> None:
    """Otherwise: gateway schema KIND > config/schema/KIND.json."""
    assert json.loads((ROOT / "config" / "schema" / f"{kind}.json").read_text()) == schema_of(kind)


@pytest.mark.parametrize(("path", "kind"), FILES, ids=lambda value: value.name if isinstance(value, Path) else value)
def test_every_file_of_the_project_fits(path: Path, kind: str) -> None:
    validator(kind).validate(as_an_editor_reads_it(path.read_text()))


def test_every_example_of_the_documents_fits() -> None:
    checked = 0
    for document in sorted(ROOT.glob("docs/*.md")):
        for text in _FENCE.findall(document.read_text()):
            data = as_an_editor_reads_it(text)
            for key, kind in (
                ("lane_groups", "rules"),
                ("tests", "rule-tests"),
                ("app", "sidecar"),
                ("registry", "gateway"),
            ):
                if isinstance(data, dict) and key in data:
                    validator(kind).validate(data)
                    checked += 1
                    break
    assert checked > 15


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("rules", "lane_groups: [{name: g, lanes: [{name: l, tag: t, match: [{param: a, equls: b}]}]}]"),
        ("rules", "lane_groups: [{lanes: []}]"),
        ("gateway", "{registry: {kind: static}, listn: x}"),
        ("gateway", "{registry: {kind: zookeeper}}"),
        ("rule-tests", "tests: []"),
    ],
)
def test_a_slip_of_the_pen_is_seen(kind: str, text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator(kind).validate(as_an_editor_reads_it(text))
