"""From the rules of an HTTPRoute to route plans, and what is wrong with them. Pure.

https://gateway-api.sigs.k8s.io/api-types/httproute/
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import ProtocolError
from gateway.gatewayapi.objects import HTTPRoute, ServicePort
from gateway.gatewayapi.world import Here, World
from gateway.http.target import match_path
from gateway.kubernetes.client import Object
from gateway.protocols import is_spoken
from gateway.routing.plans import BackendPlan, EditPlan, PathPlan, RedirectPlan, RoutePlan, ValuePlan
from gateway.rules.expressions import check_pattern
from gateway.settings.changes import OURS
from gateway.tags import BASE, INVALID

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(r"[\t -~\x80-\xff]*")
_NOT_SERVED: Final = ("timeouts", "retry", "sessionPersistence")
"""What a rule may have that is not done: better refused than left out."""


class Unsupported(Exception):
    """A rule wants something that is not done here. `reason` is the API's word."""

    def __init__(self, message: str, reason: str = "UnsupportedValue") -> None:
        self.reason = reason
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class BadRef:
    """A reference that leads nowhere. `reason` is the API's word."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What became of a rule: plans without hosts, one a match; or `error`. `refs` are its references that lead nowhere."""

    plans: tuple[RoutePlan, ...] = ()
    refs: tuple[BadRef, ...] = ()
    error: Unsupported | None = None


def read_rule(route: HTTPRoute, number: int, world: World, here: Here, port: int) -> RuleResult:
    """Reads one rule. `port` is that of the listener, for redirects."""
    rule = route.rules[number]
    refs: list[BadRef] = []
    try:
        missing = [key for key in _NOT_SERVED if rule.get(key)]
        if missing:
            raise Unsupported(f"{missing[0]} is not supported")
        filters = _Filters(_dicts(rule.get("filters")), port, here.reserved)
        backends = tuple(_backend(ref, route, world, here, refs) for ref in _dicts(rule.get("backendRefs")))
        if filters.redirect is not None and filters.rewrites:
            raise Unsupported("RequestRedirect and URLRewrite exclude each other", "IncompatibleFilters")
        matches = _dicts(rule.get("matches")) or [{}]
        name = rule.get("name")
        plans = tuple(
            RoutePlan(
                source=f"{route.meta}[{name if isinstance(name, str) and name else number}]",
                **_match(match),
                backends=backends,
                redirect=filters.redirect,
                request=filters.request,
                response=filters.response,
                new_host=filters.new_host,
                new_path=filters.new_path,
                split_by=here.split_by,
                salt=str(route.meta),
            )
            for match in matches
        )
        if any(plan.is_exact and _replaces_prefix(filters) for plan in plans):
            raise Unsupported("ReplacePrefixMatch needs a match of type PathPrefix")
    except Unsupported as error:
        return RuleResult((), tuple(refs), error)
    return RuleResult(plans, tuple(refs))


def precedence(plan: RoutePlan, route: HTTPRoute, rule: int, match: int) -> tuple[Any, ...]:
    """The order of plans with the same host and path: the first one that takes a request wins."""
    meta = route.meta
    return (
        not plan.method,
        -len(plan.headers),
        -len(plan.params),
        meta.created,
        meta.namespace,
        meta.name,
        rule,
        match,
    )


# --- matches


def _match(match: Object) -> dict[str, Any]:
    path = _dict(match.get("path"))
    kind, value = path.get("type", "PathPrefix"), path.get("value", "/")
    if kind not in ("Exact", "PathPrefix"):
        raise Unsupported(f"a path match of type {kind} is not supported: Exact and PathPrefix are")
    try:
        normal = match_path(str(value).encode("ascii"))
    except (UnicodeEncodeError, ProtocolError) as error:
        raise Unsupported(f"no request can have the path {value!r}") from error
    method = match.get("method")
    return {
        "path": normal if kind == "Exact" else normal.rstrip("/") or "/",
        "is_exact": kind == "Exact",
        "method": method if isinstance(method, str) else "",
        "headers": _values(match.get("headers"), "header", folds=True),
        "params": _values(match.get("queryParams"), "query parameter", folds=False),
    }


def _values(items: Any, what: str, *, folds: bool) -> tuple[ValuePlan, ...]:
    """Of several for one name, the first one counts: so the API has it."""
    found: dict[str, ValuePlan] = {}
    for item in _dicts(items):
        name, value, kind = str(item.get("name", "")), str(item.get("value", "")), item.get("type", "Exact")
        if kind not in ("Exact", "RegularExpression"):
            raise Unsupported(f"a match of type {kind} for {what} {name} is not supported")
        if kind == "RegularExpression":
            try:
                check_pattern(value)
            except ValueError as error:
                raise Unsupported(f"{what} {name}: {error}") from error
        key = name.lower() if folds else name
        found.setdefault(key, ValuePlan(key, value, kind != "Exact"))
    return tuple(found.values())


# --- filters


class _Filters:
    """The filters of a rule. Raises Unsupported."""

    def __init__(self, filters: Sequence[Object], port: int, reserved: frozenset[str]) -> None:
        self.request: EditPlan | None = None
        self.response: EditPlan | None = None
        self.redirect: RedirectPlan | None = None
        self.new_host = ""
        self.new_path: PathPlan | None = None
        for item in filters:
            kind = item.get("type")
            if kind == "RequestHeaderModifier":
                self.request = _edit(_dict(item.get("requestHeaderModifier")), reserved)
            elif kind == "ResponseHeaderModifier":
                self.response = _edit(_dict(item.get("responseHeaderModifier")), reserved)
            elif kind == "RequestRedirect":
                self.redirect = _redirect(_dict(item.get("requestRedirect")), port)
            elif kind == "URLRewrite":
                rewrite = _dict(item.get("urlRewrite"))
                self.new_host = str(rewrite.get("hostname") or "")
                self.new_path = _path(rewrite.get("path"))
            else:
                raise Unsupported(f"the filter {kind} is not supported")

    @property
    def rewrites(self) -> bool:
        """Whether the service sees another URL."""
        return bool(self.new_host) or self.new_path is not None


