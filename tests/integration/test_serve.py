"""`gateway serve` as a process: start, reload by file and by signal, admin API, drain, and what cannot start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.release.ports import free_port
from tests.support.gateway import LASTING, RULES, Gateway
from tests.support.origin import Origin
from tests.support.process import Program, get_json, run


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path, origin)
    await gateway.run()
    yield gateway
    await gateway.close()


async def test_the_lane_opens_and_closes_by_saving_the_rules(gateway: Gateway) -> None:
    assert await gateway.ask("/A/x?group=gray") == "gray GET /x?group=gray"
    # As an editor does it: a new file renamed over the old one.
    new = gateway.write("rules/gray.tmp", RULES.replace("enabled: true", "enabled: false"))
    os.replace(new, gateway.folder / "rules" / "gray.yaml")
    await gateway.wait_revision(2)
    assert await gateway.ask("/A/x?group=gray") == "base GET /x?group=gray"
    assert (await get_json(gateway.admin, "/api/v1/lanes"))["lanes"][0]["enabled"] is False


async def test_a_configmaps_swapped_link_is_noticed(tmp_path: Path, origin: Origin) -> None:
    gateway = Gateway(tmp_path, origin)
    gateway.write("rules/..1/gray.yaml", RULES)
    gateway.write("rules/..2/gray.yaml", RULES.replace("enabled: true", "enabled: false"))
    rules = tmp_path / "rules"
    (rules / "..data").symlink_to("..1")
    (rules / "gray.yaml").symlink_to("..data/gray.yaml")
    gateway.write("gateway.yaml", gateway.config)
    try:
        await gateway.start("serve", "-c", "gateway.yaml")
        await gateway.wait_ok(gateway.admin)
        (rules / "..data_tmp").symlink_to("..2")
        os.replace(rules / "..data_tmp", rules / "..data")
        await gateway.wait_revision(2)
        assert await gateway.ask("/A/x?group=gray") == "base GET /x?group=gray"
    finally:
        await gateway.close()


async def test_a_reload_that_fails_keeps_the_running_revision_and_says_so(gateway: Gateway) -> None:
    gateway.write("rules/gray.yaml", RULES.replace("equals", "equls"))
    error = await gateway.wait_reload_error()
    assert "rules/gray.yaml:5:" in error[0]
    assert "did you mean 'equals'?" in error[0]
    assert await gateway.ask("/A/x?group=gray") == "gray GET /x?group=gray"
    async with ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{gateway.admin}/metrics") as response:
            metrics = await response.text()
        async with session.get(f"http://127.0.0.1:{gateway.admin}/readyz") as response:
            assert response.status == 200
    assert "gateway_config_last_reload_successful 0.0" in metrics
    assert 'gateway_config_reloads_total{result="failure"} 1.0' in metrics
    assert "keeping revision 1" in gateway.log.read_text()
    gateway.write("rules/gray.yaml", RULES.replace("name: gray", "name: mended"))
    status = await gateway.wait_revision(2)
    assert status["last_reload_error"] is None


async def test_sighup_reloads_routes_and_static_instances(gateway: Gateway, origin: Origin) -> None:
    gateway.config["routes"].append({"path": "/B", "service": "b"})
    gateway.config["registry"]["services"]["b"] = [{"address": f"127.0.0.1:{origin.ports['gray']}"}]
    # Replaced without an event in the directory's watch being waited for: SIGHUP alone must do.
    gateway.write("gateway.yaml", gateway.config)
    gateway.send(signal.SIGHUP)
    await gateway.wait_revision(2)
    assert await gateway.ask("/B/x") == "gray GET /B/x"
    del gateway.config["routes"][0]
    gateway.write("gateway.yaml", gateway.config)
    await gateway.wait_revision(3)
    assert "no_route" in await gateway.ask("/A/x")
    services = (await get_json(gateway.admin, "/api/v1/services"))["services"]
    assert [service["service"] for service in services] == ["b"]


async def test_a_changed_listener_needs_a_restart(gateway: Gateway) -> None:
    gateway.config["listen"] = "127.0.0.1:1"
    gateway.write("gateway.yaml", gateway.config)
    await gateway.wait_revision(2)
    assert "restart to apply: listen" in gateway.log.read_text()
    assert await gateway.ask("/A/x") == "base GET /x"


async def test_explain_through_the_admin_api(gateway: Gateway) -> None:
    async with ClientSession() as session:
        url = f"http://127.0.0.1:{gateway.admin}/api/v1/explain"
        async with session.post(url, json={"method": "GET", "url": "/A/x?group=gray"}) as response:
            explained = await response.json()
        assert explained["decision"]["lane"] == "gray"
        assert explained["decision"]["pool"] == "gray"
        [condition] = explained["lanes"][0]["conditions"]
        assert (condition["text"], condition["value"], condition["held"]) == ("param group equals 'gray'", "gray", True)
        for body, status in (
            (b"{", 400),
            (b"[]", 400),
            (b'{"method": "GET"}', 400),
            (b'{"url": "/a/../b"}', 400),
            (b'{"url": "/", "client_ip": "x"}', 400),
            (b'{"url": "/", "hdrs": []}', 400),
        ):
            async with session.post(url, data=body) as response:
                assert response.status == status
                assert response.content_type == "application/problem+json"
                assert (await response.json(content_type=None))["detail"]


async def test_the_admin_api_answers_only_to_its_own_name(gateway: Gateway) -> None:
    async with ClientSession() as session:
        url = f"http://127.0.0.1:{gateway.admin}/api/v1/status"
        async with session.get(url, headers={"Host": "evil.example"}) as response:
            assert response.status == 403
        async with session.get(url, headers={"Host": f"localhost:{gateway.admin}"}) as response:
            assert response.status == 200
        async with session.get(f"http://127.0.0.1:{gateway.admin}/nothing") as response:
            assert (response.status, response.content_type) == (404, "application/problem+json")


async def test_metrics_are_what_prometheus_reads(gateway: Gateway) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    await gateway.ask("/A/x?group=gray")
    await gateway.ask("/none")
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{gateway.admin}/metrics") as response:
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}
    requests = [(sample.labels, sample.value) for sample in families["gateway_requests"].samples]
    assert requests == [({"listener": "entry", "service": "a", "tag": "gray", "code": "200"}, 1.0)]
    refused = [(sample.labels, sample.value) for sample in families["gateway_refused_requests"].samples]
    assert refused == [({"listener": "entry", "code": "no_route"}, 1.0)]
    lanes = [sample.labels for sample in families["gateway_lane_decisions"].samples]
    assert lanes == [{"listener": "entry", "group": "demo", "lane": "gray"}]
    count = [s.value for s in families["gateway_request_duration_seconds"].samples if s.name.endswith("_count")]
    assert count == [1.0]
    assert [s.labels for s in families["process_open_fds"].samples] == [{"process": "main"}]


async def test_bytes_are_counted_as_they_came_from_either_side(gateway: Gateway) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    head = b"POST /A/x?group=gray HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    for _ in range(2):
        writer.write(head + b"x" * 1000)
        answer = await reader.readuntil(b"gray POST /x?group=gray")
    writer.close()
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{gateway.admin}/metrics") as response:
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}
    for name, size in (("request", len(head) + 1000), ("response", len(answer))):
        [sample] = families[f"gateway_{name}_bytes"].samples
        assert sample.labels == {"listener": "entry", "service": "a", "tag": "gray"}
        assert sample.value == 2.0 * size


async def test_sigterm_drains_and_exits_0(gateway: Gateway, origin: Origin) -> None:
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")
        await reader.read()

    origin.script = slow
    asking = asyncio.create_task(gateway.ask("/A/x"))
    async with asyncio.timeout(30):
        while not origin.connections:
            await asyncio.sleep(0.01)
    gateway.send(signal.SIGTERM)
    await gateway.wait_ok(gateway.admin, "/readyz", 503)
    release.set()
    assert await asking == "slow"
    assert await gateway.wait() == 0


async def test_a_second_signal_ends_at_once(gateway: Gateway, origin: Origin) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    origin.script = silent
    asking = asyncio.create_task(gateway.ask("/A/x"))
    async with asyncio.timeout(30):
        while not origin.connections:
            await asyncio.sleep(0.01)
    gateway.send(signal.SIGTERM)
    await gateway.wait_ok(gateway.admin, "/readyz", 503)
    gateway.send(signal.SIGTERM)
    assert await gateway.wait(5) == 0
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize("which", ["listen", "admin"])
async def test_a_port_in_use_is_exit_3_with_the_address(tmp_path: Path, origin: Origin, which: str) -> None:
    gateway = Gateway(tmp_path, origin)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        gateway.write("rules/gray.yaml", RULES)
        gateway.write("gateway.yaml", {**gateway.config, which: address})
        await gateway.start("serve", "-c", "gateway.yaml")
        assert await gateway.wait() == 3
    assert f"could not start: cannot listen on {address}" in gateway.log.read_text()
    assert "Traceback" not in gateway.log.read_text()


async def test_a_broken_configuration_is_exit_3_with_every_problem(tmp_path: Path, origin: Origin) -> None:
    gateway = Gateway(tmp_path, origin)
    gateway.write("gateway.yaml", {**gateway.config, "listne": 1, "admin": "x"})
    await gateway.start("serve", "-c", "gateway.yaml")
    assert await gateway.wait() == 3
    log = gateway.log.read_text()
    assert "did you mean 'listen'?" in log
    assert "admin: an address is host:port" in log
    assert "there is no file or directory" in log


async def test_an_unreachable_registry_is_asked_again_and_readyz_says_why(tmp_path: Path, origin: Origin) -> None:
    gateway = Gateway(tmp_path, origin)
    registry = free_port()
    gateway.config["registry"] = {"kind": "nacos", "address": f"127.0.0.1:{registry}", "interval": "200ms"}
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", RULES)
    server = Program(tmp_path / "registry")
    server.folder.mkdir()
    try:
        await gateway.start("serve", "-c", "gateway.yaml")
        reason = await gateway.wait_ok(gateway.admin, "/readyz", 503)
        assert "service a: the registry has not responded yet" in reason
        assert "no_instances" in await gateway.ask("/A/x")
        await server.start("registry", "serve", "--listen", f"127.0.0.1:{registry}", "--warmup", "0")
        await gateway.wait_ok(gateway.admin, "/readyz", 200)
    finally:
        await gateway.close()
        await server.close()


async def test_the_embedded_registry_serves_its_own_gateway(tmp_path: Path, origin: Origin) -> None:
    gateway = Gateway(tmp_path, origin)
    registry = free_port()
    gateway.config["registry"] = {"kind": "embedded", "listen": f"127.0.0.1:{registry}", "warmup": 0}
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", RULES)
    try:
        await gateway.start("serve", "-c", "gateway.yaml")
        await gateway.wait_ok(gateway.admin)
        async with ClientSession() as session:
            for port, metadata in ((origin.ports["base"], {}), (origin.ports["gray"], {"gray.tag": "gray"})):
                form: dict[str, Any] = {
                    "serviceName": "a",
                    "ip": "127.0.0.1",
                    "port": port,
                    "metadata": json.dumps({**metadata, **LASTING}),
                }
                async with session.post(f"http://127.0.0.1:{registry}/nacos/v1/ns/instance", params=form) as response:
                    assert await response.text() == "ok"
        await gateway.wait_pools("base", "gray")
        assert await gateway.ask("/A/x") == "base GET /x"
        assert await gateway.ask("/A/x?group=gray") == "gray GET /x?group=gray"
    finally:
        await gateway.close()


async def test_explain_from_the_command_line(gateway: Gateway) -> None:
    async def explain(*arguments: str) -> tuple[int, str, str]:
        return await run("explain", *arguments, cwd=gateway.folder)

    server = f"127.0.0.1:{gateway.admin}"
    (asked, table, _), (read, text, _), (refused, _, why), (nobody, _, message) = await asyncio.gather(
        explain("GET", "/A/x?group=gray", "--server", server),
        explain("GET", "/A/x", "-H", "X-User: alice", "-c", "gateway.yaml", "-o", "json"),
        explain("GET", "/A/../x", "-c", "gateway.yaml"),
        explain("GET", "/", "--server", "127.0.0.1:1"),
    )
    assert asked == 0
    assert "demo/gray" in table
    assert "takes the request" in table
    assert read == 0
    assert json.loads(text)["decision"]["pool"] == "base"
    assert json.loads(text)["lanes"][0]["conditions"][0]["value"] is None
    assert (refused, "dot segments" in why) == (1, True)
    assert (nobody, "cannot query 127.0.0.1:1" in message) == (1, True)
