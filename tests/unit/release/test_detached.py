"""Processes that outlive who started them: found again, never started twice, ended as a whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.release.detached import Detached, clean_environment


def wait(condition: Callable[[], bool]) -> None:
    """Waits until a condition holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Detached]:
    program = Detached(tmp_path, "app")
    program.start(["sleep", "60"], tmp_path, clean_environment())
    yield program
    program.signal(signal.SIGKILL)


def test_it_is_found_again_by_whoever_looks(running: Detached, tmp_path: Path) -> None:
    again = Detached(tmp_path, "app")
    assert (again.is_running, again.was_started) == (True, True)
    wait((tmp_path / "app.pid").exists)
    again.signal(signal.SIGTERM)
    wait(lambda: not again.is_running)


def test_it_is_not_started_twice(running: Detached, tmp_path: Path) -> None:
    wait((tmp_path / "app.pid").exists)
    pid = (tmp_path / "app.pid").read_text()
    Detached(tmp_path, "app").start(["sleep", "60"], tmp_path, clean_environment())
    assert (tmp_path / "app.pid").read_text() == pid


def test_it_outlives_a_killed_parent(tmp_path: Path) -> None:
    """Kill -9 right after the start, which nobody has noted anywhere."""
    script = (
        "import os, signal; from pathlib import Path; from gateway.release.detached import Detached;"
        f"Detached(Path({str(tmp_path)!r}), 'app').start(['sleep', '60'], Path('/'), dict(os.environ));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script], check=False, cwd=Path(__file__).parents[3])
    program = Detached(tmp_path, "app")
    assert program.is_running
    wait((tmp_path / "app.pid").exists)
    program.signal(signal.SIGKILL)
    wait(lambda: not program.is_running)


def test_a_number_that_is_another_process_by_now_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "app.pid").write_text(str(os.getpid()))
    (tmp_path / "app.lock").touch()
    program = Detached(tmp_path, "app")
    assert not program.is_running
    program.signal(signal.SIGTERM)  # and this process goes on


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("echo no >&2; exit 3", 3)])
def test_a_command_leaves_its_exit_code_and_its_output(tmp_path: Path, script: str, code: int) -> None:
    program = Detached(tmp_path, "run")
    program.start(["sh", "-c", script], tmp_path, clean_environment(), finishes=True)
    wait(lambda: Detached(tmp_path, "run").exit_code is not None)
    assert program.exit_code == code
    assert program.tail() == ("no" if code else "")


def test_what_is_killed_has_no_exit_code(tmp_path: Path) -> None:
    program = Detached(tmp_path, "run")
    program.start(["sleep", "60"], tmp_path, clean_environment(), finishes=True)
    wait((tmp_path / "run.pid").exists)
    program.signal(signal.SIGKILL)
    wait(lambda: not program.is_running)
    assert (program.exit_code, program.was_started) == (None, True)


@pytest.mark.parametrize(
    "name", ["GATEWAY_LISTEN", "NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY"]
)
def test_what_is_meant_for_the_server_does_not_reach_what_it_starts(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A sidecar would take the server's settings, or tell systemd that the server is ready, or stopping."""
    monkeypatch.setenv(name, "/run/something")
    assert name not in clean_environment()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GatewayError, match="cannot start sleep"):
        Detached(tmp_path / "file", "app").start(["sleep", "1"], tmp_path, {})
