"""The registry over HTTP: the wire formats that Nacos' clients parse, of both generations."""

from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.errors import StartError
from gateway.registry.embedded.server import EmbeddedRegistry
from tests.support.wait import until

V1_INSTANCE = "/nacos/v1/ns/instance"
V3_INSTANCE = "/nacos/v3/client/ns/instance"


class Api:
    """A client of the registry's raw HTTP."""

    def __init__(self, registry: EmbeddedRegistry) -> None:
        self._base = f"http://{registry.address}"

    async def call(self, method: str, path: str, /, form: Any = None, **params: Any) -> tuple[int, Any]:
        texts = {name: str(value) for name, value in params.items()}
        async with ClientSession() as session:
            async with session.request(method, self._base + path, params=texts, data=form) as response:
                if response.content_type == "application/json":
                    return response.status, await response.json()
                return response.status, await response.text()


@pytest.fixture
def api(registry: EmbeddedRegistry) -> Api:
    return Api(registry)


async def test_v1_tells_of_one_instance(api: Api) -> None:
    where = {"serviceName": "orders", "ip": "10.0.0.1", "port": 80}
    assert await api.call("GET", V1_INSTANCE, **where) == (404, "no matched ip found")
    await api.call("POST", V1_INSTANCE, **where, metadata='{"gray.tag": "gray"}', enabled="false")
    status, found = await api.call("GET", V1_INSTANCE, **where)
    said = {
        key: found[key] for key in ("service", "ip", "port", "clusterName", "weight", "healthy", "enabled", "metadata")
    }
    assert (status, said) == (
        200,
        {
            "service": "DEFAULT_GROUP@@orders",
            "ip": "10.0.0.1",
            "port": 80,
            "clusterName": "DEFAULT",
            "weight": 1.0,
            "healthy": True,
            "enabled": False,
            "metadata": {"gray.tag": "gray"},
        },
    )


async def test_v1_searches_configs(api: Api) -> None:
    for name, group in (("a.yaml", "G"), ("ab.yaml", "G"), ("a.yaml", "H")):
        await api.call("POST", "/nacos/v1/cs/configs", dataId=name, group=group, content="x")

    async def search(**params: Any) -> tuple[int, list[str]]:
        _, page = await api.call("GET", "/nacos/v1/cs/configs", **params)
        return page["totalCount"], [f"{item['group']}/{item['dataId']}" for item in page["pageItems"]]

    assert await search(search="accurate", dataId="a.yaml", group="") == (2, ["G/a.yaml", "H/a.yaml"])
    assert await search(search="blur", dataId="a*", group="G") == (2, ["G/a.yaml", "G/ab.yaml"])
    assert await search(search="blur", dataId="*b*", group="") == (1, ["G/ab.yaml"])
    assert await search(search="blur", dataId="", group="", pageNo=2, pageSize=2) == (3, ["H/a.yaml"])
    assert await search(search="blur", dataId="", group="", tenant="other") == (0, [])
    status, text = await api.call("GET", "/nacos/v1/cs/configs", search="maybe")
    assert (status, text) == (400, "search 'maybe': accurate or blur is accepted")


async def test_v1_register_beat_list_deregister(api: Api) -> None:
    where = {"serviceName": "orders", "ip": "10.0.0.1", "port": 80}
    assert await api.call("POST", V1_INSTANCE, **where, metadata='{"a": "b"}', weight=2) == (200, "ok")
    status, listed = await api.call("GET", f"{V1_INSTANCE}/list", serviceName="orders")
    assert status == 200
    assert {key: listed[key] for key in ("name", "groupName", "clusters", "valid", "reachProtectionThreshold")} == {
        "name": "DEFAULT_GROUP@@orders",
        "groupName": "DEFAULT_GROUP",
        "clusters": "",
        "valid": True,
        "reachProtectionThreshold": False,
    }
    (host,) = listed["hosts"]
    assert host == {
        "instanceId": "10.0.0.1#80#DEFAULT#DEFAULT_GROUP@@orders",
        "ip": "10.0.0.1",
        "port": 80,
        "weight": 2.0,
        "healthy": True,
        "enabled": True,
        "ephemeral": True,
        "clusterName": "DEFAULT",
        "serviceName": "DEFAULT_GROUP@@orders",
        "metadata": {"a": "b"},
        "instanceHeartBeatInterval": 5000,
        "instanceHeartBeatTimeOut": 15000,
        "ipDeleteTimeout": 30000,
        "instanceIdGenerator": "simple",
    }
    assert (await api.call("PUT", f"{V1_INSTANCE}/beat", **where))[1]["code"] == 10200
    assert await api.call("DELETE", V1_INSTANCE, **where) == (200, "ok")
    assert (await api.call("PUT", f"{V1_INSTANCE}/beat", **where))[1]["code"] == 20404
    assert (await api.call("GET", f"{V1_INSTANCE}/list", serviceName="orders"))[1]["hosts"] == []


