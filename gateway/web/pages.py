"""The console's files: static ES modules that a browser runs as they are, over the public API of the same origin.

They hold nothing that is secret and change nothing, so they are served without a token. What may run in the page is said by
its Content-Security-Policy: files of this listener, and nothing that is in a document or comes from elsewhere.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, Literal

from aiohttp import web

Server = Literal["admin", "release"]
"""Whose console it is: the pages differ."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""https://www.w3.org/TR/CSP3/. The trusted types forbid the page to turn texts into markup at all."""
TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
INDEX: Final = "index.html"
_HERE: Final = files("gateway.web") / "console"


def console_files() -> dict[str, Traversable]:
    """Every file of the console that is served, by its path below the directory, in order of names."""
    return dict(sorted(_served("", _HERE)))


def console_routes(server: Server) -> list[web.RouteDef]:
    """`GET /` and `GET /console/FILE` for every file. A file is read when it is first asked for."""
    routes = [web.get("/", partial(_serve, _Page(_HERE / INDEX, server)))]
    routes += [
        web.get(f"/console/{name}", partial(_serve, _Page(file, server)))
        for name, file in console_files().items()
        if name != INDEX
    ]
    return routes


def console_paths() -> frozenset[str]:
    """The paths of `console_routes`, which need no token."""
    return frozenset({"/", *(f"/console/{name}" for name in console_files() if name != INDEX)})


class _Page:
    """One file as it is served."""

    def __init__(self, file: Traversable, server: Server) -> None:
        self._file = file
        self._server = server
        self._content: bytes | None = None
        self.packed = b""
        """The content compressed."""
        self.type = TYPES[_ending(file.name)]
        self.etag = ""

    def content(self) -> bytes:
        """What the file says."""
        if self._content is None:
            content = self._file.read_bytes()
            if self._file.name == INDEX:
                content = content.replace(b'data-server="admin"', f'data-server="{self._server}"'.encode())
            self.etag = hashlib.sha256(content).hexdigest()[:16]
            self.packed = gzip.compress(content, mtime=0)
            self._content = content
        return self._content


async def _serve(page: _Page, request: web.Request) -> web.Response:
    content = page.content()
    # A browser asks each time whether the file is still the same: after an upgrade no old page meets a new API.
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
    headers["Vary"] = "Accept-Encoding"
    is_packed = "gzip" in request.headers.get("Accept-Encoding", "")
    if is_packed:
        content, headers["Content-Encoding"] = page.packed, "gzip"
    response = web.Response(body=content, content_type=page.type, charset="utf-8", headers=headers)
    response.etag = etag = f"{page.etag}-gzip" if is_packed else page.etag
    if any(tag.value == etag for tag in request.if_none_match or ()):
        response.set_status(304)
        response.body = None
    return response


def _served(above: str, folder: Traversable) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for item in folder.iterdir():
        name = above + item.name
        if item.is_dir():
            found += _served(f"{name}/", item)
        elif _ending(item.name) in TYPES:
            found.append((name, item))
    return found


def _ending(name: str) -> str:
    return name[name.rfind(".") :]
