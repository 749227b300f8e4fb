"""`gateway registry …`."""

from __future__ import annotations

import click

from gateway.cli.lazy import LazyGroup

COMMANDS = {
    "serve": "Run the embedded registry on its own (Nacos-compatible, HTTP and gRPC).",
    "user": "Add a user of the embedded registry to a file, or change one.",
    "status": "Show the registries that a running gateway or sidecar uses.",
    "list": "Show the known services, the age of their lists, and their source.",
    "watch": "Print each change as it happens.",
}
"""Every command and its line in `--help`; the module of the same name holds it as `command`."""


@click.group(
    "registry",
    cls=LazyGroup,
    package="gateway.cli.registry",
    lines=COMMANDS,
    short_help="Run the embedded registry, or show what a running gateway knows from its registries.",
)
def command() -> None:
    """Run the embedded registry, or show what a running gateway or sidecar knows from its registries."""
