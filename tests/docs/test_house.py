"""The repository's house: what is packed, built, imaged and checked is what there is."""

from __future__ import annotations

import ast
import contextlib
import glob
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_a_source_archive_can_be_built_again() -> None:
    """Setuptools leaves a backend that lives beside pyproject.toml out of the archive unless it is told."""
    backend = PROJECT["build-system"]["build-backend"] + ".py"
    assert (ROOT / backend).exists()
    assert f"include {backend}" in (ROOT / "MANIFEST.in").read_text().splitlines()


def test_every_room_has_its_layer() -> None:
    """A room that no layer names may import whatever it likes."""
    rooms = {
        path.stem for path in (ROOT / "gateway").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    contract = PROJECT["tool"]["importlinter"]["contracts"][0]
    assert contract["type"] == "layers"
    named = {name.strip().removeprefix("gateway.") for layer in contract["layers"] for name in layer.split("|")}
    assert named == rooms - {"__init__"}


def test_ci_gets_a_browser_if_it_can_and_runs_the_linters_and_the_tests_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    commands = [line for line in lines if line and not line.startswith("#")]
    assert commands[:2] == ["set -euo pipefail", 'cd "$(dirname "$0")/.."']
    assert (commands[2].endswith("command -v chromium >/dev/null; then"), commands[-4]) == (True, "fi")
    assert commands[-3:] == ["make lint", "make test", "make test-real"]


def test_documented_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    documented = set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE))
    assert {"demo", "test", "lint", "bench"} <= documented
    assert documented <= targets


def test_both_readmes_show_the_same_commands_and_files() -> None:
    """The picture alone is translated: it is the first block of each."""
    english, chinese = (
        re.findall(r"^```.*?^```$", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL)
        for name in ("README.md", "README.zh-CN.md")
    )
    assert len(english) > 3
    assert english[1:] == chinese[1:]


def test_the_documented_demo_service_takes_these_options() -> None:
    from gateway.demo.service import main

    found = [
        shlex.split(line)[3:]
        for path in DOCUMENTS
        for line in path.read_text().splitlines()
        if line.startswith("python -m gateway.demo.service ")
    ]
    assert found
    for arguments in found:
        main.make_context("service", arguments)


def test_the_image_is_built_from_what_its_context_lets_in() -> None:
    """`.dockerignore` refuses everything that it does not name."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {name for names in copied for name in names.split()} == let_in
    assert {"pyproject.toml", "setup.py", PROJECT["build-system"]["build-backend"] + ".py", "README.md"} <= let_in


def compiled_files() -> list[str]:
    """What `setup.py` has compiled where that is asked for."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    (hot,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "HOT"
    ]
    with contextlib.chdir(ROOT):
        found: list[str] = eval(compile(ast.Expression(hot), "setup.py", "eval"), {"glob": glob.glob})
    return found


def test_no_compiled_module_awaits_while_it_handles_an_exception() -> None:
    """mypyc 2.4 then restores what is handled wrongly: references to None get lost, until the interpreter crashes."""
    awaiting = []
    for name in compiled_files():
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            parts = [*node.handlers, *node.finalbody] if isinstance(node, ast.Try) else []
            awaiting += [
                f"{name}:{item.lineno}" for part in parts for item in ast.walk(part) if isinstance(item, ast.Await)
            ]
    assert awaiting == []


def test_a_subclass_of_a_compiled_class_is_compiled() -> None:
    """mypyc's classes have none that are interpreted. (One of pydantic's or of exceptions is not mypyc's.)"""
    files = compiled_files()
    compiled = {name.removesuffix(".py").replace("/", ".") for name in files}
    missing = []
    for path in SOURCES:
        if str(path.relative_to(ROOT)) in files:
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        theirs = {
            alias.asname or alias.name
            for node in nodes
            if isinstance(node, ast.ImportFrom) and node.module in compiled
            for alias in node.names
        }
        missing += [
            f"{path.relative_to(ROOT)}: {node.name}"
            for node in nodes
            if isinstance(node, ast.ClassDef)
            and {base.id for base in node.bases if isinstance(base, ast.Name)} & theirs
        ]
    assert missing == []


# --- sizes: a file, a class or a list of arguments that grows asks to be split

MOST_LINES = 400
MOST_MEMBERS = 15
MOST_POSITIONAL = 6
SOURCES = sorted((ROOT / "gateway").rglob("*.py"))


def test_no_file_is_longer_than_can_be_read_at_once() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def test_a_class_with_many_public_members_says_why() -> None:
    """In a comment above it. The fields of a model are no members: a file has as many keys as it has."""
    silent = []
    for path in SOURCES:
        text = path.read_text()
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and len(_members(node)) > MOST_MEMBERS:
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                if not lines[first - 2].startswith("#"):
                    silent.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {len(_members(node))}")
    assert silent == []


def test_no_function_takes_more_arguments_by_their_place_than_can_be_told_apart() -> None:
    """A command's are passed by name, always."""
    many = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_command(node):
                names = [
                    item.arg for item in (*node.args.posonlyargs, *node.args.args) if item.arg not in ("self", "cls")
                ]
                if len(names) > MOST_POSITIONAL:
                    many.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {len(names)}")
    assert many == []


def _members(node: ast.ClassDef) -> set[str]:
    """Public methods, and attributes that are made in `__init__` or named in `__slots__`."""
    found: set[str] = set()
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(item.name)
            if item.name == "__init__":
                stores = (inner for inner in ast.walk(item) if isinstance(inner, ast.Attribute))
                found |= {
                    inner.attr
                    for inner in stores
                    if isinstance(inner.ctx, ast.Store)
                    and isinstance(inner.value, ast.Name)
                    and inner.value.id == "self"
                }
        elif isinstance(item, ast.Assign) and [ast.unparse(target) for target in item.targets] == ["__slots__"]:
            found |= {str(name.value) for name in ast.walk(item.value) if isinstance(name, ast.Constant)}
    return {name for name in found if not name.startswith("_")}


def _is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("click.command" in ast.unparse(decorator) for decorator in node.decorator_list)
