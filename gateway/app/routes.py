"""From settings to routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter

from gateway.http.compression import Compression
from gateway.http.edits import HeaderEdit
from gateway.http.target import PathChange
from gateway.routing.access import AccessList
from gateway.routing.conditions import RouteTest, ValueTest
from gateway.routing.cors import OWN, Cors
from gateway.routing.gate import Gate
from gateway.routing.patience import Patience, Timeouts
from gateway.routing.plans import NO_ROUTES, RouteSet, make_route
from gateway.routing.questions import Question
from gateway.routing.ratelimit import RateLimit, RateLimits
from gateway.routing.redirect import SAME, Redirect
from gateway.routing.replies import RouteResponse
from gateway.routing.rewrites import RegexChange
from gateway.routing.routes import Route, RouteTable
from gateway.rules.fields import Claims
from gateway.settings import ServingSettings
from gateway.settings.changes import (
    HeaderChanges,
    RedirectSettings,
    RegexSettings,
    RewriteSettings,
    RouteMatchSettings,
)
from gateway.settings.gates import AccessSettings, CompressSettings, CorsSettings, RateLimitSettings
from gateway.settings.plane import TimeoutSettings
from gateway.settings.routes import RespondSettings, RouteSettings


def make_routes(
    settings: ServingSettings,
    claims: Claims,
    attached: RouteSet = NO_ROUTES,
    questions: Sequence[Sequence[Question]] = (),
) -> RouteTable:
    """The route table that the settings describe, with what is attached from elsewhere. `claims` reads requests' tokens.

    `questions` are those of each route; there have to be some if a route of the settings asks any.
    """
    everywhere = () if settings.served_clients is None else (_access(settings.served_clients),)
    gate = Gate(everywhere) if everywhere else None
    routes = [
        _make_route(route, _gate(route, everywhere, claims, questions[number] if route.asks else ()), settings.timeouts)
        for number, route in enumerate(settings.served_routes)
    ]
    routes += [make_route(plan, gate) for plan in attached.plans]
    return RouteTable(routes, attached.bounds)


def _make_route(route: RouteSettings, gate: Gate | None, timeouts: TimeoutSettings) -> Route:
    edit = None if route.response_headers is None else _edit(route.response_headers)
    return Route(
        route.path,
        route.service or "",
        strip_prefix=route.strip_prefix,
        host=route.host or "",
        response=None if route.respond is None else _response(route.respond),
        inspect_body=route.inspect_body,
        restore_prefix=route.restore_prefix,
        is_exact=route.match is not None and route.match.exact,
        test=None if route.match is None else _test(route.match),
        redirect=None if route.redirect is None else _redirect(route.redirect),
        new_host="" if route.rewrite is None else route.rewrite.host or "",
        new_path=None if route.rewrite is None else _new_path(route.rewrite),
        request_edit=None if route.request_headers is None else _edit(route.request_headers),
        response_edit=edit if route.cors is None else OWN.then(edit),
        compression=None if route.compress is None else _compression(route.compress),
        gate=gate,
        patience=_patience(route, timeouts),
    )


def _gate(
    route: RouteSettings, everywhere: tuple[AccessList, ...], claims: Claims, questions: Sequence[Question]
) -> Gate | None:
    access = everywhere if route.access is None else (*everywhere, _access(route.access))
    if not (access or route.cors or route.rate_limits or route.require_token or questions):
        return None
    cors = None if route.cors is None else _cors(route.cors)
    return Gate(access, cors, _limits(route.rate_limits), claims if route.require_token else None, questions)


def _compression(compress: CompressSettings) -> Compression:
    return Compression(compress.codings, compress.types, compress.min_bytes)


def _patience(route: RouteSettings, timeouts: TimeoutSettings) -> Patience | None:
    if route.timeouts is None and route.retries is None:
        return None
    own = {} if route.timeouts is None else route.timeouts.model_dump(exclude_none=True)
    told = {f"timeouts.{name}": value for name, value in own.items()}
    attempts = 0
    if route.retries is not None:
        attempts = told["retries.attempts"] = route.retries.attempts
    return Patience(Timeouts(**timeouts.model_dump() | own), attempts, told)


def _access(access: AccessSettings) -> AccessList:
    return AccessList(access.allow, access.deny)


def _cors(cors: CorsSettings) -> Cors:
    return Cors(
        cors.origins,
        cors.methods,
        headers=cors.headers,
        exposed=cors.expose,
        credentials=cors.credentials,
        max_age=int(cors.max_age),
    )


def _limits(limits: Sequence[RateLimitSettings]) -> RateLimits | None:
    if not limits:
        return None
    made: list[RateLimit] = []
    for limit in limits:
        by = limit.by.key
        same = sum(other.by.key[0] == by[0] for other in limits[: len(made)])
        # What clients read: not the name of the header or cookie.
        name = f"{by[0]}-{same + 1}" if same else by[0]
        made.append(RateLimit(name, limit.rate, limit.per, limit.burst or limit.rate, by, perf_counter))
    return RateLimits(made)


def _response(respond: RespondSettings) -> RouteResponse:
    return RouteResponse(respond.status, respond.body.encode(), respond.headers)


def _test(match: RouteMatchSettings) -> RouteTest | None:
    if not (match.method or match.headers or match.params):
        return None
    return RouteTest(match.method or "", _values(match.headers), _values(match.params))


def _values(values: Mapping[str, str | RegexSettings]) -> list[ValueTest]:
    return [
        ValueTest(name, value.regex, True) if isinstance(value, RegexSettings) else ValueTest(name, value)
        for name, value in values.items()
    ]


def _redirect(redirect: RedirectSettings) -> Redirect:
    # A port that is not said is that of the scheme, if anything is said of the address at all.
    port = redirect.port or (0 if redirect.scheme or redirect.host else SAME)
    return Redirect(
        redirect.status, redirect.scheme or "", redirect.host or "", port, _path(redirect.path, redirect.prefix)
    )


def _new_path(rewrite: RewriteSettings) -> PathChange | None:
    if rewrite.regex is None or rewrite.to is None:
        return _path(rewrite.path, rewrite.prefix)
    return RegexChange(rewrite.regex, rewrite.to)


def _path(whole: str | None, prefix: str | None) -> PathChange | None:
    if whole is None and prefix is None:
        return None
    return PathChange((whole or prefix or "").encode("ascii"), whole is not None)


def _edit(changes: HeaderChanges) -> HeaderEdit:
    return HeaderEdit([*changes.set.items()], [*changes.add.items()], changes.remove)
