"""Command groups whose members are loaded when they are called, so that each starts quickly."""

from __future__ import annotations

import importlib
import keyword
from collections.abc import Mapping
from typing import Any

import click

from gateway.spelling import closest


def module_of(name: str) -> str:
    """The module of a command: if its name is a keyword of Python, an underscore is appended."""
    return f"{name}_" if keyword.iskeyword(name) else name


class LazyGroup(click.Group):
    """`commands` has every command's line in `--help`; the module of the same name in `package` holds it as `command`."""

    def __init__(self, *args: Any, package: str = "", lines: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._package = package
        self._lines = dict(lines or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which they are shown."""
        return list(self._lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command with a name, or None."""
        if cmd_name not in self._lines:
            return None
        command: click.Command = importlib.import_module(f"{self._package}.{module_of(cmd_name)}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See click.Group; for a mistyped command, the error suggests similar ones."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = closest(args[0], self.list_commands(ctx), most=3)
            if not close:
                raise
            hint = f"{error.message} Did you mean {' or '.join(map(repr, close))}?"
            raise click.UsageError(hint, error.ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._lines.items()))
