"""`gateway release serve` in one process: where it listens, that it is alone, and what it says of itself."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.app.release import ReleaseProgram
from gateway.app.sockets import Sockets
from gateway.errors import GatewayError, StartError
from gateway.proxy.server import bind
from gateway.release.ports import free_port
from tests.support.release import write_files
from tests.support.strangers import ask


def put(folder: Path, listen: str) -> ReleaseProgram:
    """A release server of this folder's files and state."""
    write_files(folder / "release")
    target = "{kind: processes, registry: {kind: nacos, address: 127.0.0.1:1}}"
    path = folder / "release.yaml"
    path.write_text(f"listen: {listen}\nfiles: release\nstate: state\ntargets:\n  local: {target}\n")
    return ReleaseProgram(path)


async def test_it_serves_at_its_address_until_it_stops(tmp_path: Path) -> None:
    port = free_port()
    program = put(tmp_path, f"127.0.0.1:{port}")
    async with AsyncExitStack() as parts:
        await program.start(parts, Sockets())
        status, _, body = await ask(port, "GET", "/api/v1/environments")
        assert (status, len(json.loads(body)["environments"])) == (200, 2)
        bind("127.0.0.2", port).close()  # nowhere else
    bind("127.0.0.1", port).close()
    assert program.state() == {}


async def test_a_supervisors_socket_is_the_one_that_it_serves_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    given = bind("127.0.0.1", 0)
    at = given.getsockname()[1]
    monkeypatch.setattr("gateway.app.sockets.inherited_sockets", lambda: {"listen": [given]})
    async with AsyncExitStack() as parts:
        await put(tmp_path, f"127.0.0.1:{port}").start(parts, Sockets())
        assert (await ask(at, "GET", "/api/v1/environments"))[0] == 200
        bind("127.0.0.1", port).close()
    assert given.fileno() == -1


async def test_another_one_of_the_same_state_cannot_start_and_the_first_goes_on(tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    async with AsyncExitStack() as parts:
        await put(tmp_path, f"127.0.0.1:{first}").start(parts, Sockets())
        with pytest.raises(GatewayError, match="another release server uses"):
            async with AsyncExitStack() as others:
                await put(tmp_path, f"127.0.0.1:{second}").start(others, Sockets())
        bind("127.0.0.1", second).close()
        assert (await ask(first, "GET", "/api/v1/environments"))[0] == 200


async def test_it_hands_nothing_over(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot hand over: stop it and start the new one"):
        await put(tmp_path, "127.0.0.1:1").hand_over()


@pytest.mark.parametrize(("host", "is_told"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])
async def test_without_users_who_can_use_it_is_told_unless_it_is_this_machine(
    tmp_path: Path, host: str, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    async with AsyncExitStack() as parts:
        await put(tmp_path, f"{host}:{port}").start(parts, Sockets())
    told = f"anyone who can reach the release API on {host}:{port} can use it: set users"
    assert (told in [record.getMessage() for record in caplog.records]) is is_told
