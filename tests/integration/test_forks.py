"""A process that is forked for a test does what one does that Python has loaded."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.process import Program, run


@pytest.mark.parametrize(
    "arguments",
    [("version",), ("srve",), ("check", "missing.yaml"), ("serve", "-c", "missing.yaml"), ("rules", "--help")],
)
async def test_it_says_and_returns_the_same(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    loaded = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *arguments),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await loaded.communicate()
    assert await run(*arguments, cwd=tmp_path) == (loaded.returncode, output.decode(), errors.decode())


async def test_it_has_the_environment_and_the_folder_that_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("listen: ${NOWHERE}\n")
    program = Program(tmp_path)
    await program.start("check", "gateway.yaml", env={**os.environ, "NOWHERE": "no address"})
    assert await program.wait() == 1
    assert "gateway.yaml:1:9: listen: " in program.log.read_text()
    assert "no address" in program.log.read_text()


async def test_how_a_signal_ended_it_is_known(tmp_path: Path) -> None:
    program = Program(tmp_path)
    await program.start("registry", "serve", "--listen", "127.0.0.1:0")
    program.send(signal.SIGKILL)
    assert await program.wait() == -signal.SIGKILL
    assert program.has_ended
    assert not Path(f"/proc/{program.pid}").exists()
