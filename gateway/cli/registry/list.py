"""`gateway registry list`."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.client import server_options
from gateway.cli.output import echo, echo_json, output_option, print_table
from gateway.shapes import COUNT, FLAG, NUMBER, TEXT, Each, Maybe

REGISTRY = {"registry": TEXT, "state": TEXT, "age": NUMBER, "reason": Maybe(TEXT), "left_out": Each([TEXT])}
INSTANCE = {
    "address": TEXT,
    "weight": NUMBER,
    "enabled": FLAG,
    "healthy": FLAG,
    "ejected": FLAG,
    "kept": FLAG,
    "drained": Maybe({}),
    "in_flight": COUNT,
    "metadata": Each(TEXT),
}
WANTS = {
    "services": [
        {
            "service": TEXT,
            "registries": [REGISTRY],
            "pools": [{"tag": TEXT, "size": COUNT, "usable": COUNT, "instances": [INSTANCE]}],
        }
    ]
}


@click.command("list", short_help="Show the known services, the age of their lists, and their source.")
@click.argument("service", required=False)
@server_options(required=True)
@output_option("table")
def command(service: str | None, server: str, token: str | None, output: str) -> None:
    """Show the services that a running gateway or sidecar knows, or every instance of one SERVICE.

    \b
    gateway registry list --server 127.0.0.1:9900
    gateway registry list spring-cloud-a --server 127.0.0.1:9900
    """
    from gateway.cli.client import ask
    from gateway.cli.failing import failing
    from gateway.errors import GatewayError

    with failing():
        services = ask(server, "GET", "/api/v1/services", token, wants=WANTS)["services"]
        if service is not None:
            services = [item for item in services if item["service"] == service]
            if not services:
                raise GatewayError(
                    f"{server} does not know service {service!r}: no route leads to it, and nobody has called it yet"
                )
    if output == "json":
        echo_json({"services": services})
    elif service is None:
        _print_services(services)
    else:
        _print_instances(services[0])


def _print_services(services: list[dict[str, Any]]) -> None:
    rows = []
    for service in services:
        pools = ", ".join(f"{pool['usable']}/{pool['size']} {pool['tag']}" for pool in service["pools"])
        for number, registry in enumerate(service["registries"]):
            first = [service["service"], pools] if number == 0 else ["", ""]
            age = f"{registry['age']:.1f} s"
            rows.append([*first, registry["registry"], registry["state"], age, registry["reason"]])
    print_table(["service", "usable", "registry", "state", "age", "why"], rows)


def _print_instances(service: dict[str, Any]) -> None:
    _print_services([service])
    echo()
    rows = [_row(pool["tag"], item) for pool in service["pools"] for item in pool["instances"]]
    print_table(["instance", "tag", "weight", "condition", "in flight", "metadata"], rows)
    left_out = [
        [registry["registry"], reason, ", ".join(names)]
        for registry in service["registries"]
        for reason, names in registry["left_out"].items()
    ]
    if left_out:
        echo()
        print_table(["registry", "left out", "records"], left_out)


def _row(tag: str, item: dict[str, Any]) -> list[Any]:
    metadata = " ".join(f"{key}={value}" for key, value in item["metadata"].items())
    return [item["address"], tag, item["weight"], _health(item), item["in_flight"], metadata]


def _health(instance: dict[str, Any]) -> str:
    flaws = [word for word, is_fine in (("disabled", "enabled"), ("unhealthy", "healthy")) if not instance[is_fine]]
    flaws += [word for word in ("ejected", "kept") if instance[word]]
    if instance["drained"]:
        flaws = ["drained", *(word for word in flaws if word != "disabled")]
    return ", ".join(flaws) or "fine"
