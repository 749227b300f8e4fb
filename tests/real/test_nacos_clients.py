"""Nacos' own clients, of every language and generation that there is a toolchain for, against the embedded registry.

Each registers, is pushed a list, lists, publishes, reads and hears of config, and deregisters, as a user with a password.
`make clients` gets them; one that is not there is skipped, loudly.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import ServiceKey
from gateway.registry.embedded.users import User
from gateway.scrypt import hashed

pytestmark = pytest.mark.real

HERE = Path(__file__).parent / "clients"
CLIENTS = {
    "sdk-python-3": ["bin/python", str(HERE / "sdk3.py")],
    "sdk-python-2": ["bin/python", str(HERE / "sdk3.py")],
    "sdk-python-0.1": ["bin/python", str(HERE / "sdk01.py")],
    "sdk-java-3": [shutil.which("java") or "java", "-cp", "out:lib/*", "Client"],
    "sdk-java-2": [shutil.which("java") or "java", "-cp", "out:lib/*", "Client"],
    "sdk-java-1": [shutil.which("java") or "java", "-cp", "out:lib/*", "Client"],
    "sdk-go-2": ["./client"],
    "sdk-go-1": ["./client"],
    "sdk-node": [shutil.which("node") or "node", "main.js"],
}
CANNOT_LOG_IN = {"sdk-node"}
"""Its naming client knows no users."""
SAID = [
    "registered",
    "pushed 10.0.0.1:8080 gray",
    "listed 10.0.0.1:8080 gray",
    "published true",
    "read one",
    "notified two",
]


def clients_folder() -> Path:
    """Where `make clients` puts them."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GRAY_CLIENTS") or Path(cache) / "gray-gateway" / "clients")


@pytest.fixture
async def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EmbeddedRegistry]:
    users = tmp_path / "users"
    users.write_text(User("somebody", "write", hashed("secret")).line + "\n")
    is_open = request.node.callspec.params["name"] in CANNOT_LOG_IN
    registry = EmbeddedRegistry("127.0.0.1", 0, warmup=0, users=None if is_open else users)
    await registry.start()
    yield registry
    await registry.stop()


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client_that_is_not_ours(name: str, guarded: EmbeddedRegistry, tmp_path: Path) -> None:
    folder = clients_folder() / name
    if not folder.exists():
        pytest.skip(f"{name} is not there: NOT tested with that client; `make clients` gets it")
    process = await asyncio.create_subprocess_exec(
        *CLIENTS[name], guarded.address, "somebody", "secret",
        cwd=folder, env={**os.environ, "JM_LOG_PATH": str(tmp_path), "HOME": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(180):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = [line[2:] for line in output.decode().splitlines() if line.startswith("> ")]
    assert said == SAID, errors.decode()[-3000:]
    assert guarded.store.instances(ServiceKey.of("", "", "orders")) == []
