"""`gateway rules …`."""

from __future__ import annotations

import click

from gateway.cli.lazy import LazyGroup

COMMANDS = {
    "lint": "Find lanes that cannot win, that overlap, or that say what nobody meant.",
    "test": "Match the requests in rules/tests/*.yaml and compare their lanes.",
    "fmt": "Format rule files and keep comments.",
    "diff": "Show which recorded requests would move under other rules.",
    "import": "Convert rules from MSE, Polaris or Istio.",
    "export": "Convert rules to MSE, Polaris or Istio.",
    "history": "Show the revisions of a running gateway.",
    "rollback": "Make an earlier revision of a running gateway the current one.",
}
"""Every command and its line in `--help`; the module of the same name holds it as `command`."""


@click.group(
    "rules",
    cls=LazyGroup,
    package="gateway.cli.rules",
    lines=COMMANDS,
    short_help="Lint, test, format, convert and compare lane rules; show their history and roll back.",
)
def command() -> None:
    """Lint, test, format, convert and compare lane rules; show their history and roll back."""
