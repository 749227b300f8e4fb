"""`gateway release …`."""

from __future__ import annotations

import click

from gateway.cli.lazy import LazyGroup

COMMANDS = {
    "serve": "Run the release server.",
    "apps": "Show every application and where it runs.",
    "envs": "Show every environment, its lock and its order.",
    "render": "Show an application's orchestration for an environment.",
    "new": "Create the files of a new application from a template.",
    "run": "Start an order: release one or several applications.",
    "get": "Show an order as a tree; -w to follow it.",
    "status": "Wait for the end of an order: exit code 0 or 1.",
    "approve": "Approve what waits for approval.",
    "refuse": "Refuse approval: the order fails.",
    "promote": "Start the next batch, or end a pause.",
    "pause": "Pause an order: start nothing new.",
    "resume": "Resume an order.",
    "retry": "Retry what failed.",
    "skip": "Skip what failed and continue.",
    "abort": "Undo an order: traffic first, then what was deployed.",
    "undo": "Go back to an earlier version.",
    "lock": "Lock an environment: no new orders.",
    "unlock": "Unlock an environment.",
    "history": "Show what ran where and who did what.",
    "logs": "Show the logs of instances, or of a command of an order.",
}
"""Every command and its line in `--help`; the module of the same name holds it as `command`."""


@click.group(
    "release",
    cls=LazyGroup,
    package="gateway.cli.release",
    lines=COMMANDS,
    short_help="Release applications through gray to production; run the release server.",
)
def command() -> None:
    """Release applications: build, approve, gray, verify, production in batches, clean up."""
