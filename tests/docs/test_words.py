"""The documents use the words of the field, each in one meaning, and the glossary lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
    r"look-ups?": "lookup",
    r"roll-backs?": "rollback",
    r"authoris\w+|normalis\w+|optimis\w+|recognis\w+|behaviour|colour\w*": "American spelling",
}
"""Words that have a better one here."""

_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`|\]\([^)]*\)", re.MULTILINE | re.DOTALL)


def found(text: str) -> list[str]:
    """What a text should say otherwise. Code and links do not count: names of settings and codes are what they are."""
    prose = _CODE.sub("", text)
    return [
        f"{match[0]}: {better}"
        for word, better in WORDS.items()
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
