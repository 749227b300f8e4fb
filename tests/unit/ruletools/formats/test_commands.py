"""`gateway rules import` and `export`: data on stdout, losses on stderr, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.ruletools.formats import FORMATS

RULES = """\
lane_groups:
  - name: g
    services: [a]
    lanes:
      - {name: l, tag: t, match: [{param: p, equals: x}]}
      - {name: m, tag: u, match: [{body: /p, equals: x}]}
"""


def rules(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["rules", *arguments], input=text)


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_exported_can_be_imported_and_checked(form: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    exported = rules("export", form, str(path))
    assert exported.exit_code == 0, exported.stderr
    assert "lost: g/m match.0: " in exported.stderr
    assert "; the lane is left out\n" in exported.stderr
    assert rules("export", form, str(path), "--strict").exit_code == 1
    imported = rules("import", form, "-", text=exported.stdout)
    assert imported.exit_code == 0, imported.output
    (tmp_path / "back.yaml").write_text(imported.stdout)
    assert rules("fmt", "--diff", str(tmp_path / "back.yaml")).exit_code == 0
    checked = CliRunner().invoke(main, ["check", str(tmp_path / "back.yaml")])
    assert checked.exit_code == 0, checked.output
    [lane] = yaml.safe_load(imported.stdout)["lane_groups"][0]["lanes"]
    assert (lane["name"], lane["match"]) == ("l", [{"param": "p", "equals": "x"}])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[3]", "0: an object is accepted; found 3\n"),
        ("[" * 100_000, "<stdin>: too deeply nested\n"),
        ("a: [", "<stdin>: neither JSON nor YAML: "),
    ],
    ids=["no object", "deep", "no YAML"],
)
def test_what_is_not_of_the_format_is_told_in_a_line(text: str, message: str) -> None:
    broken = rules("import", "mse", "-", text=text)
    assert broken.exit_code == 1
    assert broken.stderr.startswith(message)


def test_what_is_imported_looks_as_if_it_was_written_by_hand() -> None:
    item = '{"Type": "header", "Name": "a", "Cond": "==", "Value": "b"}'
    rule = f'{{"Paths": ["/A"], "Condition": "AND", "Priority": 1, "RestItems": [{item}]}}'
    imported = rules("import", "mse", "-", text=f'{{"Name": "gray", "Tag": "g1", "EntryRules": [{rule}]}}')
    assert (
        imported.stdout
        == """\
lane_groups:
  - name: mse
    lanes:
      - name: gray
        tag: g1
        paths:
          - /A
        match:
          - {header: a, equals: b}
"""
    )
