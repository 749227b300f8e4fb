"""Routes that are well formed, each by itself, and that can never do what they say."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.sense import has_been_set
from gateway.settings import ServingSettings
from gateway.settings.changes import HeaderChanges, RegexSettings, RouteMatchSettings
from gateway.settings.gates import AccessSettings, CompressSettings, CorsSettings
from gateway.settings.gateway import GatewaySettings
from gateway.settings.routes import RouteSettings
from gateway.settings.sense import given_twice
from gateway.spelling import closest
from gateway.telemetry.tracecontext import ID_FIELDS
from gateway.validation import Finding
from gateway.yaml.reading import Location

_FORWARDED = (
    "strip_prefix",
    "restore_prefix",
    "inspect_body",
    "timeouts",
    "retries",
    "rewrite",
    "request_headers",
    "response_headers",
    "compress",
)
"""Settings of routes that forward requests."""


def senseless_routes(settings: ServingSettings) -> Iterator[Finding]:
    """What makes no sense in the routes of a gateway; a sidecar has none."""
    if not isinstance(settings, GatewaySettings):
        return
    reserved = {settings.carriers.header, settings.debug_header}
    for number, route in enumerate(settings.routes):
        here: Location = ("routes", number)
        yield from _without_effect(here, route, settings.limits.body_rate)
        if route.match is not None:
            yield from _patterns((*here, "match"), route.match)
        yield from _rewrite(here, route)
        if route.require_token and settings.jwt is None:
            yield (*here, "require_token"), "there is no `jwt` that says which tokens are valid"
        elif route.require_token and settings.jwt is not None and not settings.jwt.verify:
            yield (*here, "require_token"), "`jwt.verify: false` would let every token pass"
        for name in ("request_headers", "response_headers"):
            changes: HeaderChanges | None = getattr(route, name)
            for header in sorted(reserved & changes.names) if changes is not None else ():
                yield (*here, name), f"header {header!r} is the gateway's own: no route can change it"
        if route.request_headers is not None:
            yield from _ids((*here, "request_headers"), route.request_headers)
        if route.cors is not None:
            yield from _cors(here, route, route.cors)
        if route.access is not None:
            yield from _networks((*here, "access"), route.access)
        yield from _asked(here, route, settings, reserved)
        if route.compress is not None:
            yield from _compressed((*here, "compress"), route.compress)
            if route.response_headers is not None and "content-encoding" in route.response_headers.names:
                yield (*here, "response_headers"), "with `compress`, the gateway writes 'content-encoding' itself"
    yield from _networks(("access",), settings.access)
    yield from _services(settings)


def _networks(here: Location, access: AccessSettings) -> Iterator[Finding]:
    for number, network in enumerate(access.allow):
        if network in access.deny:
            yield (*here, "allow", number), f"'{network}' is in `deny`, too, and refused"


def _asked(here: Location, route: RouteSettings, settings: GatewaySettings, reserved: set[str]) -> Iterator[Finding]:
    """What makes no sense in who is asked about requests."""
    basic, forward = route.basic_auth, route.forward_auth
    if basic is not None:
        name = basic.user_header.lower()
        if name in reserved:
            yield (*here, "basic_auth", "user_header"), f"header {name!r} is the gateway's own"
        if route.require_token and settings.jwt is not None and settings.jwt.header.lower() == "authorization":
            yield (*here, "basic_auth"), "`require_token` wants a token in Authorization, where the password is"
    if forward is None:
        return
    place: Location = (*here, "forward_auth")
    given = {name.lower() for name in forward.response_headers}
    for name in sorted(reserved & given):
        yield (*place, "response_headers"), f"header {name!r} is the gateway's own: lanes mark requests"
    if basic is not None and basic.user_header.lower() in given:
        yield (*place, "response_headers"), f"header {basic.user_header.lower()!r} is set by `basic_auth`"
    for name in () if forward.is_secured else ("ca", "cert", "server_name"):
        if getattr(forward, name) is not None:
            yield (*place, name), "has no effect: only an https `url` uses TLS"


def _compressed(here: Location, compress: CompressSettings) -> Iterator[Finding]:
    for name, values in (("codings", compress.codings), ("types", compress.types)):
        for location, message in given_twice(name, values):
            yield (*here, *location), message


def _ids(here: Location, changes: HeaderChanges) -> Iterator[Finding]:
    ids = {field.name.decode() for field in ID_FIELDS}
    for kind in ("set", "add"):
        for name in getattr(changes, kind):
            if name.lower() in ids:
                what = f"header '{name}' is an id by which sidecars remember requests"
                yield (*here, kind, name), f"{what}: with a fixed value all would have the same"


def _cors(here: Location, route: RouteSettings, cors: CorsSettings) -> Iterator[Finding]:
    """Browsers refuse a response that has a field of the policy twice."""
    if cors.credentials and "*" in cors.expose:
        yield (*here, "cors", "expose"), "with `credentials`, browsers take `*` for a name: name the fields"
    from gateway.routing.cors import OWN  # noqa: PLC0415  only routes with a policy have a use for it

    changes, respond = route.response_headers, route.respond
    given: list[Location] = []
    if changes is not None:
        given += [("response_headers", kind, name) for kind in ("set", "add") for name in getattr(changes, kind)]
    if respond is not None:
        given += [("respond", "headers", name) for name in respond.headers]
    for place in given:
        if str(place[-1]).lower().encode() in OWN.names:
            yield (*here, *place), "`cors` of the route says that already"


def _without_effect(here: Location, route: RouteSettings, body_rate: int) -> Iterator[Finding]:
    if route.service is None:
        kind = "respond" if route.respond is not None else "redirect"
        for name in _FORWARDED:
            if has_been_set(route, name):
                yield (*here, name), f"has no effect: a route with `{kind}` forwards nothing"
        respond = route.respond
        if respond is not None and respond.status in (204, 205, 304) and respond.body:
            yield (*here, "respond", "body"), f"a response of {respond.status} has no body (RFC 9110 §6.4.1)"
        return
    timeouts = route.timeouts
    if timeouts is not None and timeouts.body_grace is not None and not body_rate:
        yield (*here, "timeouts", "body_grace"), "has no effect with `limits.body_rate: 0`"
    if route.strip_prefix and route.path == "/":
        yield (*here, "strip_prefix"), "the path '/' has no prefix to strip"
    elif has_been_set(route, "restore_prefix") and not route.moves_prefix:
        yield (*here, "restore_prefix"), "has no effect without `strip_prefix: true` or `rewrite.prefix`"


def _patterns(here: Location, match: RouteMatchSettings) -> Iterator[Finding]:
    from gateway.rules.expressions import check_pattern  # noqa: PLC0415  a sidecar has no use for it

    for kind, values in (("headers", match.headers), ("params", match.params)):
        for name, value in values.items():
            if isinstance(value, RegexSettings):
                try:
                    check_pattern(value.regex)
                except ValueError as error:
                    yield (*here, kind, name, "regex"), str(error)
            elif kind == "headers" and value != value.strip(" \t"):
                yield (*here, kind, name), f"no value of a header has white space around it: {value!r}"


def _rewrite(here: Location, route: RouteSettings) -> Iterator[Finding]:
    rewrite = route.rewrite
    if rewrite is None or rewrite.regex is None or rewrite.to is None:
        return
    from gateway.routing.rewrites import RegexChange  # noqa: PLC0415
    from gateway.rules.expressions import check_pattern  # noqa: PLC0415

    try:
        check_pattern(rewrite.regex)
    except ValueError as error:
        yield (*here, "rewrite", "regex"), str(error)
        return
    try:
        RegexChange(rewrite.regex, rewrite.to)
    except ValueError as error:
        yield (*here, "rewrite", "to"), str(error)


def _services(settings: GatewaySettings) -> Iterator[Finding]:
    wanted = sorted({route.service for route in settings.routes if route.service is not None})
    for name in settings.services:
        if wanted and settings.gateway_api is None and name not in wanted:
            close = closest(name, wanted)
            hint = f"; did you mean '{close[0]}'?" if close else f" (they lead to: {', '.join(wanted)})"
            yield ("services", name), f"no route leads to a service '{name}'{hint}"
