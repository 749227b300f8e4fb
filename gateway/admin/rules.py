"""The part of the admin API that changes rules: lanes, history, and what a draft would do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import wraps
from typing import Any, Final, Protocol
from urllib.parse import quote

from aiohttp import web

from gateway.admin.endpoints import WORK, BodyHandler, H
from gateway.admin.lanetext import YAML, lane_text
from gateway.errors import ConfigError, GatewayError, RegistryError
from gateway.printable import printable
from gateway.rules.ruleset import RuleSet
from gateway.rulesources.documents import ConflictError
from gateway.ruletools.edit import (
    AlreadyThere,
    Change,
    LaneEditor,
    LaneView,
    Misplaced,
    NotInForce,
    NotThere,
    Outdated,
    Refused,
)
from gateway.ruletools.history import History
from gateway.ruletools.whatif import Comparison
from gateway.web.bodies import JSON
from gateway.web.problems import Rejected, problem, shown

MAX_LANE: Final = 256 << 10
"""Bytes of a lane: one that names ten thousand users has 200 KiB, and a segment is for more."""
MOST_ERRORS: Final = 100
"""Problems that a response lists."""
MAX_DRAFT: Final = 4 << 20
"""Bytes of a draft and its requests, about 30,000. `gateway rules diff` takes any number."""
MAX_LAST: Final = 1_000_000
"""Lines of the access log that a what-if looks at."""
MERGE_PATCH: Final = JSON | {"application/merge-patch+json"}
"""RFC 7396 §4."""


class WhatIf(Protocol):
    """Says what a draft of rules would change."""

    def __call__(self, rules: str, requests: list[Any], last: int) -> Comparison:
        """Compares the rules in force with a draft (YAML) over requests, and the last so many of the access log.

        Raises ConfigError.
        """
        ...


class Reviewer(Protocol):
    """Says what there is to know of rules before they are put in force."""

    def __call__(self, rules: RuleSet) -> Callable[[], dict[str, Any]]:
        """Takes what there is to compare with now; the review itself, as plain values, is work for a thread."""
        ...


def telling(handler: Callable[[H, web.Request, Any], Awaitable[web.Response]]) -> BodyHandler[H]:
    """The handler; what it raises becomes a problem response (RFC 9457)."""

    @wraps(handler)
    async def handle(api: H, request: web.Request, body: Any) -> web.Response:
        try:
            return await handler(api, request, body)
        except NotThere as error:
            return problem(404, "not_found", str(error))
        except AlreadyThere as error:
            return problem(409, "already_there", str(error))
        except NotInForce as error:
            return problem(409, "not_in_force", str(error))
        except (Outdated, ConflictError) as error:
            return problem(412, "outdated", str(error))
        except Misplaced as error:
            return problem(422, "bad_revision", str(error))
        except Refused as error:
            several = [f"{field}: {detail}" if field else detail for field, detail in error.errors]
            errors = [{"field": field, "detail": detail} for field, detail in error.errors[:MOST_ERRORS]]
            return problem(422, "bad_lane", _summary(several, "; "), errors=errors)
        except ConfigError as error:
            errors = [asdict(item) for item in error.problems[:MOST_ERRORS]]
            return problem(422, "bad_rules", _summary(error.problems, "\n"), errors=errors)
        except RegistryError as error:
            return problem(502, "source_unavailable", f"the change was not made: {error}")
        except (GatewayError, OSError) as error:
            return problem(500, "not_written", f"the change was not made: {error}")

    return handle


class RulesApi:
    """Handlers over an editor, a history, what-ifs and reviews."""

    def __init__(self, editor: LaneEditor, history: History, what_if: WhatIf, review: Reviewer) -> None:
        self._editor = editor
        self._history = history
        self._what_if = what_if
        self._review = review

    @telling
    async def list_lanes(self, request: web.Request, _: Any) -> web.Response:
        """The lanes of a group."""
        views = self._editor.views(request.match_info["group"])
        return web.json_response({"lanes": [{**_described(view), "etag": f'"{view.etag}"'} for view in views]})

    @telling
    async def get(self, request: web.Request, _: Any) -> web.Response:
        """One lane; as a file of rules has it if YAML is asked for."""
        lane = self._editor.view(*_names(request))
        if YAML in request.headers.get("Accept", ""):
            headers = {"ETag": f'"{lane.etag}"'}
            return web.Response(text=lane_text(lane.data), content_type=YAML, headers=headers)
        return _lane_response(lane)

    @telling
    async def create(self, request: web.Request, body: Any) -> web.Response:
        """A new lane, after the others of its group."""
        data = _lane_of(body)
        change = await self._editor.create(request.match_info["group"], data, author_of(request), is_dry_run(request))
        response = await self._told(change, request, 200 if is_dry_run(request) else 201)
        if change.lane is not None:
            response.headers["Location"] = f"/api/v1/groups/{quote(change.lane.group)}/lanes/{quote(change.lane.name)}"
        return response

    @telling
    async def replace(self, request: web.Request, body: Any) -> web.Response:
        """Another lane in its place."""
        data = _lane_of(body)
        change = await self._editor.replace(
            *_names(request), data, if_match(request), author_of(request), is_dry_run(request)
        )
        return await self._told(change, request)

    @telling
    async def patch(self, request: web.Request, body: Any) -> web.Response:
        """Some of its keys (RFC 7396)."""
        data = _lane_of(body)
        change = await self._editor.patch(
            *_names(request), data, if_match(request), author_of(request), is_dry_run(request)
        )
        return await self._told(change, request)

    @telling
    async def delete(self, request: web.Request, _: Any) -> web.Response:
        """A lane less."""
        change = await self._editor.delete(*_names(request), if_match(request), author_of(request), is_dry_run(request))
        return await self._told(change, request)

    @telling
    async def enable(self, request: web.Request, _: Any) -> web.Response:
        """An open lane."""
        return await self._switch(request, True)

    @telling
    async def disable(self, request: web.Request, _: Any) -> web.Response:
        """A closed lane."""
        return await self._switch(request, False)

    async def _switch(self, request: web.Request, enabled: bool) -> web.Response:
        change = await self._editor.patch(
            *_names(request),
            {"enabled": enabled},
            if_match(request),
            author_of(request),
            is_dry_run(request),
            what="enabled" if enabled else "disabled",
        )
        return await self._told(change, request)

    @telling
    async def list_history(self, _: web.Request, __: Any) -> web.Response:
        """The last revisions."""
        revisions = [
            {"revision": item.number, "at": item.at, "author": item.author or None, "cause": item.cause}
            for item in self._history.revisions()
        ]
        return web.json_response({"revisions": revisions})

    @telling
    async def get_revision(self, request: web.Request, _: Any) -> web.Response:
        """One revision, with its files."""
        found = self._history.get(int(request.match_info["revision"]))
        if found is None:
            raise NotThere(f"revision {request.match_info['revision']} is not in the history")
        return web.json_response(
            {
                "revision": found.number,
                "at": found.at,
                "author": found.author or None,
                "cause": found.cause,
                "files": dict(found.files),
            }
        )

    @telling
    async def roll_back(self, request: web.Request, _: Any) -> web.Response:
        """The files of a revision in place again."""
        found = self._history.get(int(request.match_info["revision"]))
        if found is None:
            raise NotThere(f"revision {request.match_info['revision']} is not in the history")
        cause = f"rolled back to revision {found.number}"
        change = await self._editor.roll_back(found.files, cause, author_of(request), is_dry_run(request))
        return await self._told(change, request)

    @telling
    async def what_if(self, request: web.Request, body: Any) -> web.Response:
        """What a draft would change."""
        expected = 'expected {"rules": "lane_groups: …", "requests": [{"url": "/A/a"}], "last": 1000}'
        if not isinstance(body, dict) or not isinstance(body.get("rules"), str):
            raise _bad(f"{expected}: `rules` must be YAML")
        unknown = set(body) - {"rules", "requests", "last"}
        if unknown:
            raise _bad(f"{expected}: unknown key {shown(min(unknown))}")
        requests = body.get("requests", [])
        if not isinstance(requests, list):
            raise _bad(f"{expected}: `requests` must be a list")
        last = body.get("last", 0)
        if type(last) is not int or not 0 <= last <= MAX_LAST:
            raise _bad(f"{expected}: `last` must be a whole number from 0 to {MAX_LAST:,}")
        # In a thread: requests are still served while a million records are looked at.
        found = await request.app[WORK].run(self._what_if, body["rules"], requests, last)
        return web.json_response(found.as_dict())

    async def _told(self, change: Change, request: web.Request, status: int = 200) -> web.Response:
        is_dry = is_dry_run(request)
        body, headers = await told(change, request, self._review), {}
        if change.lane is not None:
            body |= {"group": change.lane.group, "lane": dict(change.lane.data)}
            headers["ETag"] = f'"{change.lane.etag}"'
        if is_dry:
            body["yaml"] = None if change.lane is None else lane_text(change.lane.data)
        return web.json_response(body, status=status, headers=headers)


async def told(change: Change, request: web.Request, review: Reviewer) -> dict[str, Any]:
    """What is said of any change; of one that is tried, with its review."""
    is_dry = is_dry_run(request)
    body: dict[str, Any] = {"revision": change.revision, "dry_run": is_dry, "diff": change.diff}
    if is_dry:
        body["review"] = await request.app[WORK].run(review(change.rules))
    return body


def _summary(problems: Sequence[object], between: str) -> str:
    """The problems in words, as many as are listed."""
    shown = [str(item) for item in problems[:MOST_ERRORS]]
    if len(problems) > MOST_ERRORS:
        shown.append(f"and {len(problems) - MOST_ERRORS} more")
    return between.join(shown)


def _names(request: web.Request) -> tuple[str, str]:
    return request.match_info["group"], request.match_info["lane"]


def _lane_of(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise _bad('expected a lane: {"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}]}')
    return data


def _bad(detail: str) -> Rejected:
    return Rejected(400, "bad_request", detail)


def if_match(request: web.Request) -> str:
    """The ETag that the client wants to find; empty if any will do (RFC 9110 §13.1.1)."""
    value = request.headers.get("If-Match", "").strip()
    return "" if value == "*" else value.removeprefix("W/").strip('"')


def author_of(request: web.Request) -> str:
    """Who makes a change, as they say."""
    return printable(request.headers.get("X-Author", "")[:200])


def is_dry_run(request: web.Request) -> bool:
    """Whether a change is only tried. Raises Rejected."""
    value = request.query.get("dry_run", "false")
    if value not in ("true", "false"):
        raise _bad(f"dry_run must be true or false, not {shown(value)}")
    return value == "true"


def _lane_response(lane: LaneView) -> web.Response:
    return web.json_response(_described(lane), headers={"ETag": f'"{lane.etag}"'})


def _described(lane: LaneView) -> dict[str, Any]:
    return {"group": lane.group, "lane": dict(lane.data), "file": lane.file, "line": lane.line}
