"""The part of the admin API that changes rules: lanes, history, and what a draft would do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Protocol

from aiohttp import web

from gateway.admin.problems import problem
from gateway.control.edit import AlreadyThere, Change, LaneEditor, LaneView, NotInForce, NotThere, Outdated, Refused
from gateway.control.history import History
from gateway.control.whatif import Comparison
from gateway.errors import ConfigError, GatewayError, RegistryError
from gateway.registry.documents import ConflictError

_Handler = Callable[[web.Request], Awaitable[web.Response]]
MAX_BODY = 64 * 1024 * 1024
"""Bytes of a request: recorded requests for a what-if are many."""


class Draft(Protocol):
    """Says what a draft would do."""

    def __call__(self, rules: str, requests: list[Any], last: int) -> Comparison:
        """Compares the rules in force with a draft (YAML) over requests, and the last so many of the access log.

        Raises ConfigError.
        """
        ...


class RulesApi:
    """Handlers over an editor, a history and a draft."""

    def __init__(self, editor: LaneEditor, history: History, draft: Draft) -> None:
        self._editor = editor
        self._history = history
        self._draft = draft

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        lane = "/api/v1/groups/{group}/lanes/{lane}"
        return [
            web.get(lane, self._failing(self._get)),
            web.get("/api/v1/groups/{group}/lanes", self._failing(self._list)),
            web.post("/api/v1/groups/{group}/lanes", self._failing(self._create)),
            web.put(lane, self._failing(self._replace)),
            web.patch(lane, self._failing(self._patch)),
            web.delete(lane, self._failing(self._delete)),
            web.post(lane + "/enable", self._failing(self._enable)),
            web.post(lane + "/disable", self._failing(self._disable)),
            web.get("/api/v1/history", self._failing(self._list_history)),
            web.get("/api/v1/history/{revision}", self._failing(self._get_revision)),
            web.post("/api/v1/history/{revision}/rollback", self._failing(self._roll_back)),
            web.post("/api/v1/whatif", self._failing(self._what_if)),
        ]

    def _failing(self, handler: _Handler) -> _Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except NotThere as error:
                return problem(404, "not_found", str(error))
            except AlreadyThere as error:
                return problem(409, "already_there", str(error))
            except NotInForce as error:
                return problem(409, "not_in_force", str(error))
            except (Outdated, ConflictError) as error:
                return problem(412, "outdated", str(error))
            except Refused as error:
                errors = [{"field": field, "detail": detail} for field, detail in error.errors]
                return problem(422, "bad_lane", str(error), errors=errors)
            except ConfigError as error:
                errors = [asdict(item) for item in error.problems]
                return problem(422, "bad_rules", str(error), errors=errors)
            except RegistryError as error:
                return problem(502, "source_unavailable", f"the change is not made: {error}")
            except (GatewayError, OSError) as error:
                return problem(500, "not_written", f"the change is not made: {error}")
            except json.JSONDecodeError as error:
                return problem(400, "bad_json", f"the body is not JSON: {error}")
            except (ValueError, TypeError) as error:
                return problem(400, "bad_request", str(error))

        return handle

    async def _list(self, request: web.Request) -> web.Response:
        views = self._editor.views(request.match_info["group"])
        return web.json_response({"lanes": [{**_described(view), "etag": f'"{view.etag}"'} for view in views]})

    async def _get(self, request: web.Request) -> web.Response:
        return _lane_answer(self._editor.view(*_names(request)))

    async def _create(self, request: web.Request) -> web.Response:
        data = await _lane_of(request)
        change = await self._editor.create(request.match_info["group"], data, _author(request), _is_dry(request))
        answer = _change_answer(change, request, 200 if _is_dry(request) else 201)
        if change.lane is not None:
            answer.headers["Location"] = f"/api/v1/groups/{change.lane.group}/lanes/{change.lane.name}"
        return answer

    async def _replace(self, request: web.Request) -> web.Response:
        data = await _lane_of(request)
        change = await self._editor.replace(
            *_names(request), data, _if_match(request), _author(request), _is_dry(request)
        )
        return _change_answer(change, request)

    async def _patch(self, request: web.Request) -> web.Response:
        data = await _lane_of(request)
        change = await self._editor.patch(
            *_names(request), data, _if_match(request), _author(request), _is_dry(request)
        )
        return _change_answer(change, request)

    async def _delete(self, request: web.Request) -> web.Response:
        change = await self._editor.delete(*_names(request), _if_match(request), _author(request), _is_dry(request))
        return _change_answer(change, request)

    async def _enable(self, request: web.Request) -> web.Response:
        return await self._switch(request, True)

    async def _disable(self, request: web.Request) -> web.Response:
        return await self._switch(request, False)

    async def _switch(self, request: web.Request, enabled: bool) -> web.Response:
        change = await self._editor.patch(
            *_names(request),
            {"enabled": enabled},
            _if_match(request),
            _author(request),
            _is_dry(request),
            "enabled" if enabled else "disabled",
        )
        return _change_answer(change, request)

    async def _list_history(self, _: web.Request) -> web.Response:
        revisions = [
            {"revision": item.number, "at": item.at, "author": item.author or None, "cause": item.cause}
            for item in self._history.revisions()
        ]
        return web.json_response({"revisions": revisions})

    async def _get_revision(self, request: web.Request) -> web.Response:
        found = self._history.get(int(request.match_info["revision"]))
        if found is None:
            raise NotThere(f"revision {request.match_info['revision']} is not kept")
        return web.json_response(
            {
                "revision": found.number,
                "at": found.at,
                "author": found.author or None,
                "cause": found.cause,
                "files": dict(found.files),
            }
        )

    async def _roll_back(self, request: web.Request) -> web.Response:
        found = self._history.get(int(request.match_info["revision"]))
        if found is None:
            raise NotThere(f"revision {request.match_info['revision']} is not kept")
        cause = f"rolled back to revision {found.number}"
        change = await self._editor.roll_back(found.files, cause, _author(request), _is_dry(request))
        return _change_answer(change, request)

    async def _what_if(self, request: web.Request) -> web.Response:
        body = await request.json()
        expected = 'expected {"rules": "lane_groups: …", "requests": [{"url": "/A/a"}], "last": 1000}'
        if not isinstance(body, dict) or not isinstance(body.get("rules"), str):
            raise TypeError(f"{expected}: `rules` is YAML")
        unknown = set(body) - {"rules", "requests", "last"}
        if unknown:
            raise ValueError(f"{expected}: unknown key {min(unknown)!r}")
        requests = body.get("requests", [])
        if not isinstance(requests, list):
            raise TypeError(f"{expected}: `requests` is a list")
        # In a thread: requests go on while a million records are looked at.
        found = await asyncio.to_thread(self._draft, body["rules"], requests, int(body.get("last", 0)))
        return web.json_response(found.as_dict())


def _names(request: web.Request) -> tuple[str, str]:
    return request.match_info["group"], request.match_info["lane"]


async def _lane_of(request: web.Request) -> dict[str, Any]:
    data = await request.json()
    if not isinstance(data, dict):
        raise TypeError(
            'expected a lane: {"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}]}'
        )
    return data


def _if_match(request: web.Request) -> str:
    """The ETag that the caller wants to find; empty where any will do (RFC 9110 §13.1.1)."""
    value = request.headers.get("If-Match", "").strip()
    return "" if value == "*" else value.removeprefix("W/").strip('"')


def _author(request: web.Request) -> str:
    return request.headers.get("X-Author", "")[:200]


def _is_dry(request: web.Request) -> bool:
    value = request.query.get("dry_run", "false")
    if value not in ("true", "false"):
        raise ValueError(f"dry_run is true or false, not {value!r}")
    return value == "true"


def _lane_answer(lane: LaneView) -> web.Response:
    return web.json_response(_described(lane), headers={"ETag": f'"{lane.etag}"'})


def _described(lane: LaneView) -> dict[str, Any]:
    return {"group": lane.group, "lane": dict(lane.data), "file": lane.file, "line": lane.line}


def _change_answer(change: Change, request: web.Request, status: int = 200) -> web.Response:
    body: dict[str, Any] = {"revision": change.revision, "dry_run": _is_dry(request), "diff": change.diff}
    headers = {}
    if change.lane is not None:
        body |= {"group": change.lane.group, "lane": dict(change.lane.data)}
        headers["ETag"] = f'"{change.lane.etag}"'
    return web.json_response(body, status=status, headers=headers)
