"""Settings of registries, and of what is registered there, that are well formed and can never do what they say."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.config.sense import Finding, has_been_set, listeners, meet, registries
from gateway.registry.consul.bridge import meta_key
from gateway.registry.tags import OWN_KEY, TagReader, spelling
from gateway.settings import (
    ConsulRegistrySettings,
    GatewaySettings,
    NacosRegistrySettings,
    RemoteRegistrySettings,
    ServingSettings,
    SidecarSettings,
    StaticRegistrySettings,
)
from gateway.settings.registry import DEFAULT_TAG_KEYS
from gateway.tags import BASE
from gateway.yaml.reading import Location

BEATS: Final = {
    "preserved.heart.beat.interval": 5_000,
    "preserved.heart.beat.timeout": 15_000,
    "preserved.ip.delete.timeout": 30_000,
}
"""Metadata that says how long an instance may be silent, in milliseconds, from the shortest to the longest, with defaults."""
LONGEST_BEAT: Final = 86_400_000
NACOS_METADATA: Final = 1024
"""Characters of all keys and values that Nacos takes (nacos.naming.service.metadata.length)."""
MOST_WEIGHT: Final = {"nacos": 10_000, "consul": 65_535}
CONSUL_PAIRS: Final = 64
CONSUL_KEY: Final = 128
CONSUL_VALUE: Final = 512
CONSUL_RESERVED: Final = "consul-"
"""What Consul takes as Meta (metaMaxKeyPairs and its like in agent/structs), tried with Consul 1.20."""


def senseless_registries(settings: ServingSettings) -> Iterator[Finding]:
    """What makes no sense about registries."""
    known: list[tuple[Location, Any]] = []
    for location, registry in registries(settings):
        yield from _one(settings, location, registry)
        same = next((place for place, other in known if other == registry), None)
        if same is not None:
            yield location, f"is the same as `{'.'.join(map(str, same))}`: each instance would be known twice"
        known.append((location, registry))
    for name, service in settings.services.items():
        chosen = next((item for place, item in known if place[-1] == service.registry), None)
        if isinstance(chosen, StaticRegistrySettings) and name not in chosen.services:
            yield ("services", name, "registry"), f"the static registry '{service.registry}' has no service '{name}'"
    if isinstance(settings, SidecarSettings):
        yield from _registration(settings)


def _one(settings: ServingSettings, location: Location, registry: Any) -> Iterator[Finding]:
    if isinstance(registry, StaticRegistrySettings):
        yield from _static(settings, location, registry)
        return
    addresses: list[tuple[Location, Any]] = []
    if isinstance(registry, ConsulRegistrySettings):
        addresses = [((*location, "address"), registry.address)]
        if registry.scheme == "http" and registry.ca is not None:
            yield (*location, "ca"), "no certificate is looked at with `scheme: http`; `scheme: https` is what has one"
        yield from _twice(location, "bare_tags", registry.bare_tags)
        if BASE in registry.bare_tags:
            place = (*location, "bare_tags", registry.bare_tags.index(BASE))
            yield place, f"'{BASE}' means unmarked, which an instance without any such word is already"
    elif isinstance(registry, NacosRegistrySettings):
        addresses = [((*location, "addresses", number), item) for number, item in enumerate(registry.addresses)]
        if registry.address is not None:
            addresses.append(((*location, "address"), registry.address))
        yield from _twice(location, "addresses", [str(item) for item in registry.addresses])
        yield from _twice(location, "clusters", registry.clusters)
    if isinstance(registry, RemoteRegistrySettings):
        yield from _twice(location, "tag_keys", [spelling(key) for key in registry.tag_keys])
        yield from _misspelt(location, registry.tag_keys)
    for place, address in addresses:
        for own, listened in listeners(settings):
            if meet(address, listened):
                yield place, f"'{address}' is where `{'.'.join(map(str, own))}` of this program listens"


def _twice(location: Location, name: str, values: list[str]) -> Iterator[Finding]:
    for number, value in enumerate(values):
        if value in values[:number]:
            yield (*location, name, number), "is given twice"


def _misspelt(location: Location, keys: Sequence[str]) -> Iterator[Finding]:
    """A key of one's own is fine; one that is nearly an ecosystem's is a slip, and would make its instances baseline."""
    known = {spelling(key): key for key in DEFAULT_TAG_KEYS if spelling(key) != key}
    for number, key in enumerate(keys):
        close = difflib.get_close_matches(spelling(key), list(known), n=1, cutoff=0.9)
        if close and spelling(key) not in known:
            yield (*location, "tag_keys", number), f"nothing has a key '{key}'; did you mean '{known[close[0]]}'?"


def _static(settings: ServingSettings, location: Location, registry: StaticRegistrySettings) -> Iterator[Finding]:
    for name, instances in registry.services.items():
        seen: list[str] = []
        for number, item in enumerate(instances):
            here: Location = (*location, "services", name, number)
            if str(item.address) in seen:
                yield (*here, "address"), f"'{item.address}' is given twice: an address is one instance, with one tag"
            seen.append(str(item.address))
            found = TagReader().tag_of(item.metadata)
            if found not in (BASE, item.tag):
                yield (*here, "metadata"), f"says the tag '{found}', and `tag`, which counts here, says '{item.tag}'"
            if isinstance(settings, GatewaySettings) and meet(item.address, settings.listen):
                yield (*here, "address"), f"'{item.address}' is this gateway itself: requests would go in a circle"


# --- what a sidecar registers


def _registration(settings: SidecarSettings) -> Iterator[Finding]:
    remote = [item for _, item in registries(settings) if isinstance(item, RemoteRegistrySettings)]
    if not remote:
        for name in ("advertise", "weight", "metadata"):
            if has_been_set(settings, name):
                yield (name,), "with a static registry an instance is not registered anywhere: the list says it"
        return
    yield from _beats(settings.metadata)
    own = {} if settings.tag == BASE else {OWN_KEY: settings.tag}
    for registry in remote:
        found = TagReader(registry.tag_keys).tag_of({**settings.metadata, **own})
        if found != settings.tag:
            keys = ", ".join(registry.tag_keys)
            message = f"an instance with it has the tag '{found}' (by the keys {keys}), and `tag` says '{settings.tag}'"
            yield ("metadata",) if settings.metadata else ("tag",), message
    for kind, check in _REGISTRATIONS.items():
        if any(isinstance(item, kind) for item in remote):
            yield from check(settings)


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
            message = f"an instance is given up by then: `{key}` is {text} ms, and `{before}` {last} ms"
            yield ("metadata", where), message
        before, last = key, int(text)


def _in_nacos(settings: SidecarSettings) -> Iterator[Finding]:
    if settings.weight > MOST_WEIGHT["nacos"]:
        yield ("weight",), f"Nacos takes weights from 0 to {MOST_WEIGHT['nacos']}; found {settings.weight:g}"
    own = 0 if settings.tag == BASE else len(OWN_KEY) + len(settings.tag)
    size = own + sum(len(key) + len(value) for key, value in settings.metadata.items())
    if size > NACOS_METADATA:
        message = f"Nacos takes {NACOS_METADATA} characters of keys and values, the tag's included; found {size}"
        yield ("metadata",), message


def _in_consul(settings: SidecarSettings) -> Iterator[Finding]:
    if settings.weight != int(settings.weight) or not 1 <= settings.weight <= MOST_WEIGHT["consul"]:
        message = f"Consul takes whole weights from 1 to {MOST_WEIGHT['consul']}; found {settings.weight:g}"
        yield ("weight",), message
    if len(settings.metadata) > CONSUL_PAIRS:
        yield ("metadata",), f"Consul takes {CONSUL_PAIRS} keys; found {len(settings.metadata)}"
    written: dict[str, str] = {}
    for key, value in settings.metadata.items():
        here: Location = ("metadata", key)
        name = meta_key(key)
        if not 1 <= len(name) <= CONSUL_KEY or len(value) > CONSUL_VALUE:
            yield here, f"Consul takes keys of 1 to {CONSUL_KEY} characters and values of {CONSUL_VALUE} at most"
        if name.startswith(CONSUL_RESERVED):
            yield here, f"Consul keeps keys that begin with '{CONSUL_RESERVED}' to itself"
        if name in written:
            yield here, f"is `{name}` in Consul, as is `{written[name]}`"
        written[name] = key


_REGISTRATIONS: Final[Mapping[type, Callable[[SidecarSettings], Iterator[Finding]]]] = {
    NacosRegistrySettings: _in_nacos,
    ConsulRegistrySettings: _in_consul,
}
"""What each registry takes of an instance: what it does not take, it would refuse for ever."""
