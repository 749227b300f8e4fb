"""What importing and exporting yield: rules, and beside them everything that did not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.errors import GatewayError
from gateway.rules.model import LaneGroup


class FormatError(GatewayError):
    """Data that is not of the format; the text names the place, what is accepted and what was found."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that the other side cannot say. `place` is where it is in the source, parts joined by dots."""

    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Imported:
    """Rules of ours, made of someone else's."""

    groups: tuple[LaneGroup, ...]
    losses: tuple[Loss, ...]


@dataclass(frozen=True, slots=True)
class Exported:
    """Rules of someone else's, made of ours."""

    documents: tuple[dict[str, Any], ...]
    losses: tuple[Loss, ...]


class Unfit(Exception):
    """A condition that the other side cannot say. `place` is where it is."""

    def __init__(self, place: str, message: str) -> None:
        self.place = place
        self.message = message
        super().__init__(f"{place}: {message}")
