"""Reads request heads: judges one once, on the hot path, and refuses what two programs could read in two ways.

One match for the grammar, one scan for the fields that mean something to a proxy. Everything else (parameters, cookies, any
header a rule names) is looked up when it is needed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Final

from gateway.errors import ProtocolError
from gateway.failures import (
    BAD_FIELD,
    BAD_FRAMING,
    BAD_HOST,
    BAD_TARGET,
    HEAD_TOO_LARGE,
    LOOP_DETECTED,
    METHOD_REFUSED,
    TARGET_TOO_LONG,
    UNKNOWN_EXPECTATION,
)
from gateway.http.authority import host_of
from gateway.http.forwarded import FORWARDED, Forwarded
from gateway.http.framing import check_framing
from gateway.http.grammar import malformed
from gateway.http.lines import (
    MALFORMED,
    MAX_LENGTH,
    MAX_OPTIONS,
    FieldLine,
    FieldLines,
    read_options,
    spans_named,
    values_named,
)
from gateway.http.meanings import (
    AFTER_TRACE_IDS,
    BAGGAGE,
    CONNECTION,
    CONTENT_LENGTH,
    COPY,
    DEBUG,
    DROP,
    EXPECT,
    FAMILY_MEANINGS,
    GRPC_TIMEOUT,
    HOP,
    HOST,
    MEANINGS,
    TAG,
    TE,
    TRACE_ID,
    TRACEPARENT,
    TRACESTATE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    VIA,
)
from gateway.http.request import CHUNKED, PSEUDONYM, Request
from gateway.http.request_line import read_request_line
from gateway.http.target import match_path
from gateway.http.tracing import judge_trace
from gateway.http.trailers import may_trail
from gateway.telemetry.tracecontext import is_sampled, trace_id_of

# Connection options that name no field to be removed (RFC 9110 §7.6.1): those with a meaning, and fields that a sender may
# not have removed. The fields that the reader gives a meaning are not in its gift either: carriers and forwarding fields
# are ours to write (CVE-2024-45410 is what happens otherwise).
_STANDING: Final = frozenset({b"cookie", b"authorization", b"close", b"keep-alive", b"upgrade"})

_HOST: Final = frozenset({b"host"})
_ABSOLUTE: Final = re.compile(rb"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
_URL: Final = re.compile(r"https?://([^/?#]+)(.*)", re.IGNORECASE | re.DOTALL)

# TRACE would show cookies and credentials to scripts (RFC 9110 §9.3.8); CONNECT would make this an open proxy.
_REFUSED_METHODS: Final = frozenset({"TRACE", "CONNECT"})
_MAX_AUTHORITIES: Final = 1024
"""Host values remembered as sound."""

MAX_HOPS: Final = 20
"""Times that a request may have passed this program. Every hop from service to service counts two, where the services
forward all headers; a request that a route leads back here counts up until it is refused."""


class HeadReader:
    """Reads request heads. Built once for a listener: the names of the tag and the debug header are settings.

    `keeps_forwarded`: forwarding fields come from a trusted peer and pass; otherwise they are cut. `is_secure`: the
    connection is. `is_traced`: requests of sampled traces are forwarded from within spans, so that their `traceparent` is cut.
    Without limits it takes heads of any size: a listener has them.
    """

    __slots__ = ("_header_count", "_hosts", "_is_traced", "_keeps_forwarded", "_lines", "_takes_https", "_target_bytes")

    def __init__(
        self,
        tag_header: str,
        *,
        target_bytes: int = sys.maxsize,
        header_count: int = sys.maxsize,
        keeps_forwarded: bool = False,
        debug_header: str = "",
        is_secure: bool = False,
        is_traced: bool = False,
    ) -> None:
        name = tag_header.lower().encode("ascii")
        self._keeps_forwarded = keeps_forwarded
        self._is_traced = is_traced
        self._takes_https: bool = is_secure or keeps_forwarded
        self._target_bytes = target_bytes
        self._header_count = header_count
        self._hosts: dict[bytes, str] = {}
        meanings = {**MEANINGS, name: TAG}
        if debug_header:
            meanings[debug_header.encode("ascii")] = DEBUG
        self._lines = FieldLines(meanings, DROP, FAMILY_MEANINGS)

    def read(self, head: bytes) -> Request:
        """Judges a head: the request line, the fields, and the empty line that ends it.

        Raises ProtocolError for what is malformed, and for anything whose framing, host or target is not beyond doubt.
        """
        lines = head[:-4].split(b"\r\n")
        first = lines.pop(0)
        if len(lines) > self._header_count:
            raise ProtocolError(HEAD_TOO_LARGE, f"the head has more than {self._header_count} fields")
        request = read_request_line(first, head)
        harmless = self._lines.harmless
        known = self._lines.known
        hosts = 0
        lengths = 0
        codings = 0
        hops = 0
        connections = 0
        traceparents = 0
        has_tracestate = False
        coding: bytes = b""
        connection: bytes = b""
        end = len(first)
        for line in lines:
            start = end
            end += 2 + len(line)
            if line in harmless:
                continue
            field = known.get(line)
            if field is None:
                field = self._lines.learn(line)
            meaning = field.meaning
            if not meaning:
                continue
            if meaning == HOST:
                hosts += 1
                request.authority = field.value
            elif meaning == CONNECTION:
                connections += 1
                connection = field.value
                request.cut(start, end)
            elif meaning == CONTENT_LENGTH:
                lengths += 1
                if field.number < 0:
                    raise ProtocolError(BAD_FRAMING, "Content-Length is not a number of 1 to 18 digits")
                request.body = field.number
                if field.value[:1] == b"0" and len(field.value) > 1:
                    # Some peers read a leading zero as octal: the field is written again, in canonical form.
                    request.cut(start, end)
                    request.rewrites_length = True
            elif meaning == TRANSFER_ENCODING:
                codings += 1
                coding = field.value
            elif meaning == VIA:
                hops += field.value.lower().count(PSEUDONYM)
            elif meaning == TRACEPARENT:
                traceparents += 1
                if not request.traceparent and trace_id_of(field.value):
                    request.traceparent = field.value
                    if self._is_traced and is_sampled(field.value):
                        request.cut(start, end)
            elif meaning == TRACESTATE:
                has_tracestate = True
            elif meaning == GRPC_TIMEOUT:
                request.grpc_timeout = field.value
            elif meaning == MALFORMED:
                raise malformed(head)
            else:
                self._read_other(request, field, start, end)
        if lengths or codings:
            if codings > 1:
                coding = b",".join(values_named(lines, b"transfer-encoding"))
            check_framing(lengths, codings, coding, request.version)
            if codings:
                request.body = CHUNKED
        if connections > 1:
            connection = b",".join(values_named(lines, b"connection"))
        if connection and (connection != b"keep-alive" or request.version == 0 or request.upgrade):
            self._read_connection(request, lines, connection)
        elif request.upgrade:
            request.upgrade = b""
        if hosts != 1 and (hosts or request.version == 1):
            raise ProtocolError(BAD_HOST, f"there must be exactly one Host field; there are {hosts}")
        if hops > MAX_HOPS:
            raise ProtocolError(LOOP_DETECTED, f"the request has passed this gateway more than {MAX_HOPS} times")
        request.rewrites_host = not hosts
        if len(request.target) > self._target_bytes:
            raise ProtocolError(TARGET_TOO_LONG, f"the target is longer than {self._target_bytes} bytes")
        if request.method in _REFUSED_METHODS:
            raise ProtocolError(METHOD_REFUSED, f"{request.method} is not supported")
        if not request.path:
            self._read_target(request, lines)
        if request.authority:
            host = self._hosts.get(request.authority)
            request.host = self._learn_host(request.authority) if host is None else host
        elif hosts:
            # RFC 9110 §4.2.1: an http URL has a host. (RFC 9112 §3.2 has the field empty for targets that are none.)
            raise ProtocolError(BAD_HOST, "the Host field is empty")
        if traceparents > 1 or (not request.traceparent and (traceparents or has_tracestate)):
            request.traceparent, spans = judge_trace(lines, request.line_end)
            request.cuts += spans
        return request

    def traced(self, request: Request, traceparent: bytes) -> Request:
        """A judged request, which says nothing about its trace, once more, with a valid `traceparent` as its last field.

        Raises ProtocolError.
        """
        head = request.head
        other = request.again()
        end = len(head) - 4
        line = b"\r\ntraceparent: " + traceparent
        other.head = head[:end] + line + b"\r\n\r\n"
        other.traceparent = traceparent
        if other.head.count(b"\r\n") - 2 > self._header_count:
            raise ProtocolError(HEAD_TOO_LARGE, f"the head has more than {self._header_count} fields")
        if self._is_traced and is_sampled(traceparent):
            other.cuts.append(end)
            other.cuts.append(end + len(line))
        return other

    def _learn_host(self, authority: bytes) -> str:
        host = host_of(authority)
        if len(authority) <= MAX_LENGTH:
            if len(self._hosts) >= _MAX_AUTHORITIES:
                self._hosts.clear()
            self._hosts[authority] = host
        return host

    def _read_other(self, request: Request, field: FieldLine, start: int, end: int) -> None:
        """Takes a field that says nothing about the message itself. Its line is `head[start:end]`."""
        meaning, value = field.meaning, field.value
        if TRACE_ID <= meaning < AFTER_TRACE_IDS:
            request.note_id(meaning - TRACE_ID, value)
            return
        if meaning == TRAILER:
            request.announces_trailers = True
            return
        if meaning >= FORWARDED:
            if meaning > FORWARDED:
                if request.forwarded is None:
                    request.forwarded = Forwarded()
                request.forwarded.note(meaning, value)
            if self._keeps_forwarded:
                return
            request.claims = True
        request.cut(start, end)
        if meaning == EXPECT:
            if value.lower() != b"100-continue":
                raise ProtocolError(UNKNOWN_EXPECTATION, "the only expectation accepted is 100-continue")
            request.expects_continue = request.version == 1
        elif meaning == UPGRADE:
            request.upgrade = value
        elif meaning == TE:
            request.takes_trailers = request.takes_trailers or (request.version == 1 and b"trailers" in value.lower())
        elif meaning == TAG:
            request.tag = request.tag or value
        elif meaning == DEBUG:
            request.debug = value
        elif meaning == HOP:
            request.meant_instance = value
        elif meaning == COPY:
            request.is_copy = value == b"1"
        elif meaning == BAGGAGE:
            request.baggage.append(value)

    def _read_connection(self, request: Request, lines: list[bytes], connection: bytes) -> None:
        """Takes what all Connection fields say: whether the connection stays, and which fields were for us only."""
        options = read_options(connection)
        if options is None:
            raise ProtocolError(HEAD_TOO_LARGE, f"Connection has more than {MAX_OPTIONS} options")
        if b"close" in options:
            request.keep_alive = False
        elif b"keep-alive" in options:
            request.keep_alive = True
        # h2c would let a client speak HTTP/2 past us inside a tunnel: the request is forwarded as a plain one instead.
        if b"upgrade" not in options or request.upgrade.lower() != b"websocket":
            request.upgrade = b""
        nominated = {option for option in options - _STANDING if not self._lines.meaning_of(option)}
        if nominated:
            request.cuts += spans_named(lines, request.line_end, nominated)
            request.hide(nominated)

    def read_trailers(self, request: Request, lines: bytes) -> bytes:
        """The trailers of a request as they are forwarded. Both ways they are field lines, each led by CRLF.

        Nothing that means something to this program is among them: a tag in a trailer is how the gray lane leaks in others.
        """
        kept: list[bytes] = []
        for line in lines.split(b"\r\n")[1:]:
            field = self._lines.known.get(line) or self._lines.learn(line)
            if not field.meaning and may_trail(line, request.hidden):
                kept.append(b"\r\n" + line)
        return b"".join(kept)

    def _read_target(self, request: Request, lines: list[bytes]) -> None:
        target = request.target
        if target[:1] != b"/":
            target = self._read_special_target(request, lines)
        question = target.find(b"?")
        if question >= 0:
            request.raw_path = target[:question]
            request.query = target[question + 1 :]
            if b"#" in request.query:
                raise ProtocolError(BAD_TARGET, "the target contains a fragment")
        else:
            request.raw_path = target
        request.path = match_path(request.raw_path)

    def _read_special_target(self, request: Request, lines: list[bytes]) -> bytes:
        target = request.target
        if target == b"*" and request.method == "OPTIONS":
            return target
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise ProtocolError(BAD_TARGET, "the target is neither a path nor an http URL")
        scheme, authority, rest = absolute.groups()
        if len(scheme) == 5 and not self._takes_https:
            # RFC 9110 §7.4: an https request arrives over TLS, or by a proxy that is trusted to have been.
            raise ProtocolError(BAD_TARGET, "the target is an https URL, and this connection is not secure")
        if not authority:
            raise ProtocolError(BAD_HOST, "the target has no host")
        # RFC 9112 §3.2.2: the target's authority replaces the Host field, here and when forwarding.
        request.authority = authority
        request.cuts += spans_named(lines, request.line_end, _HOST)
        request.rewrites_host = True
        path: bytes = rest
        return path if path[:1] == b"/" else b"/" + path


def build_request(
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]] = (),
    *,
    reader: HeadReader | None = None,
    body: bytes = b"",
    host: str = "localhost",
) -> Request:
    """The request that a client sends for `url`: what is in a request line, or a whole http or https URL.

    It is read by the listener's own reader, to the letter: nothing is escaped, collapsed or left out before. `host` is
    used if neither `headers` nor the URL names one; where it is empty, by HTTP/1.0. Raises ProtocolError for
    what the gateway would refuse.
    """
    given = list(headers)
    target = url
    whole = _URL.fullmatch(url)
    if whole is not None:
        host, target = whole.groups()
        target = target if target[:1] == "/" else f"/{target}"
    names = {name.lower() for name, _ in given}
    lines = [f"{method} {target} HTTP/1.{1 if host or 'host' in names else 0}"]
    if host and "host" not in names:
        lines.append(f"Host: {host}")
    lines.extend(f"{name}: {value}" for name, value in given)
    if body and "content-length" not in names:
        lines.append(f"Content-Length: {len(body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ProtocolError(BAD_FIELD, "a line of the request contains a line break")
    try:
        head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ProtocolError(BAD_FIELD, "the request contains a lone surrogate, which is not a character") from error
    return (reader or HeadReader("x-gray-tag", keeps_forwarded=True)).read(head)