def _replaces_prefix(filters: _Filters) -> bool:
    paths = (filters.new_path, None if filters.redirect is None else filters.redirect.path)
    return any(path is not None and not path.is_whole for path in paths)


def _edit(modifier: Object, reserved: frozenset[str]) -> EditPlan:
    pairs = {
        key: tuple((str(item.get("name", "")), str(item.get("value", ""))) for item in _dicts(modifier.get(key)))
        for key in ("set", "add")
    }
    remove = tuple(str(name) for name in modifier.get("remove") or ())
    for name in (*remove, *(name for several in pairs.values() for name, _ in several)):
        if _TOKEN.fullmatch(name) is None:
            raise Unsupported(f"{name!r} is not the name of a header")
        if name.lower() in OURS or name.lower() in reserved:
            raise Unsupported(f"filters cannot change the header {name}")
    for name, value in (*pairs["set"], *pairs["add"]):
        if _VALUE.fullmatch(value) is None:
            raise Unsupported(f"the value of header {name} has a character that no field has")
    return EditPlan(pairs["set"], pairs["add"], remove)


def _redirect(redirect: Object, port: int) -> RedirectPlan:
    scheme = redirect.get("scheme") or ""
    if scheme not in ("", "http", "https"):
        raise Unsupported(f"a redirect to the scheme {scheme} is not supported")
    # Nothing said: that of the scheme if there is one, else of the listener.
    chosen = redirect.get("port") or (0 if scheme else port)
    path = _path(redirect.get("path"))
    return RedirectPlan(redirect.get("statusCode") or 302, scheme, str(redirect.get("hostname") or ""), chosen, path)


def _path(change: Any) -> PathPlan | None:
    if not isinstance(change, dict):
        return None
    is_whole = change.get("type") == "ReplaceFullPath"
    value = str(change.get("replaceFullPath" if is_whole else "replacePrefixMatch") or "")
    if value and match_path_or_none(value) is None:
        raise Unsupported(f"{value!r} cannot be a path")
    return PathPlan(value, is_whole)


def match_path_or_none(value: str) -> str | None:
    """The path as it is matched; None if it is none that is safe to send."""
    try:
        return match_path(value.encode("ascii")) if re.fullmatch(r"/[!-~]*", value) and "?" not in value else None
    except ProtocolError:
        return None


# --- backends


def _backend(ref: Object, route: HTTPRoute, world: World, here: Here, refs: list[BadRef]) -> BackendPlan:
    """A backend; with a problem, which is noted, if its reference leads nowhere."""
    weight = ref.get("weight")
    weight = weight if isinstance(weight, int) and not isinstance(weight, bool) else 1
    filters = _Filters(_dicts(ref.get("filters")), 0, here.reserved)
    if filters.redirect is not None or filters.rewrites:
        raise Unsupported("of the filters of a backendRef, only those that change headers are supported")
    namespace, name = str(ref.get("namespace") or route.meta.namespace), str(ref.get("name") or "")
    found = _resolve(ref, namespace, name, route, world, here)
    if isinstance(found, BadRef):
        refs.append(found)
        return BackendPlan("", weight, "", found.message)
    service, tag = found
    return BackendPlan(service, weight, "" if tag == BASE else tag, "", filters.request, filters.response)


def _resolve(
    ref: Object, namespace: str, name: str, route: HTTPRoute, world: World, here: Here
) -> BadRef | tuple[str, str]:
    """What the registry calls the Service, and its tag."""
    group, kind, port = ref.get("group") or "", ref.get("kind") or "Service", ref.get("port")
    if (group, kind) != ("", "Service"):
        return BadRef("InvalidKind", f"backendRef {name}: only Services are supported, not {kind}")
    if not world.allows(route, namespace, name):
        message = (
            f"no ReferenceGrant in namespace {namespace} allows HTTPRoutes of {route.meta.namespace} to use {name}"
        )
        return BadRef("RefNotPermitted", message)
    if namespace != here.namespace and not here.sees_all:
        message = f"Service {namespace}/{name}: the gateway sees namespace {here.namespace} only (all_namespaces)"
        return BadRef("BackendNotFound", message)
    service = world.services.get((namespace, name))
    if service is None:
        return BadRef("BackendNotFound", f"there is no Service {namespace}/{name}")
    if service.kind == "ExternalName":
        return BadRef("UnsupportedValue", f"Service {namespace}/{name} is of type ExternalName")
    found = service.ports.get(port) if isinstance(port, int) else None
    if found is None or found.protocol != "TCP":
        return BadRef("BackendNotFound", f"Service {namespace}/{name} has no port {port}")
    if not is_spoken(found.application):
        message = f"port {port} of Service {namespace}/{name} speaks {found.application}"
        return BadRef("UnsupportedProtocol", message)
    tag = here.tags.tag_of(service.marks)
    if tag == INVALID:
        return BadRef("InvalidTag", f"what marks Service {namespace}/{name} is not a tag")
    called = name if namespace == here.services else f"{name}.{namespace}"
    return called + _port_suffix(found, service.ports.values()), tag


def _port_suffix(port: ServicePort, ports: Any) -> str:
    """What tells the registry which port is meant, where it would not know."""
    several = [item for item in ports if item.protocol == "TCP"]
    return f":{port.name}" if len(several) > 1 and port.name != "http" else ""


def _dict(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
