"""`gateway version`."""

from __future__ import annotations

import importlib.util
import platform

import click

from gateway import __version__
from gateway.cli.output import echo, echo_json, output_option

HOT_MODULE = "gateway.http.request"
"""The hot modules are all compiled, or none is: this one stands for them."""


def is_compiled() -> bool:
    """Whether the hot modules were compiled by mypyc."""
    spec = importlib.util.find_spec(HOT_MODULE)
    return spec is not None and spec.origin is not None and not spec.origin.endswith(".py")


def facts() -> dict[str, str]:
    """The facts about this installation."""
    return {
        "version": __version__,
        "build": "compiled" if is_compiled() else "plain",
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def describe() -> str:
    """The same in one line."""
    return "gateway {version} ({build}), Python {python}, {platform}".format_map(facts())


@click.command("version", short_help="Show the version and how it was built.")
@output_option("text")
def command(output: str) -> None:
    """Show the version and how it was built."""
    if output == "json":
        echo_json(facts(), indent=None)
    else:
        echo(describe())
