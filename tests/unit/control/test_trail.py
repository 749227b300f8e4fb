"""What has to be watched to see a file change, however it is replaced."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gateway.control.trail import Scope, signature, trail


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def shown(root: Path, path: Path) -> tuple[str, list[str]]:
    """The end and the entries below a folder."""
    end, entries = trail(path)
    return str(end.relative_to(root)), [str(item.relative_to(root)) for item in entries if root in item.parents]


def test_a_trail_leads_through_links_of_every_kind(root: Path) -> None:
    write(root / "rel1" / "rules" / "a.yaml")
    (root / "stage").symlink_to("rel1")
    (root / "deep").mkdir()
    (root / "deep" / "current").symlink_to("../stage")
    (root / "absolute").symlink_to(root / "deep" / "current")
    assert shown(root, root / "absolute" / "rules" / "a.yaml") == (
        "rel1/rules/a.yaml",
        ["absolute", "deep", "deep/current", "stage", "rel1", "rel1/rules", "rel1/rules/a.yaml"],
    )


def test_dots_are_followed_as_the_system_follows_them(root: Path) -> None:
    """`link/..` is the directory above what the link leads to, not the one that the link is in."""
    write(root / "one" / "two" / "x")
    write(root / "one" / "rules.yaml")
    (root / "link").symlink_to("one/two")
    assert shown(root, root / "link" / ".." / "rules.yaml") == (
        "one/rules.yaml",
        ["link", "one", "one/two", "one/rules.yaml"],
    )


def test_a_trail_ends_at_what_is_not_there(root: Path) -> None:
    (root / "link").symlink_to("gone/rules")
    assert shown(root, root / "link" / "a.yaml") == ("gone", ["link", "gone"])


def test_a_link_to_itself_ends_the_trail(root: Path) -> None:
    (root / "loop").symlink_to("loop")
    assert trail(root / "loop").entries[-1] == root / "loop"


def test_a_scope_has_the_directory_of_every_entry_and_those_searched(root: Path) -> None:
    write(root / "rel1" / "rules" / "a.yaml")
    (root / "current").symlink_to("rel1")
    scope = Scope.of([root / "current" / "rules", root / "current" / "rules" / "a.yaml", root / "gone" / "b.yaml"])
    below = sorted(name for name, *_ in scope.directories if name.startswith(str(root)))
    assert below == [str(root), str(root / "rel1"), str(root / "rel1" / "rules")]
    for path, is_concerned in (
        ("current", True),
        ("rel1", True),
        ("rel1/rules/a.yaml", True),
        ("rel1/rules/new.yml", True),
        ("rel1/rules/access.log", False),
        ("rel1/rules/.a.yaml.swp", False),
        ("rel1/rules/.hidden.yaml", False),
        ("gone", True),
        ("gateway.log", False),
    ):
        assert scope.concerns(str(root / path)) is is_concerned, path


def test_another_directory_in_the_same_place_is_another_scope(root: Path) -> None:
    write(root / "rules" / "a.yaml")
    before = Scope.of([root / "rules"])
    assert Scope.of([root / "rules"]) == before
    (root / "rules").rename(root / "old")
    write(root / "rules" / "a.yaml")
    assert Scope.of([root / "rules"]) != before


def test_a_signature_changes_with_whatever_may_be_a_change(root: Path) -> None:
    file = write(root / "rules" / "a.yaml")
    files = [root / "rules", file, root / "gone"]
    seen = [signature(files)]
    assert signature(files) == seen[0]

    def is_new() -> bool:
        seen.append(signature(files))
        return seen[-1] not in seen[:-1]

    write(root / "rules" / "notes.txt")
    assert not is_new()
    seen.clear()
    seen.append(signature(files))
    write(root / "rules" / "b.yaml")
    assert is_new()
    write(root / "gone")
    assert is_new()
    os.utime(file, (time.time() - 3600, time.time() - 3600))
    assert is_new()
    file.chmod(0o600)
    assert is_new()
    os.replace(write(root / "new", "y"), file)
    assert is_new()
    file.unlink()
    assert is_new()
