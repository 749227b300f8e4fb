"""nacos-sdk-python 2 and 3: what every client of these tests does, in this order (see `test_nacos_clients.py`)."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from typing import Any

from v2.nacos import (  # type: ignore[import-not-found]
    ClientConfigBuilder,
    ConfigParam,
    DeregisterInstanceParam,
    ListInstanceParam,
    NacosConfigService,
    NacosNamingService,
    RegisterInstanceParam,
    SubscribeServiceParam,
)


def shown(instances: list[Any]) -> str:
    return f"{instances[0].ip}:{instances[0].port} {instances[0].metadata['gray.tag']}"


def say(line: str) -> None:
    print(">", line, flush=True)


async def main(address: str, username: str, password: str) -> None:
    folder = tempfile.mkdtemp()
    builder = ClientConfigBuilder().server_address(address).username(username).password(password)
    where = builder.log_level("ERROR").log_dir(folder).cache_dir(folder).build()
    naming = await NacosNamingService.create_naming_service(where)
    pushed: asyncio.Queue[list[Any]] = asyncio.Queue()

    async def take(instances: list[Any]) -> None:
        pushed.put_nowait(instances)

    service = {"service_name": "orders", "group_name": "DEFAULT_GROUP"}
    await naming.subscribe(SubscribeServiceParam(**service, subscribe_callback=take))
    one = {**service, "ip": "10.0.0.1", "port": 8080, "ephemeral": True}
    await naming.register_instance(RegisterInstanceParam(**one, metadata={"gray.tag": "gray"}))
    say("registered")
    while not (seen := await asyncio.wait_for(pushed.get(), 30)):
        pass
    say(f"pushed {shown(seen)}")
    asking = ListInstanceParam(**service, subscribe=False, healthy_only=True)
    say(f"listed {shown(await naming.list_instances(asking))}")
    config = await NacosConfigService.create_config_service(where)
    key = {"data_id": "demo", "group": "G"}
    published = await config.publish_config(ConfigParam(**key, content="one"))
    say(f"published {str(published).lower()}")
    say(f"read {await config.get_config(ConfigParam(**key))}")
    told: asyncio.Queue[str] = asyncio.Queue()

    async def listen(tenant: str, data_id: str, group: str, content: str) -> None:
        told.put_nowait(content)

    await config.add_listener("demo", "G", listen)
    await asyncio.sleep(0.5)
    await config.publish_config(ConfigParam(**key, content="two"))
    while (text := await asyncio.wait_for(told.get(), 40)) == "one":
        pass
    say(f"notified {text}")
    await naming.deregister_instance(DeregisterInstanceParam(**one))
    os._exit(0)  # 2.0 fails in its own shutdown


asyncio.run(main(*sys.argv[1:4]))
