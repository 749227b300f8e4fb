"""One request's head as it was judged (`head_reader`): what the proxy must know to frame it, and what may be read from it."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final

from gateway.grpc.call import is_call, split_call
from gateway.http.forwarded import Forwarded
from gateway.http.grammar import TOKEN, field_pattern
from gateway.http.lines import spans_like
from gateway.http.permission import Permission
from gateway.http.target import PERCENT, PLUS, find_parameter, parse_cookies, parse_query
from gateway.telemetry.tracecontext import ID_FIELDS, IdField

_COOKIE: Final = field_pattern(rb"cookie")
ORIGIN: Final = field_pattern(rb"origin")
_ANNOUNCED: Final = field_pattern(rb"access-control-request-method")
_METHOD: Final = re.compile(TOKEN.decode("ascii") + r"{1,64}")

PSEUDONYM: Final = b"gray-gateway"
"""How this program calls itself in `Via` (RFC 9110 §7.6.3)."""

CHUNKED: Final = -1
"""`Request.body` of a chunked body."""

VERSION_2: Final = 2
"""`Request.version` of what comes by HTTP/2."""
VERSIONS: Final = ("1.0", "1.1", "2")
"""What each `Request.version` is called."""


# A head has as many parts as HTTP gives it.
class Request:
    """A judged request head.

    `version` is 0 or 1 of HTTP/1.0 and HTTP/1.1, or 2; the head is as HTTP/1.1 has it in any case.

    `host` is the requested one, lower-case, without port and closing dot, empty if HTTP/1.0 gave none; `authority` is
    what was sent. `forwarded` is what the fields say in which proxies speak, no matter who sent them.

    `ids` are the values of `ID_FIELDS`, in their order; None if there are none.

    `cuts` are the spans of `head` (start, end, …) that must not be forwarded; they may overlap, in any order.

    `grpc_timeout` is what a gRPC call gives itself, as it was sent.

    `span_id` is the id of the span in which the request is forwarded, `parent_id` of the one in which it was sent, both in
    hexadecimal digits. They are empty if the request is not traced here, or if nobody sent it from within a span.

    `announces_trailers`: it says which trailers it will have; `takes_trailers`: its sender takes those of a response.

    `hidden` are names of fields that are not forwarded, be it as trailers.

    `meant_instance` is how a peer of ours names the instance that it means (see `hop`). `is_copy`: a field says that it is a
    mirror's copy (see `copymark`).

    `permissions` are what those said who were asked whether it may pass, by the question; None: nobody was.
    `vouched` are names of fields that their answers have set.

    `claims`: the client, who is not trusted, has sent fields that only proxies may send.
    """

    __slots__ = (
        "_before",
        "_cookies",
        "_is_grpc",
        "_parameters",
        "announces_trailers",
        "authority",
        "baggage",
        "body",
        "claims",
        "cuts",
        "debug",
        "expects_continue",
        "forwarded",
        "grpc_timeout",
        "head",
        "hidden",
        "host",
        "ids",
        "is_copy",
        "keep_alive",
        "line_end",
        "meant_instance",
        "method",
        "parent_id",
        "path",
        "permissions",
        "query",
        "raw_path",
        "rewrites_host",
        "rewrites_length",
        "span_id",
        "tag",
        "takes_trailers",
        "target",
        "traceparent",
        "upgrade",
        "version",
        "vouched",
    )

    def __init__(self, head: bytes, method: str, target: bytes, version: int) -> None:
        self.head = head
        self.method = method
        self.target = target
        self.version = version
        self.rewrites_length: bool = False
        self.rewrites_host: bool = False
        self.raw_path: bytes = target
        self.query: bytes = b""
        self.path: str = ""
        self.authority: bytes = b""
        self.host: str = ""
        self.line_end: int = 0
        self.keep_alive: bool = version == 1
        self.body: int = 0
        self.expects_continue: bool = False
        self.upgrade: bytes = b""
        self.tag: bytes = b""
        self.baggage: list[bytes] = []
        self.traceparent: bytes = b""
        self.span_id: bytes = b""
        self.parent_id: bytes = b""
        self.ids: list[bytes] | None = None
        self.meant_instance: bytes = b""
        self.is_copy: bool = False
        self.forwarded: Forwarded | None = None
        self.grpc_timeout: bytes = b""
        self.cuts: list[int] = []
        self.hidden: list[Container[bytes]] | None = None
        self.announces_trailers: bool = False
        self.takes_trailers: bool = False
        self.debug: bytes = b""
        self.claims: bool = False
        self.permissions: dict[object, Permission] | None = None
        self.vouched: list[Container[bytes]] | None = None
        # What permissions have changed: the head, and how many cuts and hidden names there were.
        self._before: tuple[bytes, int, int] | None = None
        self._parameters: dict[str, str] | None = None
        self._cookies: dict[str, str] | None = None
        self._is_grpc: bool | None = None

    def again(self) -> Request:
        """The same request once more, for a head that comes again: nothing is shared that a router changes."""
        other = Request(self.head, self.method, self.target, self.version)
        other.rewrites_length = self.rewrites_length
        other.rewrites_host = self.rewrites_host
        other.raw_path = self.raw_path
        other.query = self.query
        other.path = self.path
        other.authority = self.authority
        other.host = self.host
        other.line_end = self.line_end
        other.keep_alive = self.keep_alive
        other.body = self.body
        other.expects_continue = self.expects_continue
        other.upgrade = self.upgrade
        other.tag = self.tag
        other.baggage = self.baggage
        other.traceparent = self.traceparent
        other.ids = self.ids
        other.meant_instance = self.meant_instance
        other.is_copy = self.is_copy
        other.forwarded = self.forwarded
        other.grpc_timeout = self.grpc_timeout
        other.claims = self.claims
        other.cuts = self.cuts.copy()
        other.announces_trailers = self.announces_trailers
        other.takes_trailers = self.takes_trailers
        other.hidden = None if self.hidden is None else self.hidden.copy()
        other.debug = self.debug
        other._is_grpc = self._is_grpc
        return other

    def note_id(self, number: int, value: bytes) -> None:
        """Takes the value of one of `ID_FIELDS`. What is given twice is not an id: a comma is in no form of one."""
        ids = self.ids
        if ids is None:
            ids = self.ids = [b""] * len(ID_FIELDS)
        ids[number] = ids[number] + b"," + value if ids[number] else value

    def has_id(self, field: IdField) -> bool:
        """Whether one of `ID_FIELDS` was given, of use or not."""
        ids = self.ids
        return ids is not None and ids[ID_FIELDS.index(field)] != b""

    def cut(self, start: int, end: int) -> None:
        """Keeps `head[start:end]`, a line with the line end in front of it, from being forwarded."""
        self.cuts.append(start)
        self.cuts.append(end)

    def cut_named(self, names: Container[bytes]) -> None:
        """Keeps the fields of some (lower-case) names, and their twins (see `lines`), from being forwarded."""
        self.cuts += spans_like(self.head[:-4].split(b"\r\n")[1:], self.line_end, names)
        self.hide(names)

    def hide(self, names: Container[bytes]) -> None:
        """Keeps fields of some (lower-case) names from being forwarded as trailers."""
        hidden = self.hidden
        if hidden is None:
            self.hidden = [names]
        else:
            hidden.append(names)

    def permit(self, question: object, permission: Permission, names: Container[bytes]) -> None:
        """Takes what was said to a question. The fields of some (lower-case) names are the permission's: what else has them goes.

        That includes their twins (see `lines`). Unlike what is cut, they are gone for everybody who looks at the head, and the
        new ones are there. No place in the head moves: a line that goes becomes one with a name that is nobody's, and is cut.
        """
        if self.permissions is None:
            self.permissions = {}
        head = self.head
        if self._before is None:
            self._before = head, len(self.cuts), 0 if self.hidden is None else len(self.hidden)
        self.permissions[question] = permission
        spans = spans_like(head[:-4].split(b"\r\n")[1:], self.line_end, names)
        for i in range(0, len(spans), 2):
            start, end = spans[i] + 2, spans[i + 1]
            head = head[:start] + b"-" * (end - start - 1) + b":" + head[end:]
        self.cuts += spans
        self.hide(names)
        self.head = head[:-2] + permission.fields + b"\r\n"
        self._cookies = None
        self.vouch(names)

    def vouch(self, names: Container[bytes]) -> None:
        """Takes that fields of some (lower-case) names are not what the client claims."""
        if self.vouched is None:
            self.vouched = []
        self.vouched.append(names)

    def forget_permissions(self) -> None:
        """Takes back what was said, for others to be asked: the request is as it was received, though it is not new."""
        before = self._before
        assert before is not None
        self.head, cuts, hidden = before
        del self.cuts[cuts:]
        if self.hidden is not None:
            del self.hidden[hidden:]
        self.permissions = {}
        self.vouched = self._before = None
        self._cookies = None

    @property
    def trace_id(self) -> bytes:
        """The trace id of `traceparent`, empty if there is none. Only a sound one is kept there: nobody need judge it again."""
        return self.traceparent[3:35]

    @property
    def is_grpc(self) -> bool:
        """Whether it is a gRPC call."""
        if self.method != "POST":
            return False
        known = self._is_grpc
        if known is None:
            known = self._is_grpc = is_call(self.head, self.line_end)
        return known

    @property
    def is_preflight(self) -> bool:
        """Whether it is a CORS preflight: a page of another origin wants to know whether it may send the real request."""
        return self.method == "OPTIONS" and self.aim != "OPTIONS"

    @property
    def aim(self) -> str:
        """The method that routes and rules go by: of a CORS preflight, that of the request which it announces.

        A preflight and its request must come to the same lane (https://fetch.spec.whatwg.org/#cors-preflight-request).
        """
        if self.method != "OPTIONS" or self.header(ORIGIN) is None:
            return self.method
        announced = self.header(_ANNOUNCED)
        return self.method if announced is None or _METHOD.fullmatch(announced) is None else announced

    @property
    def call(self) -> tuple[str, str] | None:
        """The service and the method of a gRPC call; None for any other request."""
        return split_call(self.path) if self.is_grpc else None

    def param(self, name: str, needle: bytes = b"") -> str | None:
        """The first value of a query parameter, decoded once, or None. `needle` (`parameter_needle`) makes it quicker."""
        query = self.query
        if not query:
            return None
        if needle and PERCENT not in query and PLUS not in query:
            return find_parameter(query, needle)
        parameters = self._parameters
        if parameters is None:
            parameters = self._parameters = parse_query(query)
        return parameters.get(name)

    def cookie(self, name: str) -> str | None:
        """The first value of a cookie as sent, or None."""
        cookies = self._cookies
        if cookies is None:
            # One field (RFC 6265 §5.4), or several from a proxy that turns HTTP/2 into HTTP/1.1 carelessly (RFC 9113 §8.2.3).
            values = [match[2] for match in _COOKIE.finditer(self.head, self.line_end)]
            cookies = self._cookies = parse_cookies(b";".join(values))
        return cookies.get(name)

    def header(self, pattern: re.Pattern[bytes]) -> str | None:
        """The first field line that `pattern` (of `field_pattern`) finds, its value without surrounding white space."""
        return _text(pattern.search(self.head, self.line_end))

    def told(self, pattern: re.Pattern[bytes], name: bytes) -> str | None:
        """The same for a field with this (lower-case) name that only proxies may send: None if it is but the client's claim."""
        if self.claims and not any(name in names for names in self.vouched or ()):
            return None
        return self.header(pattern)

    def header_received(self, pattern: re.Pattern[bytes]) -> str | None:
        """As `header`, of the head before anybody was asked."""
        return _text(pattern.search(self.head if self._before is None else self._before[0], self.line_end))


def _text(match: re.Match[bytes] | None) -> str | None:
    if match is None:
        return None
    value: bytes = match[2].rstrip(b" \t")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
