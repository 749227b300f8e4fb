"""nacos-sdk-python 0.1, over HTTP: as the others, with lists asked for instead of pushed (see `test_nacos_clients.py`)."""

from __future__ import annotations

import sys
import time

import nacos


def main(address: str, username: str, password: str) -> None:
    def say(line: str) -> None:
        print(">", line, flush=True)

    client = nacos.NacosClient(address, namespace="", username=username, password=password)

    def listed() -> list[dict[str, object]]:
        return list(client.list_naming_instance("orders", healthy_only=True)["hosts"])

    where = ("orders", "10.0.0.1", 8080, "DEFAULT")
    client.add_naming_instance(*where, metadata={"gray.tag": "gray"})
    say("registered")
    while not listed():
        time.sleep(0.1)
    (one,) = listed()
    for word in ("pushed", "listed"):
        say(f"{word} {one['ip']}:{one['port']} {one['metadata']['gray.tag']}")  # type: ignore[index]
    say(f"published {str(client.publish_config('demo', 'G', 'one')).lower()}")
    say(f"read {client.get_config('demo', 'G', no_snapshot=True)}")
    client.publish_config("demo", "G", "two")
    say(f"notified {client.get_config('demo', 'G', no_snapshot=True)}")
    client.remove_naming_instance(*where)


main(*sys.argv[1:4])
