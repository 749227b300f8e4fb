"""Forward authentication: an authorization service is asked about each request, and says who may pass.

As Traefik's ForwardAuth and nginx's auth_request have it: the head of the request without its body, and what proxies say of it
in `X-Forwarded-*`. 2xx lets the request pass; what else is below 500 is the client's response.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from aiohttp import ClientError, ClientResponse, ClientTimeout
from multidict import CIMultiDict
from yarl import URL

from gateway.failures import CREDENTIALS_REQUIRED, LOOP_DETECTED, PERMISSION_DENIED, PERMISSION_UNKNOWN
from gateway.http.forwarded import FORWARDED_HOST
from gateway.http.grammar import TOKEN, VALUE, field_pattern
from gateway.http.permission import Permission
from gateway.http.request import PSEUDONYM, Request
from gateway.http.response import without
from gateway.permission.calls import MOST, Calls
from gateway.routing.peer import Peer
from gateway.routing.questions import Denial, Question
from gateway.routing.replies import RouteResponse
from gateway.tls.contexts import UpstreamTLS

MAX_BODY: Final = 65_536
"""Bytes of a response that a client gets."""
MAX_FIELDS: Final = 16_384
"""Bytes of the fields that are taken from a response, all together."""
MARK: Final = b"(asks)"
"""In `Via`, says of a request that it is such a question: none is asked about it."""
_VIA: Final = field_pattern(rb"via")
_VALUE: Final = re.compile(VALUE + rb"*+")
_NAME: Final = re.compile(TOKEN + rb"++")
_NOT_PASSED: Final = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"te", b"trailer", b"transfer-encoding",
        b"upgrade", b"content-length", b"date", b"server", b"via", b"alt-svc", b"baggage", b"traceparent", b"tracestate",
        b"accept-ranges", b"content-range",
    }
)  # fmt: skip
"""Fields of a response that are about its connection, or are not for the client."""


class ForwardAuth:
    """The authorization service of one route, at `url`.

    Of a request it gets the fields `request_headers`; of its response, the request that passes gets `response_headers`, and the
    response to that `client_headers`. Names are in lower case. `tls` is for https, `timeout` is in seconds. `has_cors`: the route
    says itself what pages of other origins may do.
    """

    def __init__(
        self,
        url: str,
        *,
        request_headers: Collection[str],
        response_headers: Collection[str],
        client_headers: Collection[str],
        timeout: float,
        tls: UpstreamTLS | None,
        has_cors: bool,
    ) -> None:
        self._url = URL(url, encoded=True)
        self._sent = frozenset(name.encode("ascii") for name in request_headers)
        self._taken = frozenset(name.encode("ascii") for name in response_headers)
        self._shown = frozenset(name.encode("ascii") for name in client_headers)
        self._timeout = ClientTimeout(total=timeout)
        self._tls = tls
        self._has_cors = has_cors
        self.calls: Calls | None = None
        shown = f"{self._url.scheme}://{self._url.raw_authority}{self._url.raw_path}"
        self.question = Question("forward_auth", shown, self._taken, _recall, self.ask)

    async def ask(self, request: Request, peer: Peer, client: str) -> Permission | Denial:
        """What the service says."""
        if any(MARK in value for _, value in _VIA.findall(request.head, request.line_end)):
            return Denial(
                LOOP_DETECTED, "this is a question of forward_auth itself: its url leads to a route that asks"
            )
        calls = self.calls
        assert calls is not None
        if calls.under_way >= MOST:
            return Denial(PERMISSION_UNKNOWN, f"the authorization service is being asked about {MOST} requests already")
        calls.under_way += 1
        try:
            async with calls.session.get(
                self._url,
                headers=self._fields(request, peer, client),
                timeout=self._timeout,
                allow_redirects=False,
                ssl=True if self._tls is None else self._tls.context,
                server_hostname=None if self._tls is None else self._tls.server_name or None,
                skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
            ) as response:
                return await self._judge(response, request)
        except (ClientError, OSError, TimeoutError, ValueError):
            return Denial(PERMISSION_UNKNOWN, "the authorization service does not respond as it should")
        finally:
            calls.under_way -= 1

    def _fields(self, request: Request, peer: Peer, client: str) -> CIMultiDict[str]:
        """The fields of the question. What a client may not say of itself is not among them."""
        forwarded = request.forwarded if peer.is_trusted else None
        host = b"" if forwarded is None else forwarded.value(FORWARDED_HOST)
        is_secure = peer.is_secure if forwarded is None else forwarded.is_secure(peer.is_secure)
        query = b"?" + request.query if request.query else b""
        fields: CIMultiDict[str] = CIMultiDict(
            {
                "X-Forwarded-Method": request.method,
                "X-Forwarded-Proto": "https" if is_secure else "http",
                "X-Forwarded-Host": (host or request.authority).decode("latin-1"),
                # Not as the client has spelled it, but as routes are found by it: nobody gets past by another spelling.
                "X-Forwarded-Uri": request.path + query.decode("latin-1"),
                "X-Forwarded-For": client,
                "Accept-Encoding": "identity",
                "Via": f"1.1 {PSEUDONYM.decode()} {MARK.decode()}",
            }
        )
        head = without(request.head, request.line_end, len(request.head) - 4, request.cuts)
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() in self._sent:
                try:
                    fields.add(name.decode("ascii"), value.strip(b" \t").decode("utf-8"))
                except UnicodeDecodeError:
                    continue  # it would arrive as something else
        return fields

    async def _judge(self, response: ClientResponse, request: Request) -> Permission | Denial:
        status = response.status
        if status >= 500 or status < 200 or status == 304:
            return Denial(PERMISSION_UNKNOWN, f"the authorization service responds with {status}")
        body = await _read(response)
        if status < 300:
            fields = _lines(response.raw_headers, self._taken)
            shown = _lines(response.raw_headers, self._shown)
            return Permission(
                b"".join([line + b"\r\n" for line in fields]), b"".join([b"\r\n" + line for line in shown])
            )
        failure = CREDENTIALS_REQUIRED if status == 401 else PERMISSION_DENIED
        if request.is_grpc:
            return Denial(failure, f"the authorization service responds with {status}")
        if body is None:
            return Denial(PERMISSION_UNKNOWN, f"the authorization service responds with more than {MAX_BODY} bytes")
        lines = _lines(response.raw_headers, None)
        if self._has_cors:
            lines = [line for line in lines if not line.lower().startswith(b"access-control-")]
        return Denial(failure, "", b"".join([b"\r\n" + line for line in lines]), RouteResponse(status, body, {}))


def _recall(_: Request) -> None:
    """Nothing is remembered: the service may change its mind."""


async def _read(response: ClientResponse) -> bytes | None:
    """The body, so that the connection can be used again; None: it is too long for that, and for being passed on."""
    body = b""
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_BODY:
            response.close()
            return None
    return body


def _lines(headers: Sequence[tuple[bytes, bytes]], names: Collection[bytes] | None) -> list[bytes]:
    """The field lines of some (lower-case) names; None: those that a client may get. Raises ValueError for what is none."""
    lines: list[bytes] = []
    size = 0
    for name, value in headers:
        folded = name.lower()
        if names is None:
            if folded in _NOT_PASSED or folded.startswith(b"x-gray-"):
                continue
        elif folded not in names:
            continue
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise ValueError("a field is malformed")
        size += len(name) + len(value) + 4
        lines.append(b"%b: %b" % (name, value))
    if size > MAX_FIELDS:
        raise ValueError("the fields are too long")
    return lines
