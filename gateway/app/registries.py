"""From settings to registries: an adapter for each, and what a reload can change about them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from gateway.app.build import Build
from gateway.instance import Instance
from gateway.registry.base import RegistrarAdapter
from gateway.registry.kinds import KINDS, kind_of
from gateway.registry.several import Registries
from gateway.settings import ServingSettings

if TYPE_CHECKING:
    from gateway.registry.embedded.server import EmbeddedRegistry

S = TypeVar("S", bound=ServingSettings)


def make_registries(
    settings: ServingSettings,
    on_change: Callable[[str, tuple[Instance, ...]], None],
    embedded: EmbeddedRegistry | None = None,
    own: Collection[str] = (),
) -> Registries:
    """The registries of a configuration. `embedded` is the one in this process, `own` are this gateway's addresses.

    Raises ConfigError if a file cannot be read.
    """
    configured = settings.all_registries
    return Registries(
        {name: kind_of(item).adapter(item, embedded) for name, item in configured.items()},
        on_change,
        chosen=settings.chosen_registries,
        folder=None if settings.state is None else Path(settings.state),
        identities={name: item.identity for name, item in configured.items() if item.identity is not None},
        own=own,
    )


def take_settings(registries: Registries, build: Build[S]) -> None:
    """Takes what can change while running of a build: static instances, whom to trust, where a service is looked for."""
    for name, item in build.settings.all_registries.items():
        keeper = registries.keepers.get(name)
        if keeper is None or keeper.adapter.kind != item.kind:
            continue  # one that a reload has added, or exchanged, is there after a restart only
        kind_of(item).reload(keeper.adapter, item, build.registry_tls.get(name))
    registries.choose(build.settings.chosen_registries)


def registrars(registries: Registries) -> dict[str, RegistrarAdapter]:
    """Those of the registries in which an instance can be registered, by name."""
    return {
        name: cast("RegistrarAdapter", keeper.adapter)
        for name, keeper in registries.keepers.items()
        if KINDS[keeper.adapter.kind].registers
    }
