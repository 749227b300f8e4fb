"""A start that finds rules with problems goes on with the last that had none, as a running gateway does."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.release.ports import free_port
from tests.support.gateway import RULES, Gateway
from tests.support.origin import Origin
from tests.support.process import Program, get_json
from tests.support.wait import until

SEGMENTED = RULES.replace("equals: gray", "segment: testers") + "segments: [{name: testers, file: testers.txt}]\n"
BAD = RULES.replace("equals", "equls")


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path, origin)
    gateway.config["state"] = "state"
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", SEGMENTED)
    gateway.write("rules/testers.txt", "gray\n")
    yield gateway
    await gateway.close()


async def start(gateway: Gateway, config: str = "gateway.yaml") -> dict[str, Any]:
    await gateway.start("serve", "-c", config)
    await gateway.wait_ok(gateway.admin)
    status: dict[str, Any] = await get_json(gateway.admin, "/api/v1/status")
    return status


async def stop(gateway: Gateway) -> None:
    await gateway.close()
    gateway.log.unlink()


async def metrics(gateway: Gateway) -> str:
    async with ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{gateway.admin}/metrics") as response:
            return await response.text()


def _bad_file(root: Path) -> None:
    (root / "rules" / "gray.yaml").write_text(BAD)


def _no_directory(root: Path) -> None:
    shutil.rmtree(root / "rules")


def _empty_directory(root: Path) -> None:
    """As where a volume is not mounted."""
    _no_directory(root)
    (root / "rules").mkdir()


def _bad_segment(root: Path) -> None:
    (root / "rules" / "testers.txt").write_bytes(b"\xff\xfe")


def _no_segment(root: Path) -> None:
    (root / "rules" / "testers.txt").unlink()


@pytest.mark.parametrize(
    ("ruin", "problem"),
    [
        (_bad_file, "rules/gray.yaml:5:71: lane_groups.0.lanes.0.match.0.equls: unknown key 'equls'"),
        (_no_directory, "gateway.yaml:14:8: rules: there is no file or directory 'rules'"),
        (_empty_directory, "rules:1:1: the directory no longer has a *.yaml file"),
        (_bad_segment, "rules/testers.txt:1:1: the line is not UTF-8"),
        (_no_segment, "rules/gray.yaml:6:34: segments.0.file: cannot read rules/testers.txt: No such file"),
    ],
)
async def test_a_restart_with_rules_that_have_a_problem(
    gateway: Gateway, ruin: Callable[[Path], None], problem: str
) -> None:
    assert (await start(gateway))["runs_old_rules"] is False
    await stop(gateway)
    ruin(gateway.folder)
    status = await start(gateway)
    assert (status["revision"], status["runs_old_rules"], len(status["last_reload_error"])) == (1, True, 1)
    assert status["last_reload_error"][0].startswith(problem)
    assert await gateway.ask("/A/x?group=gray") == "gray GET /x?group=gray"
    log = gateway.log.read_text()
    assert log.count(f": the rules have problems; revision 1, the last one without, is in force: {problem}") == 1  # fmt: skip
    text = await metrics(gateway)
    for sample in ("runs_old_rules 1.0", "last_reload_successful 0.0", "revision 1.0"):
        assert f"gateway_config_{sample}" in text
    # To mend it is enough.
    gateway.write("rules/testers.txt", "gray\n")
    gateway.write("rules/gray.yaml", SEGMENTED.replace("name: gray", "name: mended"))
    status = await gateway.wait_revision(2)
    assert (status["runs_old_rules"], status["last_reload_error"]) == (False, None)
    assert "gateway_config_runs_old_rules 0.0" in await metrics(gateway)


async def test_it_is_ready_unless_told_otherwise(gateway: Gateway) -> None:
    await start(gateway)
    await stop(gateway)
    _bad_file(gateway.folder)
    await gateway.start("serve", "-c", "gateway.yaml", "--set", "ready_with_old_rules=false")
    text = ""
    while "starting" in (text or "starting"):
        text = await gateway.wait_ok(gateway.admin, status=503)
    assert text == "not ready: the rules have problems; those of revision 1 are in force\n"
    assert await gateway.ask("/A/x?group=gray") == "gray GET /x?group=gray"
    gateway.write("rules/gray.yaml", SEGMENTED)
    await gateway.wait_ok(gateway.admin)


async def test_it_does_not_matter_where_it_is_started_from(gateway: Gateway) -> None:
    await start(gateway)
    await stop(gateway)
    _bad_file(gateway.folder)
    elsewhere = gateway.folder / "elsewhere"
    elsewhere.mkdir()
    config, gateway.folder = str(gateway.folder / "gateway.yaml"), elsewhere
    assert (await start(gateway, config))["runs_old_rules"] is True
    assert await gateway.ask("/A/x?group=gray") == "gray GET /x?group=gray"


async def test_lanes_are_not_changed_while_what_the_files_say_is_not_in_force(gateway: Gateway) -> None:
    await start(gateway)
    await stop(gateway)
    _bad_file(gateway.folder)
    await start(gateway)
    url = f"http://127.0.0.1:{gateway.admin}/api/v1/groups/demo/lanes/gray/disable"
    async with ClientSession() as session, session.post(url) as response:
        assert (response.status, (await response.json())["code"]) == (409, "not_in_force")
    assert (gateway.folder / "rules" / "gray.yaml").read_text() == BAD


@pytest.mark.parametrize("what", ["the configuration", "other rules", "no state"])
async def test_what_else_is_wrong_ends_the_start(gateway: Gateway, what: str) -> None:
    """What is kept are rules, of the sources that the configuration has: an operator who asks for others is told."""
    await start(gateway)
    await stop(gateway)
    _bad_file(gateway.folder)
    if what == "the configuration":
        gateway.config["timeouts"] = {"head": "soon"}
    elif what == "other rules":
        gateway.config["rules"] = "rulez"
    else:
        gateway.config["state"] = "other"
    gateway.write("gateway.yaml", gateway.config)
    await gateway.start("serve", "-c", "gateway.yaml")
    assert await gateway.wait() == 3
    assert "could not start: the configuration has the problems above" in gateway.log.read_text()


async def test_what_is_kept_is_for_its_owner(gateway: Gateway) -> None:
    await start(gateway)
    assert (gateway.folder / "state" / "last-good" / "rules.json").stat().st_mode & 0o777 == 0o600


async def test_a_sidecar_does_the_same(tmp_path: Path, origin: Origin) -> None:
    sidecar = Program(tmp_path)
    ports = [free_port() for _ in range(3)]
    settings = {
        "service": "a",
        "app": f"127.0.0.1:{origin.ports['base']}",
        **{key: f"127.0.0.1:{port}" for key, port in zip(("inbound", "outbound", "admin"), ports, strict=True)},
        "registry": {"kind": "static"},
        "rules": "rules",
        "state": "state",
    }
    sidecar.write("sidecar.yaml", settings)
    sidecar.write("rules/gray.yaml", RULES)
    try:
        await sidecar.start("sidecar", "-c", "sidecar.yaml")
        await sidecar.wait_ok(ports[2])
        await sidecar.close()
        _bad_file(tmp_path)
        await sidecar.start("sidecar", "-c", "sidecar.yaml")
        await sidecar.wait_ok(ports[2])
        status = await get_json(ports[2], "/api/v1/status")
        assert (status["revision"], status["runs_old_rules"]) == (1, True)
        assert [lane["lane"] for lane in (await get_json(ports[2], "/api/v1/lanes"))["lanes"]] == ["gray"]
    finally:
        await sidecar.close()


class TestRemote:
    """The server's bad document takes neither the rules in force away nor those for a restart."""

    @pytest.fixture
    async def server(self) -> AsyncIterator[EmbeddedRegistry]:
        server = EmbeddedRegistry("127.0.0.1", 0, warmup=0)
        await server.start()
        yield server
        await server.stop()

    async def put(self, server: EmbeddedRegistry, text: str) -> None:
        form = {"dataId": "gray.yaml", "group": "RULES", "content": text}
        url = f"http://{server.address}/nacos/v1/cs/configs"
        async with ClientSession() as session, session.post(url, data=form) as response:
            assert await response.text() == "true"

    async def test_a_restart_with_a_bad_document_on_the_server_or_a_server_that_is_away(
        self, gateway: Gateway, server: EmbeddedRegistry
    ) -> None:
        source = {"nacos": "gray.yaml", "address": server.address, "group": "RULES", "interval": "50ms"}
        gateway.config["rules"] = [source]
        gateway.write("gateway.yaml", gateway.config)
        await self.put(server, RULES)
        await start(gateway)
        name = f"nacos://{server.address}/RULES/gray.yaml"
        problem = f"{name}:5:71: lane_groups.0.lanes.0.match.0.equls: unknown key 'equls'; did you mean 'equals'?"
        problems = [problem]
        await self.put(server, BAD)
        error = await gateway.wait_reload_error()
        assert error[0].startswith(problem)
        problems = error
        for is_there in (True, False):
            await stop(gateway)
            if not is_there:
                await server.stop()
            status = await start(gateway)
            assert (status["runs_old_rules"], status["last_reload_error"]) == (True, problems)
            (told,) = status["rules"]
            assert told["source"] == name
            assert told["problem"].startswith(problem if is_there else "cannot reach")
            assert await gateway.ask("/A/x?group=gray") == "gray GET /x?group=gray"
            assert f"last one without, is in force: {problem}" in gateway.log.read_text()
            text = await metrics(gateway)
            assert f'gateway_remote_rules_up{{source="{name}"}} {float(is_there)}' in text
            if not is_there:
                assert f'gateway_remote_rules_failures_total{{reason="unreachable",source="{name}"}}' in text
        # What the check finds in the copy is called the same.
        await gateway.close()
        gateway.log.unlink()
        await gateway.start("check", "gateway.yaml")
        assert await gateway.wait() == 1
        assert gateway.log.read_text().startswith(problem)

    async def test_a_typo_in_the_name_is_told(self, gateway: Gateway, server: EmbeddedRegistry) -> None:
        gateway.config["rules"] = [{"nacos": "grey.yaml", "address": server.address, "group": "RULES"}]
        gateway.write("gateway.yaml", gateway.config)
        (source,) = (await start(gateway))["rules"]
        name = f"nacos://{server.address}/RULES/grey.yaml"
        assert (source["source"], source["problem"]) == (name, "there is no such document")
        assert f"rules of {name}: there is no such document; keeping the last known rules" in gateway.log.read_text()
        text = await metrics(gateway)
        assert f'gateway_remote_rules_up{{source="{name}"}} 0.0' in text
        assert f'gateway_remote_rules_failures_total{{reason="absent",source="{name}"}} 1.0' in text

    async def test_a_copy_that_is_deleted_takes_no_lanes_away(self, gateway: Gateway, server: EmbeddedRegistry) -> None:
        gateway.config["rules"] = [{"nacos": "gray.yaml", "address": server.address, "group": "RULES"}]
        gateway.write("gateway.yaml", gateway.config)
        await self.put(server, RULES)
        await start(gateway)
        (copy,) = (gateway.folder / "state" / "remote").iterdir()
        text = copy.read_text()
        shutil.rmtree(gateway.folder / "state" / "remote")
        await until(copy.exists)
        assert copy.read_text() == text
        assert (await get_json(gateway.admin, "/api/v1/status"))["revision"] == 1
        assert await gateway.ask("/A/x?group=gray") == "gray GET /x?group=gray"
