"""The part of the admin API that changes lane groups and segments."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from gateway.admin.rules import Reviewer, author_of, if_match, is_dry_run, telling, told
from gateway.ruletools.edit import Change
from gateway.ruletools.groupedit import MAX_SEGMENT, GroupEditor, GroupView, group_data
from gateway.web.problems import Rejected

MAX_SEGMENT_BODY: Final = 2 * MAX_SEGMENT
"""Bytes of a segment as JSON: quotes and line ends take two."""


class GroupsApi:
    """Handlers over an editor and reviews."""

    def __init__(self, editor: GroupEditor, review: Reviewer) -> None:
        self._editor = editor
        self._review = review

    @telling
    async def list_groups(self, _: web.Request, __: Any) -> web.Response:
        """All groups, without their lanes."""
        return web.json_response({"groups": [_described(view) for view in self._editor.views()]})

    @telling
    async def get_group(self, request: web.Request, _: Any) -> web.Response:
        """One group."""
        view = self._editor.view(request.match_info["group"])
        return web.json_response(_described(view), headers={"ETag": f'"{view.etag}"'})

    @telling
    async def create_group(self, request: web.Request, body: Any) -> web.Response:
        """A new group, after the others."""
        is_dry = is_dry_run(request)
        change = await self._editor.create(_group_of(body), author_of(request), is_dry)
        response = await self._told(change, request, body["name"], 200 if is_dry else 201)
        response.headers["Location"] = f"/api/v1/groups/{quote(body['name'])}"
        return response

    @telling
    async def replace_group(self, request: web.Request, body: Any) -> web.Response:
        """A group that says something else, with its lanes."""
        name, data = request.match_info["group"], _group_of(body)
        change = await self._editor.replace(name, data, if_match(request), author_of(request), is_dry_run(request))
        return await self._told(change, request, data.get("name", name))

    @telling
    async def delete_group(self, request: web.Request, _: Any) -> web.Response:
        """A group less, and its lanes."""
        name = request.match_info["group"]
        change = await self._editor.delete(name, if_match(request), author_of(request), is_dry_run(request))
        return web.json_response(await told(change, request, self._review))

    @telling
    async def list_segments(self, _: web.Request, __: Any) -> web.Response:
        """All segments, without their values."""
        segments = [
            {"segment": view.name, "values": view.values, "file": view.file} for view in self._editor.segments()
        ]
        return web.json_response({"segments": segments})

    @telling
    async def get_segment(self, request: web.Request, _: Any) -> web.Response:
        """What the file of a segment says."""
        name = request.match_info["segment"]
        text, etag = await self._editor.segment(name)
        return web.json_response({"segment": name, "text": text}, headers={"ETag": f'"{etag}"'})

    @telling
    async def put_segment(self, request: web.Request, body: Any) -> web.Response:
        """A segment with other values."""
        if not isinstance(body, dict) or set(body) != {"text"} or not isinstance(body["text"], str):
            raise Rejected(400, "bad_request", 'expected {"text": "alice\\nbob\\n"}, the whole file')
        name = request.match_info["segment"]
        arguments = if_match(request), author_of(request), is_dry_run(request)
        change = await self._editor.put_segment(name, body["text"], *arguments)
        return web.json_response(await told(change, request, self._review))

    async def _told(self, change: Change, request: web.Request, name: str, status: int = 200) -> web.Response:
        group = next(item for item in change.rules.groups if item.name == name)
        body = {**await told(change, request, self._review), "group": group_data(group)}
        return web.json_response(body, status=status)


def _group_of(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise Rejected(400, "bad_request", 'expected a group: {"name": "shop", "services": ["a"]}')
    return data


def _described(view: GroupView) -> dict[str, Any]:
    return {
        "group": dict(view.data),
        "lanes": view.lanes,
        "etag": f'"{view.etag}"',
        "file": view.file,
        "line": view.line,
    }
