"""`gateway instance …`."""

from __future__ import annotations

import click

from gateway.cli.lazy import LazyGroup

COMMANDS = {
    "drain": "Send no new requests to an instance until it is brought back.",
    "restore": "Bring a drained instance back into traffic.",
}
"""Every command and its line in `--help`; the module of the same name holds it as `command`."""


@click.group(
    "instance",
    cls=LazyGroup,
    package="gateway.cli.instance",
    lines=COMMANDS,
    short_help="Take an instance out of a running gateway's traffic, and bring it back.",
)
def command() -> None:
    """Take an instance out of the traffic of a running gateway or sidecar, and bring it back."""
