"""What outlives a restart is its owner's alone, and nothing else is touched."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gateway.state import open_state


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}


def test_a_new_directory_is_private(tmp_path: Path) -> None:
    open_state(tmp_path / "var" / "state")
    assert modes(tmp_path / "var" / "state") == dict.fromkeys(
        (".", "history", "remote", "registry", "last-good", "drains", "routes"), 0o700
    )


def test_what_an_earlier_version_left_open_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    for name in ("history/000000001.json", "remote/lanes-1/a.yaml", "registry/nacos/a.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    open_state(folder)
    found = modes(folder)
    assert {found[name] for name in found if name.endswith((".json", ".yaml"))} == {0o600}
    assert {found[name] for name in found if not name.endswith((".json", ".yaml"))} == {0o700}


def test_a_directory_that_holds_others_things_keeps_its_mode(tmp_path: Path) -> None:
    """`state: .` beside the configuration, or `/var/lib`, must not lock anybody out."""
    tmp_path.chmod(0o755)
    (tmp_path / "gateway.yaml").write_text("x")
    (tmp_path / "gateway.yaml").chmod(0o644)
    open_state(tmp_path)
    assert modes(tmp_path) == {
        ".": 0o755, "gateway.yaml": 0o644, "history": 0o700, "remote": 0o700, "registry": 0o700, "drains": 0o700, "routes": 0o700,
        "last-good": 0o700,
    }  # fmt: skip


def test_one_that_cannot_be_made_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("x")
    open_state(tmp_path / "file" / "state")
    assert "private" in caplog.text