async def test_v1_a_beat_with_the_whole_instance_makes_it_again(api: Api) -> None:
    beat = '{"ip": "10.0.0.1", "port": 80, "weight": 3.0, "metadata": {"gray.tag": "gray"}, "cluster": "X"}'
    _, answer = await api.call("PUT", f"{V1_INSTANCE}/beat", serviceName="g@@orders", beat=beat)
    assert answer["code"] == 10200
    _, listed = await api.call("GET", f"{V1_INSTANCE}/list", serviceName="orders", groupName="g", clusters="X,Y")
    assert [(host["weight"], host["metadata"], host["clusterName"]) for host in listed["hosts"]] == [
        (3.0, {"gray.tag": "gray"}, "X")
    ]
    assert (await api.call("GET", f"{V1_INSTANCE}/list", serviceName="g@@orders", clusters="Y"))[1]["hosts"] == []


async def test_v3_register_heartbeat_list_deregister(api: Api) -> None:
    where = {"serviceName": "orders", "ip": "10.0.0.1", "port": "80"}
    ok = {"code": 0, "message": "success", "data": "ok"}
    unknown = {"code": 21003, "message": "instance not found", "data": None}
    assert await api.call("POST", V3_INSTANCE, form={**where, "heartBeat": "true"}) == (200, unknown)
    assert await api.call("POST", V3_INSTANCE, form={**where, "metadata": '{"a": "b"}'}) == (200, ok)
    assert await api.call("POST", V3_INSTANCE, form={**where, "heartBeat": "true"}) == (200, ok)
    _, listed = await api.call("GET", f"{V3_INSTANCE}/list", serviceName="orders", namespaceId="public")
    assert listed["code"] == 0
    assert [(record["ip"], record["metadata"]) for record in listed["data"]] == [("10.0.0.1", {"a": "b"})]
    assert (await api.call("GET", f"{V1_INSTANCE}/list", serviceName="orders"))[1]["hosts"][0]["port"] == 80
    assert await api.call("DELETE", V3_INSTANCE, **where) == (200, ok)
    assert (await api.call("GET", f"{V3_INSTANCE}/list", serviceName="orders"))[1]["data"] == []


GRAY = {"serviceName": "orders", "ip": "10.0.0.1", "port": 80, "clusterName": "X"}


async def listed(api: Api) -> list[tuple[float, dict[str, str]]]:
    _, answer = await api.call("GET", f"{V1_INSTANCE}/list", serviceName="orders")
    return [(host["weight"], host["metadata"]) for host in answer["hosts"]]


async def test_a_change_keeps_what_it_does_not_name(api: Api) -> None:
    """An operator who changes the weight of a gray instance must not make it baseline."""
    metadata = {"gray.tag": "gray", "version": "2"}
    await api.call("POST", V1_INSTANCE, **GRAY, metadata='{"gray.tag": "gray", "version": "2"}')
    assert await api.call("PUT", V1_INSTANCE, **GRAY, weight=2) == (200, "ok")
    assert await listed(api) == [(2.0, metadata)]
    for empty in ("", "{}", "null"):
        assert await api.call("PUT", V1_INSTANCE, **GRAY, metadata=empty) == (200, "ok")
        assert await listed(api) == [(2.0, metadata)]
    assert await api.call("PUT", V1_INSTANCE, form={**GRAY, "metadata": '{"version": "3", "gray.tag": null}'}) == (
        200,
        "ok",
    )
    assert await listed(api) == [(2.0, {**metadata, "version": "3"})]
    assert await api.call("PUT", V1_INSTANCE, **GRAY, enabled="false") == (200, "ok")
    assert await listed(api) == []
    await api.call("PUT", V1_INSTANCE, **{**GRAY, "cluster": GRAY["clusterName"], "clusterName": ""}, enable="true")
    assert await listed(api) == [(2.0, {**metadata, "version": "3"})]


