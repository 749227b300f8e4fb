"""The command line: a group whose commands are loaded when they are called, so that each starts quickly."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "serve": "Run the entry gateway.",
    "sidecar": "Run the sidecar of one service instance.",
    "registry": "Run the embedded registry alone (Nacos-compatible HTTP API).",
    "demo": "Show the scenario: real processes on loopback, nothing else to install.",
    "check": "Validate configuration and rules without starting.",
    "explain": "Show the decision for a request, and why.",
    "version": "Show the version and how it was built.",
}
"""Every command and its line in `--help`; the module of the same name holds it as `command`."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"gateway.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Gray-routing gateway: marked requests stay in their lane along the whole call chain.

    Exit codes: 0 fine, 1 check or test failed, 2 usage, 3 could not start.
    """
