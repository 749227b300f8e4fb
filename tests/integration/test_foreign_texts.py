"""What a registry says reaches no terminal and no log raw, whichever way a person looks at it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from tests.support.gateway import Gateway
from tests.support.origin import Origin
from tests.support.process import run

EVIL = "\x1b]0;owned\x07\x1b[2J\r\n2027-01-01 00:00:00,000 INFO gateway: all is well \u202etxt.exe\u2028[bold]x[/bold]"


def steers(text: str) -> list[str]:
    return [letter for letter in text if not letter.isprintable() and letter != "\n"]


@pytest.fixture
async def registry() -> AsyncIterator[tuple[str, list[web.Response]]]:
    """A server that answers whatever stands in the list."""
    answers: list[web.Response] = []

    async def answer(_: web.Request) -> web.Response:
        said = answers[-1]
        return web.Response(status=said.status, text=said.text, content_type=said.content_type)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"127.0.0.1:{runner.addresses[0][1]}", answers
    await runner.cleanup()


async def printed(*arguments: str) -> str:
    """What a command prints, on both streams."""
    _, output, errors = await run(*arguments)
    return output + errors


async def test_errors_and_metadata_of_a_registry_are_printable_everywhere(
    tmp_path: Path, origin: Origin, registry: tuple[str, list[web.Response]]
) -> None:
    address, answers = registry
    gateway = Gateway(tmp_path, origin)
    gateway.config["registry"] = {"kind": "nacos", "address": address, "interval": "50ms"}
    gateway.write("rules/gray.yaml", "lane_groups: []")
    gateway.write("gateway.yaml", gateway.config)
    answers.append(web.Response(status=418, text=EVIL))
    await gateway.start("serve", "-c", "gateway.yaml")
    server = ("--server", f"127.0.0.1:{gateway.admin}")
    try:
        reasons = await gateway.wait_ok(gateway.admin, status=503)
        while "owned" not in reasons:
            reasons = await gateway.wait_ok(gateway.admin, status=503)
        assert steers(reasons) == []
        listed = await printed("registry", "list", *server)
        assert r"\x1b]0;owned\x07" in listed
        assert steers(listed) == []
        instance = {"ip": "10.0.0.1", "port": 80, "metadata": {"note": EVIL, EVIL: "x"}}
        answers.append(web.json_response({"code": 0, "data": [instance]}))
        await gateway.wait_ok(gateway.admin)
        for command in (("registry", "list", "a"), ("registry", "status"), ("explain", "GET", "/A/x")):
            shown = await printed(*command, *server)
            assert shown.strip()
            assert steers(shown) == []
        exact = await printed("registry", "list", "a", "-o", "json", *server)
        assert exact.isascii()
        assert json.loads(exact)["services"][0]["pools"][0]["instances"][0]["metadata"] == {"note": EVIL, EVIL: "x"}
        async with (
            ClientSession() as session,
            session.get(f"http://127.0.0.1:{gateway.admin}/api/v1/services") as answer,
        ):
            assert (await answer.text()).isascii()
    finally:
        await gateway.close()
    log = gateway.log.read_text()
    assert "owned" in log
    assert steers(log) == []
    assert not [line for line in log.splitlines() if line.startswith("2027-")]