async def test_a_change_of_who_is_not_there_is_refused(api: Api) -> None:
    """Registered by it, without its metadata, a gray instance would be baseline."""
    assert await api.call("PUT", V1_INSTANCE, **GRAY, weight=2) == (400, "instance not found")
    await api.call("POST", V1_INSTANCE, **GRAY)
    assert (await api.call("PUT", V1_INSTANCE, **{**GRAY, "clusterName": "Y"}))[0] == 400
    assert (await api.call("PUT", V1_INSTANCE, **GRAY, weight="-1"))[0] == 400
    assert await listed(api) == [(1.0, {})]


@pytest.mark.parametrize(
    ("words", "is_given"),
    [
        ({"enabled": "false"}, False), ({"enable": "false"}, False), ({"enabled": "off"}, False), ({"enable": "NO"}, False),
        ({"enabled": "true"}, True), ({"enable": "on"}, True), ({"enabled": "", "enable": "f"}, False),
        ({"enabled": "true", "enable": "false"}, True), ({}, True),
    ],
)  # fmt: skip
async def test_traffic_is_switched_off_by_every_name_of_the_switch(
    api: Api, words: dict[str, str], is_given: bool
) -> None:
    assert (await api.call("POST", V1_INSTANCE, **GRAY, **words))[0] == 200
    assert bool(await listed(api)) is is_given
    status, _ = await api.call("POST", V3_INSTANCE, form={**GRAY, **words})
    assert (status, bool(await listed(api))) == (200, is_given)


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        ('{"gray.tag": null, "a": "b"}', {"a": "b"}),
        ("null", {}),
        ('{"a": true, "b": false, "c": 1, "d": 1.5, "e": ""}', {"a": "true", "b": "false", "c": "1", "d": "1.5", "e": ""}),
        ("gray.tag=gray,a=b", {"gray.tag": "gray", "a": "b"}),
        ('{"a": "x=y"}', {"a": "x=y"}),
    ],
)  # fmt: skip
async def test_metadata_is_text_and_null_is_not_there(api: Api, metadata: str, kept: dict[str, str]) -> None:
    assert (await api.call("POST", V1_INSTANCE, **GRAY, metadata=metadata))[0] == 200
    assert await listed(api) == [(1.0, kept)]
    await api.call("DELETE", V1_INSTANCE, **GRAY)
    beat = f'{{"ip": "10.0.0.1", "port": 80, "weight": null, "cluster": null, "metadata": {metadata}}}'
    if metadata[0] in "{n":
        _, answer = await api.call("PUT", f"{V1_INSTANCE}/beat", serviceName="orders", beat=beat)
        assert answer["code"] == 10200
        assert await listed(api) == [(1.0, kept)]


