"""`gateway release serve` as a process: it starts, is alone, ends, and says why it cannot start."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from gateway.release.ports import free_port
from tests.support.process import Program, get_json
from tests.support.release import write_files

CONFIG = """\
listen: 127.0.0.1:{port}
files: release
state: state
targets:
  local: {{kind: processes, registry: {{kind: nacos, address: 127.0.0.1:1}}}}
"""


@pytest.fixture
def port(tmp_path: Path) -> int:
    write_files(tmp_path / "release")
    port = free_port()
    (tmp_path / "release.yaml").write_text(CONFIG.format(port=port))
    return port


async def serve(folder: Path) -> Program:
    program = Program(folder)
    await program.start("release", "serve", "-c", "release.yaml")
    return program


async def test_it_is_alone_on_its_state_and_comes_back_after_a_kill(tmp_path: Path, port: int) -> None:
    first = await serve(tmp_path)
    await first.wait_ok(port)
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    (tmp_path / "release.yaml").write_text(CONFIG.format(port=free_port()))
    second = await serve(tmp_path)
    assert await second.wait() == 3
    assert "another release server uses" in second.log.read_text()
    first.send(signal.SIGKILL)
    await first.wait()
    (tmp_path / "release.yaml").write_text(CONFIG.format(port=port))
    third = await serve(tmp_path)
    await third.wait_ok(port)
    assert len((await get_json(port, "/api/v1/environments"))["environments"]) == 2
    third.send(signal.SIGTERM)
    assert await third.wait() == 0


async def test_problems_in_its_files_are_said_all_at_once(tmp_path: Path, port: int) -> None:
    write_files(tmp_path / "release", {"apps/a.yaml": "nope: 1\n", "environments/gray.yaml": "level: grey\n"})
    program = await serve(tmp_path)
    assert await program.wait() == 3
    log = program.log.read_text()
    assert "apps/a.yaml:1:1: nope: unknown key 'nope'" in log
    assert "environments/gray.yaml:1:8: level: must be" in log
    assert "Traceback" not in log
