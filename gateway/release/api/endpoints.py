"""Every endpoint: one entry in one table, from which the routes and the OpenAPI page are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from gateway.errors import GatewayError
from gateway.release.actions import Actions
from gateway.release.api import bodies
from gateway.release.api.events import Events
from gateway.release.api.reading import actor_of, checked
from gateway.release.api.responses import created, log_piece, order_response, revision_of
from gateway.release.api.table import Endpoint
from gateway.release.ledger import NotThere
from gateway.release.order import Order
from gateway.release.plan import Wish
from gateway.release.service import Releases
from gateway.release.steps.commands import command_of
from gateway.web.bodies import JSON, check_type, read_body
from gateway.web.openapi import openapi
from gateway.web.problems import Rejected, shown
from gateway.web.work import Work

MAX_BODY = 256 << 10
"""Bytes of a request."""
MOST = 1000
"""Orders, versions or lines that a response has."""

Do = Callable[[Actions, int, str, Any], Awaitable[Order]]


@dataclass(frozen=True, slots=True)
class _Call:
    """What a handler is told."""

    request: web.Request
    body: Any
    """A model, None if the endpoint takes no body."""

    users: Mapping[str, str]
    """Names and tokens."""

    @property
    def actor(self) -> str:
        """Who asks. Raises Rejected for nobody."""
        actor = actor_of(self.request, self.users)
        if not actor:
            raise Rejected(400, "no_actor", "say who you are: X-Author, or the token of a user")
        return actor

    @property
    def number(self) -> int:
        """The order's."""
        return int(self.request.match_info["order"])

    def query(self, name: str, default: int) -> int:
        """A whole number of the query. Raises Rejected."""
        text = self.request.query.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise Rejected(400, "bad_request", f"{name} is a whole number, not {shown(text)}")
        return int(text)