async def test_a_hostile_parameter_is_400_and_never_a_fault(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    odd = ["", " ", "null", "None", "nan", "inf", "-1", "1e400", "1_0", "٣", "0x1", "9" * 5000, "\0", "\r\nX: y", "\x1b[2J", "\u202e", "../x", "[", "[1]", "{", '{"a": [1]}', '{"a": {"b": 1}}', "[" * 5000, '{"a": 1e400}', '{"a": "\\ud800"}', "a=b,c", "a@@b", "@@", "%00", "x" * 60_000]  # fmt: skip
    keys = {**GRAY, "metadata": "{}", "weight": "1", "enabled": "true", "enable": "true", "healthy": "true", "ephemeral": "true", "groupName": "g", "namespaceId": "n", "beat": "{}", "heartBeat": "false", "dataId": "d", "group": "g", "tenant": "t", "content": "c", "type": "text", "clusters": "", "healthyOnly": "true", "pageNo": "1", "pageSize": "1", "groupNameParam": "g", "Listening-Configs": "d\x02g\x02"}  # fmt: skip
    from gateway.registry.embedded.server import EmbeddedRegistry

    registry = EmbeddedRegistry("127.0.0.1", 0, warmup=0)
    await registry.start()
    calls = [
        (route.method, route.resource.canonical) for route in registry._api.app().router.routes() if route.resource
    ]
    async with ClientSession() as session:
        for method, path in calls:
            for key in keys:
                for value in odd if path.endswith(("instance", "beat", "configs")) else odd[:16:3]:
                    form = {**{name: str(text) for name, text in keys.items() if name != "beat"}, key: value}
                    sent: Any = {"data": form} if method in ("POST", "PUT") else {"params": {**form, key: value[:200]}}
                    headers = {"Long-Pulling-Timeout": "1"}
                    url = f"http://{registry.address}{path}"
                    async with session.request(method, url, headers=headers, **sent) as answer:
                        assert answer.status in (200, 400, 404), (method, path, key, value, await answer.text())
    await registry.stop()
    assert [record for record in caplog.records if record.exc_info] == []


async def test_forms_are_bounded_and_of_one_kind(api: Api) -> None:
    async with ClientSession() as session:

        async def send(body: bytes, kind: str = "application/x-www-form-urlencoded", path: str = V1_INSTANCE) -> int:
            async with session.post(api._base + path, data=BytesIO(body), headers={"Content-Type": kind}) as response:
                return response.status

        assert await send(b"serviceName=a&ip=1.1.1.1&port=1") == 200
        assert await send("serviceName=a&ip=1.1.1.1&port=1&metadata=k=ü".encode()) == 200
        assert await send("serviceName=a&ip=1.1.1.1&port=1&metadata=k=商".encode("gbk"), "application/x-www-form-urlencoded;charset=gbk") == 200  # fmt: skip
        assert await send(b"serviceName=a&ip=1.1.1.1&port=1&metadata=k%3D%ff") == 400
        assert await send(b"a=1", "application/x-www-form-urlencoded;charset=nonsense") == 400
        assert await send(b"a=1&" * 100) == 400
        assert await send(b"a=" + b"x" * 65536) == 413
        assert await send(b"content=" + b"x" * (25 << 20), path="/nacos/v1/cs/configs") == 413
        for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x", ""):
            assert await send(b"{}", kind) == 415


async def test_services_are_listed_in_pages(api: Api) -> None:
    for number in range(5):
        await api.call("POST", V1_INSTANCE, serviceName=f"s{number}", ip="10.0.0.1", port=80)
    _, page = await api.call("GET", "/nacos/v1/ns/service/list", pageNo=2, pageSize=2)
    assert page == {"count": 5, "doms": ["s2", "s3"]}
    _, page = await api.call("GET", "/nacos/v3/admin/ns/service/list", pageNo=1, pageSize=1)
    assert page["data"] == {"totalCount": 5, "pageItems": [{"name": "s0", "groupName": "DEFAULT_GROUP"}]}


async def test_disabled_instances_are_not_listed_and_unhealthy_ones_are_marked(
    api: Api, registry: EmbeddedRegistry
) -> None:
    await api.call("POST", V1_INSTANCE, serviceName="orders", ip="10.0.0.1", port=80, enabled="false")
    await api.call("POST", V1_INSTANCE, serviceName="orders", ip="10.0.0.2", port=80)
    registry.store.expire(asyncio.get_running_loop().time() + 16)
    _, listed = await api.call("GET", f"{V1_INSTANCE}/list", serviceName="orders")
    assert [(host["ip"], host["healthy"]) for host in listed["hosts"]] == [("10.0.0.2", False)]
    assert (await api.call("GET", f"{V1_INSTANCE}/list", serviceName="orders", healthyOnly="true"))[1]["hosts"] == []


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"ip": "10.0.0.1", "port": "80"}, "'serviceName' is required"),
        ({"serviceName": "orders", "port": "80"}, "'ip' is required"),
        ({"serviceName": "orders", "ip": "10.0.0.1"}, "'port' is required"),
        ({"serviceName": "orders", "ip": "10.0.0.1", "port": "eighty"}, "port 'eighty': a number is accepted"),
        ({"serviceName": "orders", "ip": "10.0.0.1", "port": "inf"}, "port"),
        ({"serviceName": "orders", "ip": "10.0.0.1", "port": "80", "weight": "nan"}, "weight nan"),
        ({"serviceName": "orders", "ip": "10.0.0.1", "port": "80", "metadata": "[1]"}, "metadata '[1]'"),
        ({"serviceName": "or ders", "ip": "10.0.0.1", "port": "80"}, "serviceName 'or ders'"),
    ],
)
async def test_malformed_registrations_are_400_in_each_generations_shape(
    api: Api, params: dict[str, str], problem: str
) -> None:
    status, text = await api.call("POST", V1_INSTANCE, **params)
    assert (status, problem in text) == (400, True)
    status, body = await api.call("POST", V3_INSTANCE, form=params)
    assert (status, body["code"], problem in body["message"]) == (400, 10000, True)


