"""Looks at settings that are well formed: what more than one kind of them can have wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.settings.fields import Address
from gateway.validation import Finding
from gateway.yaml.reading import Location


def given_twice(name: str, values: Sequence[str]) -> Iterator[Finding]:
    """The items of a list that are there already."""
    for number, value in enumerate(values):
        if value in values[:number]:
            yield (name, number), "is given twice"


def at_own_listener(
    location: Location, address: Address, listeners: Sequence[tuple[Location, Address]]
) -> Iterator[Finding]:
    """An address to connect to that is one of the program's own."""
    for own, listened in listeners:
        if address.meets(listened):
            yield location, f"'{address}' is this process's own `{'.'.join(map(str, own))}`"
