"""`gateway rules …`."""

from __future__ import annotations

import click

from gateway.cli.lazy import LazyGroup

COMMANDS = {
    "lint": "Look for lanes that cannot win, overlap, or say what nobody meant.",
    "test": "Put the requests of rules/tests/*.yaml on lanes, and compare.",
    "fmt": "Format files; comments stay.",
    "diff": "Say which recorded requests would move under other rules.",
    "import": "Make rules of MSE, Polaris or Istio.",
    "export": "Write rules for MSE, Polaris or Istio.",
    "history": "Show the revisions of a running gateway.",
    "rollback": "Make an earlier revision of a running gateway the current one.",
}
"""Every command and its line in `--help`; the module of the same name holds it as `command`."""


@click.group(
    "rules",
    cls=LazyGroup,
    package="gateway.cli.rules",
    lines=COMMANDS,
    short_help="Lint, test, format, convert and compare lane rules; look back and roll back.",
)
def command() -> None:
    """Lint, test, format, convert and compare lane rules; look back and roll back."""
