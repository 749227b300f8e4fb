"""From settings to registries: an adapter for each, and what a reload can change about them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from gateway.instance import Instance
from gateway.registry.base import RegistrarAdapter
from gateway.registry.kinds import KINDS, kind_of
from gateway.registry.several import Registries
from gateway.settings import RegistrySettings
from gateway.tls.contexts import CertificateError

if TYPE_CHECKING:
    from gateway.registry.embedded.server import EmbeddedRegistry

_log = logging.getLogger("gateway")


def make_registries(
    settings: Mapping[str, RegistrySettings],
    on_change: Callable[[str, tuple[Instance, ...]], None],
    chosen: Mapping[str, str],
    state: str | None,
    embedded: EmbeddedRegistry | None = None,
    own: Collection[str] = (),
) -> Registries:
    """The registries of a configuration. `embedded` is the one in this process, `own` are this gateway's addresses.

    Raises ConfigError if a file cannot be read.
    """
    adapters = {name: kind_of(item).adapter(item, embedded) for name, item in settings.items()}
    folder = None if state is None else Path(state)
    identities = {name: item.identity for name, item in settings.items() if item.identity is not None}
    return Registries(adapters, on_change, chosen=chosen, folder=folder, identities=identities, own=own)


def take_settings(registries: Registries, settings: Mapping[str, RegistrySettings]) -> None:
    """Takes what can change while running of a reloaded configuration: static instances, and whom to trust."""
    for name, item in settings.items():
        keeper = registries.keepers.get(name)
        if keeper is None or keeper.adapter.kind != item.kind:
            continue  # one that a reload has added, or exchanged, is there after a restart only
        try:
            kind_of(item).reload(keeper.adapter, item)
        except CertificateError as error:  # it could be read a moment ago: it is being changed again
            _log.warning("registry %s: %s; the authorities in use stay", name, error.message)


def registrars(registries: Registries) -> dict[str, RegistrarAdapter]:
    """Those of the registries in which an instance can be registered, by name."""
    return {
        name: cast("RegistrarAdapter", keeper.adapter)
        for name, keeper in registries.keepers.items()
        if KINDS[keeper.adapter.kind].registers
    }
