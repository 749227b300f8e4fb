"""`gateway release …`."""

from __future__ import annotations

import click

from gateway.cli.lazy import LazyGroup

COMMANDS = {
    "serve": "Run the release server.",
    "apps": "Show every application, and what of it runs where.",
    "envs": "Show every environment, who has locked it, and the order it is a part of.",
    "render": "Show an application's orchestration for an environment.",
    "new": "Make the files of a new application from a template.",
    "run": "Begin an order: release one or several applications.",
    "get": "Show an order as a tree; -w as it goes on.",
    "status": "Wait for the end of an order: exit code 0 or 1.",
    "approve": "Agree to what waits for approval.",
    "refuse": "Disagree: the order fails.",
    "promote": "Let the next batch begin, or a pause end.",
    "pause": "Begin nothing new.",
    "resume": "Go on.",
    "retry": "Begin anew what failed.",
    "skip": "Leave out what failed, and go on.",
    "abort": "Take an order back: traffic first, then what was deployed.",
    "undo": "Bring an earlier version back.",
    "lock": "Keep orders from an environment.",
    "unlock": "Let orders on an environment again.",
    "history": "Show what ran where, and who did what.",
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
