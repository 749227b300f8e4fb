"""The gray cycle on each registry, the registry killed and restarted empty in the middle of it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.users import User
from gateway.scrypt import hashed
from tests.support.consul import needs_consul
from tests.support.given import GIVEN, Given
from tests.support.rnacos import needs_rnacos

pytestmark = pytest.mark.real


async def demo(*arguments: str, **variables: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "demo", "--once", *arguments,
        env={**os.environ, **variables}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(180):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


def judge(output: str) -> None:
    table = re.search(r"requests +marked +failed.*\n(\d+) +(\d+) +(\d+) +(\d+) +(\d+)", output)
    assert table is not None, output
    requests, marked, *problems = (int(number) for number in table.groups())
    assert requests > marked > 20
    assert problems == [0, 0, 0], output
    assert "config=unset" not in output


@pytest.mark.parametrize(
    "kind", ["embedded", pytest.param("nacos", marks=needs_rnacos), pytest.param("consul", marks=needs_consul)]
)
async def test_nothing_fails_while_the_registry_dies_and_comes_back_empty(kind: str) -> None:
    output = await demo("--registry", kind, "--restart-registry")
    assert "is killed and restarted empty" in output
    judge(output)


@pytest.mark.parametrize("server", GIVEN.values(), ids=GIVEN)
async def test_the_cycle_on_a_server_that_an_operator_has(server: Given) -> None:

    judge(await demo("--registry", server.kind, "--address", server.address))


async def test_the_cycle_as_a_user_whose_password_is_in_no_output_and_no_argument(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(User("somebody", "write", hashed("let-me-in-please")).line + "\n")
    registry = EmbeddedRegistry("127.0.0.1", 0, warmup=0, users=users)
    await registry.start()
    where = ("--registry", "nacos", "--address", registry.address)
    output = await demo(*where, "--username", "somebody", GRAY_DEMO_PASSWORD="let-me-in-please")
    judge(output)
    assert "let-me-in-please" not in output
    await registry.stop()
