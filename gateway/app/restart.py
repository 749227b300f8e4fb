"""Which changed settings a reload cannot apply."""

from __future__ import annotations

import logging
from typing import Final

from gateway.registry.kinds import kind_of
from gateway.settings import ServingSettings

_log = logging.getLogger("gateway")


HOT: Final = frozenset(
    {
        "access",
        "balancing",
        "guard",
        "jwt",
        "name",
        "ready_with_old_rules",
        "ready_without_registry",
        "registries",
        "registry",
        "retries",
        "routes",
        "rules",
        "services",
        "sticky",
        "timeouts",
    }
)
"""Settings that a reload applies. Of `registry` and `registries`, and of some others, that is a part: see below."""


def warn_of_restart(old: ServingSettings, new: ServingSettings) -> None:
    """Says which changed settings only a restart applies: sockets and what is built once."""
    changed = [
        name for name in type(old).model_fields if name not in HOT and getattr(old, name) != getattr(new, name, None)
    ]
    before, after = old.all_registries, new.all_registries
    if list(before) != list(after) or any(
        item != after[name] and not (kind_of(item).reloads and item.kind == after[name].kind)
        for name, item in before.items()
    ):
        changed.append("registry")
    if "tls" in changed and _minimum_of(old) == _minimum_of(new):
        changed.remove("tls")  # certificates are replaced while running
    if "mesh" in changed and None not in (old.mesh, new.mesh):
        changed.remove("mesh")  # all of it is, but whether there is one
    if "carriers" in changed and _names_of(old) == _names_of(new):
        changed.remove("carriers")  # so is all of signing
    if changed:
        _log.warning("restart to apply: %s", ", ".join(changed))


def _names_of(settings: ServingSettings) -> tuple[str, str, list[str]]:
    """Where requests carry their tag."""
    return settings.carriers.header, settings.carriers.baggage, settings.carriers.ids


def _minimum_of(settings: ServingSettings) -> str:
    """The oldest TLS version of the listener, empty without TLS."""
    tls = settings.listener_tls
    return "" if tls is None else tls.minimum
