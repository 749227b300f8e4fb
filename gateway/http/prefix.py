"""Responses to requests whose prefix was stripped or replaced: places are the service's own, the client's are elsewhere.

What is put right are the fields that lead somewhere: `Location` and `Content-Location` (RFC 9110 §10.2.2, §8.7), the URL of
`Refresh`, and the `Path` of cookies (RFC 6265 §5.2.4). Bodies are not looked at.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.http.forwarded import FORWARDED_HOST
from gateway.http.request import Request
from gateway.http.response import Response

_URL: Final = re.compile(rb"(https?://([^/?#\\]*+))(?=[/?#]|\Z)", re.IGNORECASE)
_REFRESH: Final = re.compile(
    rb"([0-9.]++[ \t]*+[;,][ \t]*+url[ \t]*+=[ \t]*+([\"']?+))([^\"' \t]++)(\2)", re.IGNORECASE
)
_NAME_END: Final = re.compile(rb"\.?(?::(?:80|443)?|(:[0-9]+))?\Z")
_ENDS: Final = frozenset(b"/?#")


class Prefix:
    """A prefix that was taken off a request's path, with what is needed to recognise the request's own places.

    `inner` is what the service has got in its place, empty if nothing: then only places under it are the service's own.
    """

    __slots__ = ("_hosts", "_inner", "_prefix", "_whole")

    def __init__(self, prefix: bytes, request: Request, is_trusted: bool, inner: bytes = b"") -> None:
        """`is_trusted`: what proxies in front say of the request is trusted."""
        self._prefix = prefix
        self._inner = inner
        self._whole: bytes = prefix
        self._hosts: set[bytes] = {_plain(request.authority)}
        forwarded = request.forwarded
        if is_trusted and forwarded is not None:
            self._whole = forwarded.path_prefix + prefix
            self._hosts.add(_plain(forwarded.value(FORWARDED_HOST).partition(b",")[0].strip(b" \t")))

    def restore(self, response: Response, data: bytes) -> bytes:
        """Cuts from the response's head in `data` what names another place to the client, and returns it anew.

        The field lines returned are each led by CRLF. All cookies are among them as soon as one is, because their order
        counts.
        """
        moved: list[bytes] = []
        cookies: list[bytes] = []
        spans: list[int] = []
        has_moved_cookie = False
        start = response.line_end
        for line in data[response.line_end + 2 : response.end - 4].split(b"\r\n"):
            end = start + 2 + len(line)
            name, _, value = line.partition(b":")
            kind = name.lower()
            if kind == b"set-cookie":
                cookie = self.cookie(value)
                has_moved_cookie = has_moved_cookie or cookie is not value
                cookies.append(b"\r\n" + name + b":" + cookie)
                spans += (start, end)
            elif kind in (b"location", b"content-location", b"refresh"):
                place = value.strip(b" \t")
                url = self.refresh(place) if kind == b"refresh" else self.url(place)
                if url is not place:
                    moved.append(b"\r\n" + name + b": " + url)
                    response.cuts += (start, end)
            start = end
        if has_moved_cookie:
            response.cuts += spans
            moved += cookies
        return b"".join(moved)

    def url(self, value: bytes) -> bytes:
        """A URL reference as the client has to see it; the very same object if nothing changes.

        Paths, and URLs of the requested host, get the prefix, unless they have it. Other hosts, `//host` and what is
        relative to the request's own path stay.
        """
        origin = b""
        path = value
        if value[:1] != b"/":
            absolute = _URL.match(value)
            if absolute is None or _plain(absolute[2]) not in self._hosts:
                return value
            origin = absolute[1]
            path = value[absolute.end() :]
            if path[:1] != b"/":
                path = b"/" + path
        elif value[1:2] in (b"/", b"\\"):
            # Browsers read both as `//host`.
            return value
        moved = self._moved(path)
        return value if moved is path else origin + moved

    def refresh(self, value: bytes) -> bytes:
        """A Refresh field's value (`5; url=/x`) as the client has to see it; the same object if nothing changes."""
        match = _REFRESH.fullmatch(value)
        if match is None:
            return value
        place: bytes = match[3]
        url = self.url(place)
        return value if url is place else match[1] + url + match[4]

    def cookie(self, value: bytes) -> bytes:
        """A Set-Cookie field's value as the client has to see it; the very same object if nothing changes."""
        parts = value.split(b";")
        # A cookie named so has the path `/`, or browsers refuse it (RFC 6265bis §4.1.3.2).
        if parts[0].lstrip(b" \t")[:7].lower() == b"__host-":
            return value
        is_moved = False
        for number, part in enumerate(parts):
            name, _, path = part.partition(b"=")
            path = path.strip(b" \t")
            if number and name.strip(b" \t").lower() == b"path" and path[:1] == b"/":
                moved = self._moved(path)
                if moved is not path:
                    # `/A/` would not match `/A`.
                    parts[number] = name + b"=" + (moved if path != b"/" or self._prefix == b"/" else self._prefix)
                    is_moved = True
        return b";".join(parts) if is_moved else value

    def _moved(self, path: bytes) -> bytes:
        """The path as the client has to see it; the very same object if nothing changes."""
        inner = self._inner
        if inner:
            if not _is_under(path, inner):
                return path
            rest = path[len(inner) :]
            # `//x` and `/\\x` would be another host.
            return self._prefix + rest if self._prefix != b"/" else b"/" + rest.lstrip(b"/\\")
        if _is_under(path, self._prefix) or _is_under(path, self._whole):
            return path
        return self._prefix + path


def _is_under(path: bytes, prefix: bytes) -> bool:
    return path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix)] in _ENDS)


def _plain(authority: bytes) -> bytes:
    """An authority in lower case, without a dot at the name's end, and without a port that goes without saying."""
    return _NAME_END.sub(rb"\1", authority.lower(), count=1)
