"""Routes as a control plane describes them: plain values, which can be sent to other processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.http.edits import HeaderEdit
from gateway.http.target import PathChange
from gateway.routing.conditions import RouteTest, ValueTest
from gateway.routing.gate import Gate
from gateway.routing.redirect import Redirect
from gateway.routing.routes import Route
from gateway.routing.split import Backend, Split


@dataclass(frozen=True, slots=True)
class ValuePlan:
    """A header field or a query parameter that must be there with a value, or match a regular expression."""

    name: str
    value: str
    is_pattern: bool = False


@dataclass(frozen=True, slots=True)
class EditPlan:
    """What happens to the fields of a message: some are replaced, others added, others removed."""

    put: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BackendPlan:
    """One of the services of a route. `tag` marks what goes there; `problem` says why nothing can go there, if so."""

    service: str
    weight: int = 1
    tag: str = ""
    problem: str = ""
    request: EditPlan | None = None
    response: EditPlan | None = None


@dataclass(frozen=True, slots=True)
class PathPlan:
    """Another path: a whole one, or one in place of the route's prefix."""

    value: str
    is_whole: bool


@dataclass(frozen=True, slots=True)
class RedirectPlan:
    """Where clients are sent. What is empty stays as requested; `port` 0 is the scheme's."""

    status: int
    scheme: str = ""
    host: str = ""
    port: int = 0
    path: PathPlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePlan:
    """Requests for `host` (empty: any; `*.example.com`: all below it) at `path` or below it, or exactly there.

    `source` says where the route comes from. `split_by` is the source and the name of what keeps a client with its backend,
    None if nothing does; `salt` tells one route's shares from another's.
    """

    source: str
    host: str = ""
    path: str = "/"
    is_exact: bool = False
    method: str = ""
    headers: tuple[ValuePlan, ...] = ()
    params: tuple[ValuePlan, ...] = ()
    backends: tuple[BackendPlan, ...] = ()
    redirect: RedirectPlan | None = None
    request: EditPlan | None = None
    response: EditPlan | None = None
    new_host: str = ""
    new_path: PathPlan | None = None
    split_by: tuple[str, str] | None = None
    salt: str = ""

    @property
    def services(self) -> set[str]:
        """The services that requests may be sent to."""
        return {backend.service for backend in self.backends if backend.service and not backend.problem}


@dataclass(frozen=True, slots=True)
class RouteSet:
    """Routes that are attached from elsewhere, in the order in which they are tried.

    `bounds` are hosts beyond which nothing is looked for: a request for one of them (`*.example.com`: for one below it) goes by
    routes for this host or a closer one, and else by routes of the configuration.
    """

    plans: tuple[RoutePlan, ...] = ()
    bounds: tuple[str, ...] = ()

    @property
    def services(self) -> set[str]:
        """The services that requests may be sent to."""
        return {service for plan in self.plans for service in plan.services}


NO_ROUTES: Final = RouteSet()


def make_route(plan: RoutePlan, gate: Gate | None = None) -> Route:
    """The route of a plan. `gate` is what its requests must pass first.

    Raises `re2.error` for a pattern that is none: whoever makes plans has checked them.
    """
    backends = [
        Backend(
            item.service,
            item.weight,
            item.tag,
            item.problem,
            request_edit=_both(plan.request, item.request),
            response_edit=_both(plan.response, item.response),
        )
        for item in plan.backends
    ]
    return Route(
        plan.path,
        next((item.service for item in plan.backends if item.service), ""),
        host=plan.host,
        source=plan.source,
        is_exact=plan.is_exact,
        test=_test(plan),
        split=None if plan.redirect is not None else Split(backends, plan.split_by, plan.salt),
        redirect=None if plan.redirect is None else _redirect(plan.redirect),
        new_host=plan.new_host,
        new_path=_path(plan.new_path),
        restore_prefix=False,
        gate=gate,
    )


def _test(plan: RoutePlan) -> RouteTest | None:
    if not (plan.method or plan.headers or plan.params):
        return None
    headers = [ValueTest(item.name, item.value, item.is_pattern) for item in plan.headers]
    params = [ValueTest(item.name, item.value, item.is_pattern) for item in plan.params]
    return RouteTest(plan.method, headers, params)


def _redirect(plan: RedirectPlan) -> Redirect:
    return Redirect(plan.status, plan.scheme, plan.host, plan.port, _path(plan.path))


def _path(plan: PathPlan | None) -> PathChange | None:
    return None if plan is None else PathChange(plan.value.encode("ascii"), plan.is_whole)


def _both(of_route: EditPlan | None, of_backend: EditPlan | None) -> HeaderEdit | None:
    """What a route changes, and then one of its backends."""
    if of_route is None:
        return _edit(of_backend)
    return HeaderEdit(of_route.put, of_route.add, of_route.remove).then(_edit(of_backend))


def _edit(plan: EditPlan | None) -> HeaderEdit | None:
    return None if plan is None else HeaderEdit(plan.put, plan.add, plan.remove)
