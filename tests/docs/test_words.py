"""Documents, help, messages use the words of the field, each in one meaning, and the glossary lists them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest

from gateway.cli import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("docs/*.md"), *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY"))])
IDS = [str(path.relative_to(ROOT)) for path in DOCUMENTS]

WORDS = {
    r"answer\w*": "response, respond, return",
    r"upload\w*": "request body",
    r"told": "a verb with a subject: log, report, send",
    r"asker\w*": "client",
    r"mend(?:s|ed|ing)?": "fix",
    r"time-outs?": "timeout",
    r"take-overs?": "takeover",
    r"look-ups?": "lookup",
    r"roll-backs?": "rollback",
    r"authoris\w+|normalis\w+|optimis\w+|recognis\w+|behaviour|colour\w*": "American spelling",
}
"""Words that have a better one here."""

MESSAGE_WORDS = {
    r"whoever": "anyone who, or the subject's name",
    r"meanwhile": "in the meantime",
    r"anew": "again, or a verb: restart, reopen, rebuild",
    r"believ\w+": "confirm, accept, trust",
    r"(?:is|are) no(?! longer\b| more\b)(?<!there is no)(?<!there are no)": "is not a",
    r"of (?:its|their|our) own": "its own",
    r"any more": "no longer",
    r"somebody else": "what has happened: it was changed",
}
"""More of them in messages, which are read in haste and alone."""

_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`|\]\([^)]*\)", re.MULTILINE | re.DOTALL)


def found(text: str, words: Mapping[str, str] = WORDS) -> list[str]:
    """What a text should say otherwise. Code and links do not count: names of settings and codes are what they are."""
    prose = _CODE.sub("", text)
    return [
        f"{match[0]}: {better}"
        for word, better in words.items()
        for match in re.finditer(rf"(?i)\b(?:{word})\b", prose)
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_documents_use_the_words_of_the_field(document: Path) -> None:
    assert found(document.read_text()) == []


def commands(group: click.Group, parent: click.Context) -> Iterator[click.Context]:
    """A context for each command below a group. A command keeps the help option that its first context gave it: the parent's."""
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=parent)
        yield context
        if isinstance(command, click.Group):
            yield from commands(command, context)


def test_the_help_of_every_command_uses_them_too() -> None:
    several = list(commands(main, click.Context(main, info_name="gateway", **main.context_settings)))
    assert len(several) > 20
    assert {context.command_path: words for context in several if (words := found(context.get_help()))} == {}


def messages(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The line and text of every sentence in a program: its strings of several words, without what is filled in, but for
    docstrings. Which of them becomes a log message, an error, a problem's detail or a finding does not matter."""
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(value.value) if isinstance(value, ast.Constant) else "_" for value in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts | docstrings:
            text = node.value
        else:
            continue
        if " " in text.strip():
            yield node.lineno, text


def test_messages_of_the_program_use_them_too() -> None:
    words = {**WORDS, **MESSAGE_WORDS}
    assert {
        f"{path.relative_to(ROOT)}:{line}": several
        for path in sorted(ROOT.glob("gateway/**/*.py"))
        for line, text in messages(ast.parse(path.read_text()))
        if (several := found(text, words))
    } == {}


def test_the_glossary_is_in_order_and_complete() -> None:
    rows = re.findall(
        r"^\| \*\*(.+?)\*\* \| (.+?) \| (.+?) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE
    )
    words = [word for word, _, _ in rows]
    assert words == sorted(words, key=str.lower)
    assert {"response", "client", "baseline", "lane", "tag", "carrier", "snapshot", "revision"} <= set(words)


def test_every_document_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [path.name for path in ROOT.glob("docs/*.md") if path.name != "README.md"]
    assert [page for page in pages if f"({page})" not in index] == []
