"""All checks together, once or until nothing fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.admin.server import AdminServer
from gateway.app.doctor import examine as module
from gateway.app.doctor.examine import examine, examine_until
from gateway.app.doctor.finding import FAILED, OK, SKIPPED
from gateway.app.doctor.remote import ask_all
from gateway.cli import main
from tests.support.admin import ShownRole
from tests.support.roles import put_gateway


async def test_with_a_broken_configuration_nothing_else_is_looked_at(tmp_path: Path) -> None:
    findings = await examine(put_gateway(tmp_path, workers=0), None, [])
    assert [(item.check, item.state) for item in findings] == [("configuration", FAILED), ("everything else", SKIPPED)]


async def test_the_ports_of_the_program_that_runs_are_its_own(tmp_path: Path) -> None:
    server = AdminServer("127.0.0.1", 0, ShownRole())
    await server.start()
    findings = await examine(put_gateway(tmp_path, admin=f"127.0.0.1:{server.port}"), None, [])
    [admin] = [item for item in findings if item.subject == f"admin 127.0.0.1:{server.port}"]
    assert (admin.state, admin.message) == (OK, "in use by the running program")
    await server.close()


async def test_it_waits_until_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    role = ShownRole()
    server = AdminServer("127.0.0.1", 0, role)
    await server.start()
    seen = []

    def not_ready() -> list[str]:
        seen.append(1)
        return ["starting"] if len(seen) < 3 else []

    role.not_ready = not_ready  # type: ignore[method-assign]
    findings = await examine_until(20.0, None, f"127.0.0.1:{server.port}", [])
    assert [item.state for item in findings] == [OK, OK]
    assert len(seen) == 3
    role.not_ready = lambda: ["starting"]  # type: ignore[method-assign]
    assert [item.state for item in await examine_until(0.0, None, f"127.0.0.1:{server.port}", [])] == [FAILED, OK]
    await server.close()


def test_the_command_says_what_to_do_and_fails(tmp_path: Path) -> None:
    path = put_gateway(tmp_path, workers=0)
    result = CliRunner().invoke(main, ["doctor", "-c", str(path)])
    assert (result.exit_code, result.stderr) == (1, "2 checks, 1 failed\n")
    first, problem, hint, *_ = result.stdout.splitlines()
    assert first == "configuration"
    assert problem.startswith(f"  failed   {path}: {path}:")
    assert hint == "           → correct the file; `gateway check` shows the same"
    result = CliRunner().invoke(main, ["doctor", "-c", str(path), "-o", "json"])
    assert [item["state"] for item in json.loads(result.stdout)] == ["failed", "skipped"]


def test_the_command_succeeds_if_nothing_fails(tmp_path: Path) -> None:
    path = put_gateway(tmp_path, listen="127.0.0.1:0", admin="127.0.0.1:0", routes=[])
    result = CliRunner().invoke(main, ["doctor", "-c", str(path)])
    assert result.exit_code == 0, result.stdout


def test_how_long_to_wait_is_a_duration() -> None:
    result = CliRunner().invoke(main, ["doctor", "--wait", "soon"])
    assert (result.exit_code, "'soon' is not a duration such as 60s" in result.stderr) == (2, True)


async def test_the_token_is_sent_to_nobody_that_a_registry_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry may hold anything."""
    role = ShownRole()
    gateway, found, named = (AdminServer("127.0.0.1", 0, role, token="secret") for _ in range(3))
    for server in (gateway, found, named):
        await server.start()
    metadata = {"gray-sidecar": "b", "gray-sidecar-admin": str(found.port)}
    instances = [{"address": "127.0.0.1:80", "metadata": metadata}]
    monkeypatch.setattr(role, "services", lambda: [{"service": "b", "pools": [{"instances": instances}]}])
    asked = []

    async def noting(addresses: list[str], token: str | None, *rest: object, **more: bool) -> object:
        asked.append((addresses, token))
        return await ask_all(addresses, token, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "ask_all", noting)
    addresses = [f"127.0.0.1:{server.port}" for server in (gateway, named, found)]
    findings = await examine(None, addresses[0], [addresses[1]], "secret")
    for server in (gateway, found, named):
        await server.close()
    assert asked == [([addresses[0]], "secret"), ([addresses[1]], "secret"), ([addresses[2]], None)]
    assert [(item.subject, item.state) for item in findings if item.check == "in step"] == [
        (addresses[1], OK),
        (addresses[2], SKIPPED),
    ]