class Api:
    """The endpoints over what a release server does."""

    def __init__(self, releases: Releases, work: Work) -> None:
        self._releases = releases
        self._work = work
        self._events = Events(releases.store, releases.ledger)
        order = "/api/v1/orders/{order}"
        self.table: list[Endpoint] = [
            Endpoint(
                "GET",
                "/api/v1/apps",
                "list_apps",
                "Every application, and what of it runs where",
                self._apps,
                bodies.Apps,
            ),
            Endpoint(
                "GET",
                "/api/v1/environments",
                "list_environments",
                "Every environment",
                self._environments,
                bodies.Environments,
            ),
            Endpoint(
                "POST",
                "/api/v1/environments/{environment}/lock",
                "lock_environment",
                "Nobody begins an order on it",
                self._lock(True),
                bodies.Environments,
                bodies.Why,
            ),
            Endpoint(
                "POST",
                "/api/v1/environments/{environment}/unlock",
                "unlock_environment",
                "Orders begin on it again",
                self._lock(False),
                bodies.Environments,
                bodies.Why,
            ),
            Endpoint(
                "GET",
                "/api/v1/apps/{app}/{environment}/manifest",
                "get_manifest",
                "What was rendered for what runs",
                self._manifest,
                bodies.Manifest,
            ),
            Endpoint(
                "GET",
                "/api/v1/apps/{app}/{environment}/logs",
                "list_logs",
                "The logs of its instances, those that are gone included",
                self._list_logs,
                bodies.Logs,
            ),
            Endpoint(
                "GET",
                "/api/v1/apps/{app}/{environment}/logs/{log}",
                "get_log",
                "A log, from an offset on",
                self._log,
                bodies.LogBody,
                query=("offset",),
            ),
            Endpoint(
                "GET",
                "/api/v1/orders",
                "list_orders",
                "The newest orders",
                self._orders,
                bodies.Orders,
                query=("count",),
            ),
            Endpoint(
                "POST",
                "/api/v1/orders",
                "run_order",
                "Begins an order",
                self._run,
                bodies.OrderBody,
                bodies.NewOrder,
                status=201,
            ),
            Endpoint("GET", order, "get_order", "An order", self._order, bodies.OrderBody),
            Endpoint(
                "GET",
                order + "/tasks/{task}/log",
                "get_task_log",
                "What a command of an order says, from an offset on",
                self._task_log,
                bodies.LogBody,
                query=("offset",),
            ),
            self._action(
                order,
                "suspend",
                "Starts nothing new",
                bodies.Why,
                lambda do, n, by, body: do.suspend(n, by, body.reason),
            ),
            self._action(
                order, "resume", "Resumes the order", bodies.Why, lambda do, n, by, body: do.resume(n, by, body.reason)
            ),
            self._action(
                order,
                "retry",
                "Retries what failed",
                bodies.Why,
                lambda do, n, by, body: do.retry(n, by, body.reason),
            ),
            self._action(
                order, "skip", "Leaves out what failed", bodies.Why, lambda do, n, by, body: do.skip(n, by, body.reason)
            ),
            self._action(
                order, "approve", "Agrees", bodies.Why, lambda do, n, by, body: do.vote(n, by, body.reason, True)
            ),
            self._action(
                order, "refuse", "Disagrees", bodies.Why, lambda do, n, by, body: do.vote(n, by, body.reason, False)
            ),
            self._action(
                order,
                "promote",
                "Lets the next batch begin, or a pause end",
                bodies.Promote,
                lambda do, n, by, body: do.promote(n, by, body.reason, body.full),
            ),
            self._action(
                order,
                "abort",
                "Takes everything back",
                bodies.Abort,
                lambda do, n, by, body: do.abort(n, by, body.reason, body.keep),
            ),
            Endpoint(
                "POST",
                "/api/v1/undo",
                "undo",
                "Brings an earlier version back",
                self._undo,
                bodies.OrderBody,
                bodies.Undo,
                status=201,
            ),
            Endpoint(
                "GET",
                "/api/v1/history",
                "list_versions",
                "What ran where, the newest first",
                self._history,
                bodies.History,
                query=("app", "environment"),
            ),
            Endpoint(
                "GET",
                "/api/v1/audit",
                "list_audit",
                "Who did what, and why",
                self._audit,
                bodies.Audit,
                query=("after", "count", "order"),
            ),
        ]

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        found = [
            web.get("/livez", self._livez),
            web.get("/readyz", self._readyz),
            web.get("/openapi.json", self._openapi),
            web.get("/api/v1/events", self._events.serve),
        ]
        return [*found, *(web.route(item.method, item.route_path, self._handler(item)) for item in self.table)]

    def describe(self) -> dict[str, Any]:
        """The OpenAPI description of the table."""
        return openapi("gray-gateway release API", [item.operation() for item in self.table])

    def close(self) -> None:
        """Ends streams."""
        self._events.close()

    def _handler(self, item: Endpoint) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            check_type(request, JSON)
            content = await read_body(request, MAX_BODY)
            body = await self._work.json(content) if content else None
            found = None if item.takes is None else checked(item.takes, body)
            response: web.Response = await item.handler(_Call(request, found, self._releases.config.settings.users))
            return response

        return handle

    def _action(self, order: str, name: str, summary: str, takes: type[BaseModel], work: Do) -> Endpoint:
        async def handle(call: _Call) -> web.Response:
            number = call.number
            if number not in self._releases.ledger.active:
                await self._find(number)  # 404 for one that never was
                raise NotThere(f"order {number} has ended")
            do = self._releases.actions
            if_match = call.request.headers.get("If-Match", "*").strip()
            if if_match != "*":
                do = do.at(revision_of(if_match))
            return order_response(await work(do, number, call.actor, call.body))

        return Endpoint("POST", f"{order}/{name}", f"{name}_order", summary, handle, bodies.OrderBody, takes)

    async def _apps(self, _: _Call) -> web.Response:
        return web.json_response({"apps": await self._releases.describe_apps()})

    async def _environments(self, _: _Call) -> web.Response:
        return web.json_response({"environments": self._releases.describe_environments()})

    def _lock(self, locks: bool) -> Callable[[_Call], Awaitable[web.Response]]:
        async def handle(call: _Call) -> web.Response:
            name = call.request.match_info["environment"]
            if name not in self._releases.catalog().environments:
                raise NotThere(f"there is no environment {shown(name)}")
            do = self._releases.actions
            await (do.lock if locks else do.unlock)(name, call.actor, call.body.reason)
            return await self._environments(call)

        return handle

    async def _manifest(self, call: _Call) -> web.Response:
        place = call.request.match_info["environment"], call.request.match_info["app"]
        record = (await self._releases.current()).get(place)
        body = (
            {"version": None, "manifest": ""}
            if record is None
            else {"version": record.version, "manifest": record.manifest}
        )
        return web.json_response(body)

    async def _list_logs(self, call: _Call) -> web.Response:
        found = self._releases.logs(call.request.match_info["app"], call.request.match_info["environment"])
        return web.json_response({"logs": list(found)})

    async def _log(self, call: _Call) -> web.Response:
        info = call.request.match_info
        path = self._releases.logs(info["app"], info["environment"]).get(info["log"])
        if path is None:
            raise NotThere(f"there is no log {shown(info['log'])}")
        return log_piece(path, call.query("offset", 0))

    async def _task_log(self, call: _Call) -> web.Response:
        order = await self._find(call.number)
        task = order.find(call.request.match_info["task"])
        if task is None:
            raise NotThere(f"order {order.id} has no task {shown(call.request.match_info['task'])}")
        return log_piece(command_of(self._releases.runs, order, task).log, call.query("offset", 0))

    async def _orders(self, call: _Call) -> web.Response:
        found = await self._releases.store.orders(min(MOST, call.query("count", 20)))
        return web.json_response({"orders": [order.view() for order in found]})

    async def _order(self, call: _Call) -> web.Response:
        return order_response(await self._find(call.number))

    async def _run(self, call: _Call) -> web.Response:
        body: bodies.NewOrder = call.body
        images = {_image_of(name): reference for name, reference in body.images.items()}
        wish = Wish(body.apps, call.actor, body.reason, body.workflow, images, body.values)
        if body.dry_run:
            return order_response(await self._releases.plan(wish))
        return created(await self._releases.run(wish))

    async def _undo(self, call: _Call) -> web.Response:
        body: bodies.Undo = call.body
        return created(await self._releases.undo(body.app, body.environment, body.version, call.actor, body.reason))

    async def _history(self, call: _Call) -> web.Response:
        query = call.request.query
        records = await self._releases.store.versions(query.get("environment"), query.get("app"))
        hidden = ("manifest", "commands")
        rows = [{key: value for key, value in asdict(item).items() if key not in hidden} for item in records]
        return web.json_response({"versions": rows})

    async def _audit(self, call: _Call) -> web.Response:
        order = call.query("order", 0) or None
        lines = await self._releases.store.audit(call.query("after", 0), min(MOST, call.query("count", MOST)), order)
        return web.json_response({"lines": [line.body() for line in lines]})

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        try:
            await self._releases.store.audit(count=1)
        except GatewayError as error:
            return web.Response(status=503, text=f"not ready: {error}\n")
        return web.Response(text="ok\n")

    async def _openapi(self, _: web.Request) -> web.Response:
        return web.json_response(self.describe())

    async def _find(self, number: int) -> Order:
        order = self._releases.ledger.active.get(number) or await self._releases.store.order(number)
        if order is None:
            raise NotThere(f"there is no order {number}")
        return order


def _image_of(name: str) -> tuple[str | None, str]:
    app, dot, image = name.rpartition(".")
    return (app, image) if dot else (None, name)
