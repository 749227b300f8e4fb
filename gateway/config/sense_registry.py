"""Settings of registries, and of what is registered there, that are well formed and can never do what they say.

What only one kind of registry can have wrong is in its entry of `registry/kinds.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.config.sense import has_been_set
from gateway.registry.base import Registration
from gateway.registry.kinds import KINDS, kind_of
from gateway.registry.tags import OWN_KEY, TagReader, spelling
from gateway.settings import AnyRegistrySettings, RemoteRegistrySettings, ServingSettings
from gateway.settings.registry import DEFAULT_TAG_KEYS
from gateway.settings.sense import given_twice
from gateway.settings.sidecar import SidecarSettings
from gateway.spelling import closest
from gateway.tags import BASE
from gateway.validation import Finding
from gateway.yaml.reading import Location

BEATS: Final = {
    "preserved.heart.beat.interval": 5_000,
    "preserved.heart.beat.timeout": 15_000,
    "preserved.ip.delete.timeout": 30_000,
}
"""Metadata that says how long an instance may be silent, in milliseconds, from the shortest to the longest, with defaults."""
LONGEST_BEAT: Final = 86_400_000


def senseless_registries(settings: ServingSettings) -> Iterator[Finding]:
    """What makes no sense about registries."""
    known: list[tuple[Location, Any]] = []
    for location, registry in settings.placed_registries():
        for place, message in _one(registry, list(settings.listeners().items())):
            yield (*location, *place), message
        same = next((place for place, other in known if other == registry), None)
        if same is not None:
            yield location, f"is the same as `{'.'.join(map(str, same))}`: each instance would be known twice"
        known.append((location, registry))
    for name, service in settings.services.items():
        chosen = next((item for place, item in known if place[-1] == service.registry), None)
        listed = None if chosen is None else chosen.instances()
        if chosen is not None and listed is not None and name not in listed:
            message = f"the {chosen.kind} registry '{service.registry}' has no service '{name}'"
            yield ("services", name, "registry"), message
    if isinstance(settings, SidecarSettings):
        yield from _registration(settings)


def _one(registry: AnyRegistrySettings, own: Sequence[tuple[Location, Any]]) -> Iterator[Finding]:
    yield from kind_of(registry).senseless(registry, own)
    if isinstance(registry, RemoteRegistrySettings):
        yield from given_twice("tag_keys", [spelling(key) for key in registry.tag_keys])
        yield from _misspelt(registry.tag_keys)


def _misspelt(keys: Sequence[str]) -> Iterator[Finding]:
    """A key of one's own is fine; one that is nearly an ecosystem's is a slip, and would make its instances baseline."""
    known = {spelling(key): key for key in DEFAULT_TAG_KEYS if spelling(key) != key}
    for number, key in enumerate(keys):
        close = closest(spelling(key), known, cutoff=0.9)
        if close and spelling(key) not in known:
            yield (
                ("tag_keys", number),
                f"no known registry client uses the key '{key}'; did you mean '{known[close[0]]}'?",
            )


# --- what a sidecar registers


def _registration(settings: SidecarSettings) -> Iterator[Finding]:
    configured = [registry for _, registry in settings.placed_registries()]
    taking = {registry.kind for registry in configured if kind_of(registry).registers}
    if not taking:
        kinds = " or ".join(dict.fromkeys(registry.kind for registry in configured))
        for name in ("advertise", "weight", "metadata"):
            if has_been_set(settings, name):
                yield (name,), f"with a {kinds} registry an instance is listed, not registered: the list sets this"
        return
    yield from _beats(settings.metadata)
    own = {} if settings.tag == BASE else {OWN_KEY: settings.tag}
    for registry in settings.remote_registries.values():
        found = TagReader(registry.tag_keys).tag_of({**settings.metadata, **own})
        if found != settings.tag:
            keys = ", ".join(registry.tag_keys)
            message = (
                f"registries would read the tag '{found}' from it (by the keys {keys}), but `tag` is '{settings.tag}'"
            )
            yield ("metadata",) if settings.metadata else ("tag",), message
    host, port = settings.advertise or settings.inbound.host, settings.inbound.port
    registration = Registration(settings.service, host, port, settings.tag, settings.weight, settings.metadata)
    for name, kind in KINDS.items():
        if name in taking:
            yield from kind.refuses(registration)


def _beats(metadata: Mapping[str, str]) -> Iterator[Finding]:
    before, last = "", 0
    for key, default in BEATS.items():
        text = metadata.get(key, str(default))
        is_number = text.isascii() and text.isdigit() and len(text) <= len(str(LONGEST_BEAT))
        if not is_number or not 0 < int(text) <= LONGEST_BEAT:
            yield ("metadata", key), f"a whole number of milliseconds is accepted, 1 to {LONGEST_BEAT}; found {text!r}"
            continue
        if int(text) <= last:
            where = key if key in metadata else before
            message = f"must increase: `{key}` is {text} ms, and `{before}` {last} ms"
            yield ("metadata", where), message
        before, last = key, int(text)
