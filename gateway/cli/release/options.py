"""Options that several commands have: images and values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click


def pairs(_: click.Context, __: click.Parameter, texts: Iterable[str]) -> dict[str, str]:
    """`NAME=VALUE` as a mapping. Raises BadParameter."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{text!r} is not NAME=VALUE")
        found[name] = value
    return found


def pairs_option(flag: str, name: str, line: str) -> Callable[[Any], Any]:
    """An option that may be given more than once, as NAME=VALUE."""
    return click.option(flag, name, multiple=True, metavar="NAME=VALUE", callback=pairs, help=line)


image_option = pairs_option("--image", "images", "An image that is there already; APP.NAME=… for one application.")
set_option = pairs_option("--set", "values", "The value of a placeholder.")
