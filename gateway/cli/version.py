"""`gateway version`."""

from __future__ import annotations

import importlib.util
import platform

import click

from gateway import __version__
from gateway.cli.output import echo, echo_json

HOT_MODULE = "gateway.http.request"
"""Compiled or not, all hot modules are what this one is."""


def is_compiled() -> bool:
    """Whether the hot modules were compiled by mypyc."""
    spec = importlib.util.find_spec(HOT_MODULE)
    return spec is not None and spec.origin is not None and not spec.origin.endswith(".py")


def facts() -> dict[str, str]:
    """What there is to say of this installation."""
    return {
        "version": __version__,
        "build": "compiled" if is_compiled() else "plain",
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def describe() -> str:
    """The same in a line."""
    return "gateway {version} ({build}), Python {python}, {platform}".format_map(facts())


@click.command("version", short_help="Show the version and how it was built.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(output: str) -> None:
    """Show the version and how it was built."""
    if output == "json":
        echo_json(facts(), indent=None)
    else:
        echo(describe())
