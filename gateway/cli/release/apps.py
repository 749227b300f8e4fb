"""`gateway release apps`."""

from __future__ import annotations

import click

from gateway.cli.output import echo_json, print_table
from gateway.cli.release.asking import Ask, asks
from gateway.shapes import TEXT, Maybe

PLACE = {"environment": TEXT, "version": Maybe(TEXT), "replicas": [{"phase": TEXT, "address": Maybe(TEXT)}]}
WANTS = {"apps": [{"application": TEXT, "service": TEXT, "environments": [PLACE]}]}


@click.command("apps", short_help="Show every application and where it runs.")
@asks
def command(ask: Ask, output: str) -> None:
    """Show every application, the version that runs in each of its environments, and its instances."""
    found = ask("GET", "/api/v1/apps", wants=WANTS)
    if output == "json":
        echo_json(found)
        return
    rows = []
    for app in found["apps"]:
        for place in app["environments"]:
            ready = [item for item in place["replicas"] if item["phase"] == "ready"]
            instances = ", ".join(f"{item['address']} ({item['phase']})" for item in place["replicas"])
            rows.append(
                [
                    app["application"],
                    app["service"],
                    place["environment"],
                    place["version"],
                    f"{len(ready)} of {len(place['replicas'])}",
                    instances,
                ]
            )
    print_table(["application", "service", "environment", "version", "ready", "instances"], rows)
