"""What the linter finds, and what it knows beside the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Severity = Literal["error", "warning", "info"]

CODES: Final[dict[str, tuple[Severity, str]]] = {
    "GR101": ("warning", "an earlier lane matches every request that this one would match"),
    "GR102": ("error", "the conditions can never hold together"),
    "GR103": ("warning", "one alternative of the conditions can never hold"),
    "GR104": ("warning", "the lane matches every request of its entry"),
    "GR105": ("info", "the condition holds for every value"),
    "GR106": ("info", "the text has an escape, but values are decoded before they are compared"),
    "GR201": ("warning", "lanes of two groups claim one request; the first wins"),
    "GR202": ("info", "lanes of one group with different tags claim one request; the first wins"),
    "GR301": ("info", "lanes split one key by plain numbers, so their order decides which spans they hold"),
    "GR302": ("info", "clients without the cookie are not in the share"),
    "GR303": ("info", "requests without the key are left out"),
    "GR401": ("warning", "no instance of the group's services carries the tag"),
    "GR402": ("info", "the configuration's registry does not have the service"),
    "GR403": ("warning", "a condition looks at the body, but no route allows it"),
    "GR404": ("warning", "no route leads to the lane's paths"),
    "GR501": ("warning", "a condition on the tag header: anyone who knows its name gets in"),
    "GR502": ("warning", "names differ only in case or punctuation"),
    "GR503": ("warning", "strict and permissive lanes share a tag"),
    "GR504": ("info", "groups with different services share a tag"),
    "GR601": ("warning", "the lane has expired"),
    "GR602": ("warning", "the lane expires within a week"),
    "GR701": ("info", "no condition uses the segment"),
    "GR702": ("warning", "the segment has no values"),
}
"""Severity and meaning of every code. Codes stay what they are."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `key` is the YAML key of the lane (or group) that it is about; `witness` a request that shows it."""

    code: str
    group: str
    lane: str
    key: str
    message: str
    hint: str = ""
    witness: Mapping[str, Any] | None = None

    @property
    def severity(self) -> Severity:
        """`error`, `warning` or `info`."""
        return CODES[self.code][0]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of the world: `tags` are those that instances carry, by service; None: services are not known.

    `routes` are the paths routed, None if they are not known; `inspects_body` whether some route lets rules look at
    bodies.
    """

    tags: Mapping[str, frozenset[str]] | None = None
    routes: tuple[str, ...] | None = None
    inspects_body: bool | None = None
    tag_header: str = "x-gray-tag"
    expiry_warning: float = field(default=7 * 86_400.0)
