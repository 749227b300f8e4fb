"""Settings that are well formed, each by itself, and that can never do anything as they are: slips of the pen.

Each problem says what is accepted. A default never is one: only what somebody wrote can mean something else than it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from gateway.settings import KubernetesRules, RemoteRules, RemoteSource, ServingSettings
from gateway.settings.balancing import BalancingSettings
from gateway.settings.fields import Model
from gateway.validation import Finding
from gateway.yaml.reading import Location

if TYPE_CHECKING:
    from gateway.settings.gateway import GatewaySettings
    from gateway.settings.sidecar import SidecarSettings


def senseless(settings: ServingSettings) -> Iterator[Finding]:
    """What makes no sense, but for registries (`sense_registry.py`)."""
    for look in (*_LOOKS, *_LOOKS_AT[settings.is_entry]):
        yield from look(settings)


def has_been_set(model: Model, name: str) -> bool:
    """Whether somebody wrote another value than the default."""
    field = type(model).model_fields[name]
    return bool(getattr(model, name) != field.get_default(call_default_factory=True))


# --- addresses


def _two_listeners_on_one_address(settings: ServingSettings) -> Iterator[Finding]:
    for (first, one), (second, other) in combinations(settings.listeners().items(), 2):
        if one.meets(other):
            yield second, f"'{other}' conflicts with `{_dotted(first)}` ('{one}'): each needs its own port"


def _an_application_that_is_the_sidecar(settings: SidecarSettings) -> Iterator[Finding]:
    for location, address in settings.listeners().items():
        if settings.app.meets(address):
            message = f"'{settings.app}' is this sidecar's own `{_dotted(location)}`: requests would loop"
            yield ("app",), message


def _logged_twice(settings: ServingSettings) -> Iterator[Finding]:
    if settings.access_log is not None:
        yield from _the_same_twice(("access_log", "headers"), settings.access_log.headers)
        yield from _the_same_twice(("access_log", "mask"), settings.access_log.mask)


def _trusted(settings: GatewaySettings) -> Iterator[Finding]:
    if settings.proxy_protocol and not settings.trusted:
        yield ("proxy_protocol",), "has no effect without `trusted`: only load balancers in it may send the header"
    yield from _the_same_twice(("trusted",), settings.trusted)


def _the_same_twice(location: Location, items: Sequence[Any]) -> Iterator[Finding]:
    for number, item in enumerate(items):
        if item in items[:number]:
            yield (*location, number), f"'{item}' is given twice"


def _carriers(settings: ServingSettings) -> Iterator[Finding]:
    carriers, log = settings.carriers, settings.access_log
    if carriers.keys is None:
        for name in ("signing", "lifetime"):
            if has_been_set(carriers, name):
                yield ("carriers", name), "has no effect without `carriers.keys`"
        return
    for number, name in enumerate(() if log is None else log.headers):
        if name in (carriers.header, "baggage"):
            yield (
                ("access_log", "headers", number),
                f"'{name}' carries the signed tag: anyone who reads the log could send it",
            )


def _signed_too_briefly(settings: SidecarSettings) -> Iterator[Finding]:
    carriers, longest = settings.carriers, settings.trace_memory.ttl + settings.timeouts.response
    if carriers.keys is not None and carriers.lifetime <= longest:
        message = f"must be longer than `trace_memory.ttl` and `timeouts.response` together ({longest:g} s)"
        yield ("carriers", "lifetime"), message


# --- one setting that leaves another nothing to do


def _what_another_setting_leaves_nothing_to_do(settings: ServingSettings) -> Iterator[Finding]:
    log = settings.access_log
    if log is not None and log.format != "json" and has_been_set(log, "headers"):
        yield ("access_log", "headers"), "headers are logged in JSON only: `format: json`"
    if settings.ejection.longest < settings.ejection.time:
        yield ("ejection", "longest"), f"is shorter than `ejection.time` ({settings.ejection.time:g} s)"
    if settings.retries.attempts == 1:
        for name in ("share", "minimum"):
            if has_been_set(settings.retries, name):
                yield ("retries", name), "`attempts: 1` means no retries: it must be 2 to 10"
    if settings.limits.body_rate == 0 and has_been_set(settings.timeouts, "body_grace"):
        yield ("timeouts", "body_grace"), "has no effect with `limits.body_rate: 0`"
    limits = settings.limits
    if has_been_set(limits, "connections_per_client") and limits.connections_per_client > limits.connections:
        yield ("limits", "connections_per_client"), f"is more than `limits.connections` ({limits.connections})"
    for name, service in settings.services.items():
        if service.tls is not None and not service.tls.verify and service.tls.ca is not None:
            yield ("services", name, "tls", "ca"), "has no effect: no certificate is verified with `verify: false`"
        if service.protocol == "h2c" and service.tls is not None:
            yield ("services", name, "protocol"), "h2c is HTTP/2 without TLS; with `tls` it is `h2`"
        if service.mtls is not None and settings.mesh is None:
            yield ("services", name, "mtls"), "has no effect without `mesh`"
        elif service.mtls in ("announced", "required") and service.tls is not None:
            yield ("services", name, "mtls"), "has no effect: `tls` says how these instances are called"


def _balanced_by_one_client(settings: SidecarSettings) -> Iterator[Finding]:
    places: list[tuple[Location, BalancingSettings | None]] = [(("balancing",), settings.balancing)]
    places += [(("services", name, "balancing"), service.balancing) for name, service in settings.services.items()]
    for place, balancing in places:
        if balancing is not None and balancing.by is not None and balancing.by.client_ip:
            yield (
                (*place, "by"),
                "the client of a sidecar is always its own application: use a header, a cookie or a param",
            )
    for name, service in settings.services.items():
        if service.sticky_instance is not None:
            yield ("services", name, "sticky_instance"), "is for entry gateways: applications keep no cookies"


def _sticky_instances(settings: GatewaySettings) -> Iterator[Finding]:
    users = {} if settings.sticky is None else {settings.sticky.cookie: "sticky.cookie"}
    for name, service in settings.services.items():
        if service.sticky_instance is None:
            continue
        place: Location = ("services", name, "sticky_instance")
        if settings.sticky is None:
            yield place, "needs `sticky.secret`: the cookie calls an instance by a keyed hash"
            continue
        cookie = service.sticky_instance.cookie
        if cookie in users:
            yield (*place, "cookie"), f"'{cookie}' is `{users[cookie]}` already: each needs its own cookie"
        users.setdefault(cookie, _dotted((*place, "cookie")))


def _gateway_api(settings: GatewaySettings) -> Iterator[Finding]:
    from gateway.settings.gatewayapi import cluster_of

    if settings.gateway_api is not None and cluster_of(settings.all_registries.values()) is None:
        yield ("gateway_api",), "there is no registry of `kind: kubernetes` whose Services routes could lead to"


def _identity(settings: GatewaySettings) -> Iterator[Finding]:
    tokens, debug = settings.jwt, settings.debug
    if tokens is not None:
        if not tokens.verify:
            for name in ("keys", "issuer", "audience", "leeway"):
                if has_been_set(tokens, name):
                    yield ("jwt", name), "has no effect: tokens are not verified with `verify: false`"
        for number, key in enumerate(tokens.keys):
            if key in tokens.keys[:number]:
                yield ("jwt", "keys", number), f"the key '{key.file}' is given twice"
    if debug is not None:
        for what, header in (("carriers.header", settings.carriers.header), ("jwt.header", tokens and tokens.header)):
            if debug.header == header:
                yield ("debug", "header"), f"'{debug.header}' is `{what}` already: each needs its own header"
    if tokens is not None and tokens.header == settings.carriers.header:
        yield ("jwt", "header"), f"'{tokens.header}' is `carriers.header` already: each needs its own header"
    for number, name in enumerate(() if settings.access_log is None else settings.access_log.headers):
        for what, secret in (("debug.header", debug), ("jwt.header", tokens)):
            if secret is not None and secret.header == name:
                yield (
                    ("access_log", "headers", number),
                    f"'{name}' is `{what}`: it carries a secret and is never logged",
                )
    if settings.tls is not None:
        for number, item in enumerate(settings.tls.certificates):
            if item in settings.tls.certificates[:number]:
                yield ("tls", "certificates", number), f"the certificate '{item.cert}' is given twice"


def _rules(settings: ServingSettings) -> Iterator[Finding]:
    names: list[str] = []
    for number, source in enumerate(settings.rules):
        name = source.name if isinstance(source, RemoteSource) else source.rstrip("/") or "/"
        if name in names:
            yield ("rules", number), f"'{name}' is given twice"
        names.append(name)
        if isinstance(source, KubernetesRules):
            place = source.kubernetes
            if place.kubeconfig is None and place.context:
                message = "a pod's own account has no contexts; name a `kubeconfig`"
                yield ("rules", number, "kubernetes", "context"), message
            from gateway.kubernetes.access import kubeconfig_problems

            for problem in () if place.kubeconfig is None else kubeconfig_problems(place.kubeconfig, place.context):
                yield ("rules", number, "kubernetes", "kubeconfig"), problem
        if not isinstance(source, RemoteRules):
            continue
        if source.consul is not None:
            for setting in ("group", "namespace", "username", "password", "interval"):
                if has_been_set(source, setting):
                    yield ("rules", number, setting), f"`{setting}` is for `nacos`; a Consul key is read with `token`"
        embedded = settings.embedded_registry
        for location, address in settings.listeners().items():
            # The embedded registry keeps configs, too.
            is_config_server = source.nacos is not None and embedded is not None and address == embedded.listen
            if source.address.meets(address) and not is_config_server:
                yield (
                    ("rules", number, "address"),
                    f"'{address}' is this process's own `{_dotted(location)}`",
                )


def _dotted(location: Location) -> str:
    return ".".join(map(str, location))


_LOOKS: Final[tuple[Callable[[Any], Iterator[Finding]], ...]] = (
    _two_listeners_on_one_address,
    _logged_twice,
    _carriers,
    _what_another_setting_leaves_nothing_to_do,
    _rules,
)
"""Looks at settings of either role."""
_LOOKS_AT: Final[Mapping[bool, tuple[Callable[[Any], Iterator[Finding]], ...]]] = {
    True: (_trusted, _gateway_api, _identity, _sticky_instances),
    False: (_an_application_that_is_the_sidecar, _signed_too_briefly, _balanced_by_one_client),
}
"""Looks at what only an entry gateway has, and only a sidecar."""
