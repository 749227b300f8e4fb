"""What the demo tells people to type is what they can type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.demo.processes import program_name
from gateway.release.ports import free_port


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this Python and its programs are: in `.venv/bin` below the working directory."""
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return folder


def install(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "gateway").write_text("#!/bin/sh\n")
    (folder / "gateway").chmod(0o755)


def test_after_make_demo_the_path_from_the_checkout(programs: Path) -> None:
    install(programs)
    assert program_name() == ".venv/bin/gateway"


def test_from_elsewhere_the_whole_path(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(programs)
    monkeypatch.chdir(programs)
    assert program_name() == "gateway"
    monkeypatch.chdir("/usr")
    assert program_name() == str(programs / "gateway")


def test_in_an_active_environment_the_name(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(programs)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin")
    assert program_name() == "gateway"


def test_not_a_name_that_means_another_program(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(programs)
    install(tmp_path / "other")
    monkeypatch.setenv("PATH", f"{tmp_path / 'other'}:/usr/bin")
    assert program_name() == ".venv/bin/gateway"


def test_without_an_installed_program_the_module(programs: Path) -> None:
    assert program_name() == f"{programs / 'python'} -m gateway"


def test_ports_are_given_once_among_all_processes() -> None:
    """Two demos, or two runs of these tests, must not choose a port before either of them listens on it."""
    script = "from gateway.release.ports import _claim; print(_claim({port}))"
    port = free_port()
    claims = (
        subprocess.run([sys.executable, "-c", script.format(port=number)], capture_output=True, text=True, check=True)
        for number in (port, 1)
    )
    assert [claim.stdout for claim in claims] == ["False\n", "True\n"]
