"""Header fields as people write them on the command line."""

from __future__ import annotations

import click


def header_pair(text: str) -> tuple[str, str]:
    """`Name: value` as a pair. Raises BadParameter if it is not one."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise click.BadParameter(f"{text!r} is not 'Name: value'", param_hint="-H")
    return name.strip(), value.strip()