async def test_while_it_relearns_lists_are_503_and_registering_works() -> None:
    registry = EmbeddedRegistry("127.0.0.1", 0, warmup=3600)
    await registry.start()
    api = Api(registry)
    where = {"serviceName": "orders", "ip": "10.0.0.1", "port": 80}
    status, text = await api.call("GET", f"{V1_INSTANCE}/list", serviceName="orders")
    assert (status, text) == (503, "server is STARTING now, please try again later!")
    status, body = await api.call("GET", f"{V3_INSTANCE}/list", serviceName="orders")
    assert (status, body["code"]) == (503, 30000)
    assert (await api.call("GET", "/nacos/v1/ns/service/list"))[0] == 503
    assert (await api.call("PUT", f"{V1_INSTANCE}/beat", **where))[1]["code"] == 20404
    assert await api.call("POST", V1_INSTANCE, **where) == (200, "ok")
    registry._warm_at = asyncio.get_running_loop().time()  # it is over
    answer = await api.call("GET", f"{V1_INSTANCE}/list", serviceName="orders")
    assert [host["ip"] for host in answer[1]["hosts"]] == ["10.0.0.1"]
    await registry.stop()


async def test_config_get_publish_remove(api: Api) -> None:
    keys = {"dataId": "app.yaml", "group": "DEFAULT_GROUP"}
    assert (await api.call("GET", "/nacos/v1/cs/configs", **keys))[0] == 404
    assert await api.call("POST", "/nacos/v1/cs/configs", form={**keys, "content": "a: ü", "type": "yaml"}) == (
        200,
        "true",
    )
    assert await api.call("GET", "/nacos/v1/cs/configs", **keys) == (200, "a: ü")
    _, answer = await api.call("GET", "/nacos/v3/client/cs/config", dataId="app.yaml", groupName="DEFAULT_GROUP")
    assert (answer["data"]["content"], answer["data"]["contentType"]) == ("a: ü", "yaml")
    assert await api.call("DELETE", "/nacos/v1/cs/configs", **keys) == (200, "true")
    _, answer = await api.call("GET", "/nacos/v3/client/cs/config", dataId="app.yaml", groupName="DEFAULT_GROUP")
    assert answer == {"code": 20004, "message": "resource not found", "data": None}


async def test_a_long_poll_answers_when_the_value_changes(api: Api, registry: EmbeddedRegistry) -> None:
    listening = {"Listening-Configs": "app\x02DEFAULT_GROUP\x02\x01other\x02DEFAULT_GROUP\x02\x01"}
    waiting = asyncio.create_task(api.call("POST", "/nacos/v1/cs/configs/listener", form=listening))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    await api.call("POST", "/nacos/v1/cs/configs", form={"dataId": "app", "group": "DEFAULT_GROUP", "content": "x"})
    async with asyncio.timeout(20):
        assert await waiting == (200, "app%02DEFAULT_GROUP%01\n")
    async with asyncio.timeout(20):  # what differs already is answered at once
        assert (await api.call("POST", "/nacos/v1/cs/configs/listener", form=listening))[
            1
        ] == "app%02DEFAULT_GROUP%01\n"
    malformed = {"Listening-Configs": "app\x01"}
    assert (await api.call("POST", "/nacos/v1/cs/configs/listener", form=malformed))[0] == 400


async def test_a_long_poll_asks_about_so_many_values_and_no_more(api: Api) -> None:
    lines = "".join(f"c{number}\x02g\x02\x01" for number in range(3001))
    listening = "/nacos/v1/cs/configs/listener"
    status, text = await api.call("POST", listening, form={"Listening-Configs": lines})
    assert (status, "more than 3000 config values" in text) == (400, True)
    some = lines[: lines.index("c3000")].replace("\x02\x01", "\x02x\x01")
    status, text = await api.call("POST", listening, form={"Listening-Configs": some})
    assert (status, text.count("\n")) == (200, 3000)


async def test_stopping_ends_long_polls(registry: EmbeddedRegistry) -> None:
    other = EmbeddedRegistry("127.0.0.1", 0, warmup=0)
    await other.start()
    form = {"Listening-Configs": "app\x02DEFAULT_GROUP\x02\x01"}
    waiting = asyncio.create_task(Api(other).call("POST", "/nacos/v1/cs/configs/listener", form=form))
    await until(lambda: other._api._config_changed._waiters, "the poll to wait")
    await other.stop()
    async with asyncio.timeout(20):
        assert await waiting == (200, "")


async def test_configs_outlive_a_restart_where_there_is_a_data_directory(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = EmbeddedRegistry("127.0.0.1", 0, warmup=0, data=data)
    await first.start()
    await Api(first).call("POST", "/nacos/v1/cs/configs", form={"dataId": "a", "group": "g", "content": "secret"})
    await first.stop()
    assert (data / "configs.json").stat().st_mode & 0o777 == 0o600
    second = EmbeddedRegistry("127.0.0.1", 0, warmup=0, data=data)
    await second.start()
    assert await Api(second).call("GET", "/nacos/v1/cs/configs", dataId="a", group="g") == (200, "secret")
    await second.stop()
    (data / "configs.json").write_text("{broken")
    with pytest.raises(StartError, match=r"configs\.json"):
        await EmbeddedRegistry("127.0.0.1", 0, warmup=0, data=data).start()


async def test_a_first_start_has_nobody_to_wait_for(tmp_path: Path) -> None:
    """A data directory tells; that nobody was registered before is the point, not that nothing is in it."""
    data = tmp_path / "data"

    async def statuses(registers: bool) -> tuple[int, str]:
        registry = EmbeddedRegistry("127.0.0.1", 0, warmup=60, data=data)
        await registry.start()
        api = Api(registry)
        status, _ = await api.call("GET", f"{V1_INSTANCE}/list", serviceName="orders")
        _, metrics = await api.call("GET", "/nacos/v1/ns/operator/metrics")
        if registers:
            await api.call("POST", V1_INSTANCE, serviceName="orders", ip="10.0.0.1", port=80)
        await registry.stop()
        return status, metrics["status"]

    assert await statuses(registers=False) == (200, "UP")
    assert await statuses(registers=True) == (200, "UP")
    assert await statuses(registers=False) == (503, "STARTING")
    assert data.stat().st_mode & 0o777 == 0o700
    (data / "used").unlink()
    (data / "configs.json").write_text("[]")  # of an earlier version, which did not tell
    assert await statuses(registers=False) == (503, "STARTING")


async def test_several_who_publish_at_once_are_all_on_disk_when_they_are_told_so(tmp_path: Path) -> None:
    registry = EmbeddedRegistry("127.0.0.1", 0, warmup=0, data=tmp_path)
    await registry.start()

    async def publish(number: int) -> None:
        form = {"dataId": f"c{number}", "group": "g", "content": "x"}
        assert (await Api(registry).call("POST", "/nacos/v1/cs/configs", form=form)) == (200, "true")
        assert f'"c{number}"' in (tmp_path / "configs.json").read_text()

    await asyncio.gather(*map(publish, range(20)))
    await registry.stop()


async def test_data_that_cannot_be_kept_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StartError, match="cannot keep the registry's data"):
        await EmbeddedRegistry("127.0.0.1", 0, data=tmp_path / "file" / "data").start()


async def test_a_port_in_use_is_named(registry: EmbeddedRegistry) -> None:
    host, port = registry.address.split(":")
    with pytest.raises(StartError, match=f"cannot listen on {registry.address}"):
        await EmbeddedRegistry(host, int(port)).start()
