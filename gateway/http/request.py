"""One request's head: what the proxy must know to frame it, and what routing and rules may ask of it.

`HeadReader.read` judges a head once, on the hot path: one match for the grammar, one scan for the fields that mean
something to a proxy. Everything else (parameters, cookies, any header a rule names) is looked up when asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.errors import ProtocolError
from gateway.http.grammar import REQUEST_LINE, field_pattern, malformed
from gateway.http.lines import MALFORMED, MAX_LENGTH, FieldLine, FieldLines
from gateway.http.target import PERCENT, PLUS, find_parameter, match_path, parse_cookies, parse_query
from gateway.telemetry.tracecontext import trace_id_of

# What a field means to the proxy. DROP: hop-by-hop, or something a client may not say.
HOST: Final = 1
CONNECTION: Final = 2
CONTENT_LENGTH: Final = 3
TRANSFER_ENCODING: Final = 4
EXPECT: Final = 5
UPGRADE: Final = 6
DROP: Final = 7
TAG: Final = 8
BAGGAGE: Final = 9
TRACEPARENT: Final = 10
FORWARDED_FOR: Final = 11
FORWARDED: Final = 12
TRACE_ID: Final = 13
VIA: Final = 14
DEBUG: Final = 15

_MEANING: Final[dict[bytes, int]] = {
    b"host": HOST,
    b"connection": CONNECTION,
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"expect": EXPECT,
    b"upgrade": UPGRADE,
    b"keep-alive": DROP,
    b"proxy-connection": DROP,
    b"proxy-authorization": DROP,
    b"te": DROP,
    b"trailer": DROP,
    b"http2-settings": DROP,
    b"baggage": BAGGAGE,
    b"traceparent": TRACEPARENT,
    b"x-forwarded-for": FORWARDED_FOR,
    b"x-forwarded-proto": FORWARDED,
    b"x-forwarded-host": FORWARDED,
    b"x-real-ip": FORWARDED,
    b"forwarded": FORWARDED,
    b"x-request-id": TRACE_ID,
    b"b3": TRACE_ID,
    b"x-b3-traceid": TRACE_ID,
    b"via": VIA,
}

# A sender may not have these removed by naming them in Connection (RFC 9110 §7.6.1 allows only connection options;
# CVE-2024-45410 is what happens otherwise). Carriers and forwarding fields are ours to write.
_NOT_REMOVABLE: Final = frozenset(_MEANING) | {b"cookie", b"authorization", b"x-gray-tag"}

_AUTHORITY: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~\-]+)(?::[0-9]{0,5})?")
_PORT: Final = re.compile(r":[0-9]*\Z")
_URL: Final = re.compile(r"https?://([^/?#]+)(.*)", re.IGNORECASE | re.DOTALL)
_ABSOLUTE: Final = re.compile(rb"(?:http|HTTP)://([^/?#]*)([^#]*)")
_COOKIE: Final = field_pattern(rb"cookie")

# TRACE would show cookies and credentials to scripts (RFC 9110 §9.3.8); CONNECT would make this an open proxy.
_REFUSED_METHODS: Final = frozenset({"TRACE", "CONNECT"})
_METHODS: Final[dict[bytes, str]] = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}
_MAX_AUTHORITIES: Final = 1024
"""Host values remembered as sound."""

PSEUDONYM: Final = b"gray-gateway"
"""How this program calls itself in `Via` (RFC 9110 §7.6.3)."""
MAX_HOPS: Final = 20
"""Times that a request may have passed this program. Every hop from service to service counts two, where the services
forward all headers; a request that a route leads back here counts up until it is refused."""

CHUNKED: Final = -1
"""`Request.body` of a chunked body."""


class Request:
    """A judged request head.

    `cuts` are the spans of `head` (start, end, …) that must not be forwarded; they may overlap, in any order.

    What rules may ask beside the head is put in by whoever knows it: `service` (where the request goes), `caller` and
    `caller_tag` (who calls, at a sidecar), `content` (the parsed body; `is_inspected` once it was looked at) and `claims`
    (of its token, None until they are asked for).
    """

    __slots__ = (
        "_cookies",
        "_parameters",
        "authority",
        "baggage",
        "body",
        "caller",
        "caller_tag",
        "claims",
        "client_ip",
        "content",
        "cuts",
        "debug",
        "expects_continue",
        "forwarded_for",
        "head",
        "is_inspected",
        "keep_alive",
        "line_end",
        "method",
        "path",
        "query",
        "raw_path",
        "rewrites_host",
        "rewrites_length",
        "service",
        "tag",
        "target",
        "trace_ids",
        "traceparent",
        "upgrade",
        "version",
    )

    def __init__(self, head: bytes, method: str, target: bytes, version: int, client_ip: str) -> None:
        self.head = head
        self.method = method
        self.target = target
        self.version = version
        self.client_ip = client_ip
        self.rewrites_length: bool = False
        self.rewrites_host: bool = False
        self.raw_path: bytes = target
        self.query: bytes = b""
        self.path: str = ""
        self.authority: bytes = b""
        self.line_end: int = 0
        self.keep_alive: bool = version == 1
        self.body: int = 0
        self.expects_continue: bool = False
        self.upgrade: bytes = b""
        self.tag: bytes = b""
        self.baggage: list[bytes] = []
        self.traceparent: bytes = b""
        self.trace_ids: list[bytes] = []
        self.forwarded_for: list[bytes] = []
        self.cuts: list[int] = []
        self.service: str = ""
        self.caller: str = ""
        self.caller_tag: str = ""
        self.content: Any = None
        self.is_inspected: bool = False
        self.debug: bytes = b""
        self.claims: Mapping[str, Any] | None = None
        self._parameters: dict[str, str] | None = None
        self._cookies: dict[str, str] | None = None

    @staticmethod
    def build(
        method: str,
        url: str,
        headers: Iterable[tuple[str, str]] = (),
        client_ip: str = "127.0.0.1",
        reader: HeadReader | None = None,
        body: bytes = b"",
        host: str = "localhost",
    ) -> Request:
        """The request that a client sends for `url`: what stands in a request line, or a whole http or https URL.

        It is read by the listener's own reader, to the letter: nothing is escaped, collapsed or left out before. `host` is
        asked for where neither `headers` nor the URL says who is; where it is empty, by HTTP/1.0. Raises ProtocolError for
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
            raise ProtocolError(400, "bad_field", "the request has a line break in a line")
        try:
            head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise ProtocolError(
                400, "bad_field", "the request holds a lone surrogate, which is no character"
            ) from error
        return (reader or HeadReader("x-gray-tag")).read(head, client_ip)

    def cut(self, line: bytes) -> None:
        """Keeps a line of the head from being forwarded. Lines are to be cut in the order in which they stand."""
        cuts = self.cuts
        start = self.head.find(b"\r\n" + line + b"\r\n", cuts[-1] if cuts else self.line_end)
        cuts.append(start)
        cuts.append(start + 2 + len(line))

    def cut_named(self, name: bytes) -> None:
        """Keeps the fields of one name from being forwarded; after this, nothing is to be cut by its line."""
        for field in field_pattern(re.escape(name)).finditer(self.head, self.line_end):
            self.cuts.append(field.start())
            self.cuts.append(field.end())

    @property
    def host(self) -> str:
        """The host asked for, lower-case, without the port; empty where HTTP/1.0 gave none."""
        return _PORT.sub("", self.authority.decode("ascii").lower())

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
            match = _COOKIE.search(self.head, self.line_end)
            cookies = self._cookies = {} if match is None else parse_cookies(match[2])
        return cookies.get(name)

    def give_cookie(self, name: str, value: str) -> None:
        """Lets rules see a cookie that the client is only now given."""
        self.cookie(name)
        if self._cookies is not None:
            self._cookies[name] = value

    def header(self, pattern: re.Pattern[bytes]) -> str | None:
        """The first field line that `pattern` (of `field_pattern`) finds, its value without surrounding white space."""
        match = pattern.search(self.head, self.line_end)
        if match is None:
            return None
        value: bytes = match[2].rstrip(b" \t")
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.decode("latin-1")


class HeadReader:
    """Reads request heads. Built once for a listener: the names of the tag and the debug header are settings.

    `keeps_forwarded`: forwarding fields come from a trusted peer and pass; otherwise they are cut.
    """

    __slots__ = ("_authorities", "_header_count", "_keeps_forwarded", "_lines", "_meanings", "_target_bytes")

    def __init__(
        self,
        tag_header: str,
        keeps_forwarded: bool = False,
        target_bytes: int = 16384,
        header_count: int = 100,
        debug_header: str = "",
    ) -> None:
        name = tag_header.lower().encode("ascii")
        self._keeps_forwarded = keeps_forwarded
        self._target_bytes = target_bytes
        self._header_count = header_count
        self._authorities: set[bytes] = set()
        self._meanings: dict[bytes, int] = {**_MEANING, name: TAG}
        if debug_header:
            self._meanings[debug_header.encode("ascii")] = DEBUG
        self._lines = FieldLines(self._meanings, twin=DROP)

    def read(self, head: bytes, client_ip: str) -> Request:
        """Judges a head: the request line, the fields, and the empty line that ends it.

        Raises ProtocolError for what is malformed, and for anything whose framing, host or target is not beyond doubt.
        """
        lines = head[:-4].split(b"\r\n")
        first = lines.pop(0)
        if len(lines) > self._header_count:
            raise ProtocolError(431, "head_too_large", f"the head has more than {self._header_count} fields")
        match = REQUEST_LINE.fullmatch(first)
        if match is None:
            raise malformed(head)
        method, target, plain, query, minor = match.groups()
        request = Request(
            head, _METHODS.get(method) or method.decode("ascii"), target, 1 if minor == b"1" else 0, client_ip
        )
        request.line_end = len(first)
        harmless = self._lines.harmless
        known = self._lines.known
        hosts = 0
        lengths = 0
        codings = 0
        hops = 0
        coding: bytes = b""
        connection: bytes = b""
        for line in lines:
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
                connection = field.value if not connection else connection + b"," + field.value
                request.cut(line)
            elif meaning == CONTENT_LENGTH:
                lengths += 1
                if field.number < 0:
                    raise ProtocolError(400, "bad_framing", "Content-Length is not a number")
                request.body = field.number
                if field.value[:1] == b"0" and len(field.value) > 1:
                    # Some peers read a leading zero as octal: the field is written again, in canonical form.
                    request.cut(line)
                    request.rewrites_length = True
            elif meaning == TRANSFER_ENCODING:
                codings += 1
                coding = field.value if codings == 1 else coding + b"," + field.value
            elif meaning == VIA:
                hops += field.value.lower().count(PSEUDONYM)
            elif meaning == MALFORMED:
                raise malformed(head)
            else:
                self._read_other(request, field, line)
        if codings:
            _read_coding(request, coding)
        if lengths + codings > 1 or (codings and request.version == 0):
            raise ProtocolError(400, "bad_framing", "the body's length is given more than once, or by HTTP/1.0 chunks")
        if connection and (connection != b"keep-alive" or request.version == 0 or request.upgrade):
            self._read_connection(request, connection)
        elif request.upgrade:
            request.upgrade = b""
        if hosts != 1 and (hosts or request.version == 1):
            raise ProtocolError(400, "bad_host", "there must be exactly one Host field")
        if hops > MAX_HOPS:
            raise ProtocolError(508, "loop_detected", f"the request has passed this gateway more than {MAX_HOPS} times")
        request.rewrites_host = not hosts
        if len(target) > self._target_bytes:
            raise ProtocolError(414, "target_too_long", f"the target is longer than {self._target_bytes} bytes")
        if method not in _METHODS and request.method in _REFUSED_METHODS:
            raise ProtocolError(405, "method_refused", f"{request.method} is not served here")
        if plain is not None:
            request.raw_path = plain
            request.path = plain.decode("ascii")
            if query is not None:
                request.query = query
        else:
            self._read_target(request)
        if request.authority and request.authority not in self._authorities:
            self._check_authority(request.authority)
        return request

    def _check_authority(self, authority: bytes) -> None:
        if _AUTHORITY.fullmatch(authority) is None:
            raise ProtocolError(400, "bad_host", "the host is not `name` or `name:port`")
        if len(authority) <= MAX_LENGTH:
            if len(self._authorities) >= _MAX_AUTHORITIES:
                self._authorities.clear()
            self._authorities.add(authority)

    def _read_other(self, request: Request, field: FieldLine, line: bytes) -> None:
        """Takes a field that says nothing about the message itself."""
        meaning, value = field.meaning, field.value
        if meaning == TRACE_ID:
            request.trace_ids.append(value)
            return
        if meaning == TRACEPARENT and not request.traceparent and trace_id_of(value):
            # W3C Trace Context §3.2: one, and a sound one. A service would begin a trace of its own otherwise, and
            # nothing could tell whose calls are whose.
            request.traceparent = value
            return
        if meaning == FORWARDED_FOR:
            request.forwarded_for.append(value)
        if meaning in (FORWARDED_FOR, FORWARDED) and self._keeps_forwarded:
            return
        request.cut(line)
        if meaning == EXPECT:
            if value.lower() != b"100-continue":
                raise ProtocolError(417, "unknown_expectation", "the only expectation accepted is 100-continue")
            request.expects_continue = request.version == 1
        elif meaning == UPGRADE:
            request.upgrade = value
        elif meaning == TAG:
            request.tag = request.tag or value
        elif meaning == DEBUG:
            request.debug = value
        elif meaning == BAGGAGE:
            request.baggage.append(value)

    def _read_connection(self, request: Request, connection: bytes) -> None:
        upgrades = False
        for part in connection.split(b","):
            option = part.strip(b" \t").lower()
            if option == b"close":
                request.keep_alive = False
            elif option == b"keep-alive":
                request.keep_alive = request.keep_alive or request.version == 0
            elif option == b"upgrade":
                upgrades = True
            elif option and option not in self._meanings and option not in _NOT_REMOVABLE:
                request.cut_named(option)
        if b"close" in connection.lower().replace(b" ", b"").split(b","):
            request.keep_alive = False
        # h2c would let a client speak HTTP/2 past us inside a tunnel: the request goes on as a plain one instead.
        if not upgrades or request.upgrade.lower() != b"websocket":
            request.upgrade = b""

    def _read_target(self, request: Request) -> None:
        target = request.target
        if target[:1] != b"/":
            target = self._read_special_target(request)
        question = target.find(b"?")
        if question >= 0:
            request.raw_path = target[:question]
            request.query = target[question + 1 :]
            if b"#" in request.query:
                raise ProtocolError(400, "bad_target", "the target contains a fragment")
        else:
            request.raw_path = target
        request.path = match_path(request.raw_path)

    def _read_special_target(self, request: Request) -> bytes:
        target = request.target
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is not None:
            # RFC 9112 §3.2.2: the target's authority replaces the Host field, here and when forwarding.
            request.authority = absolute[1]
            if not request.authority:
                raise ProtocolError(400, "bad_host", "the target has no host")
            request.cut_named(b"host")
            request.rewrites_host = True
            rest: bytes = absolute[2]
            return rest if rest[:1] == b"/" else b"/" + rest
        if target == b"*" and request.method == "OPTIONS":
            return target
        raise ProtocolError(400, "bad_target", "the target is neither a path nor an http URL")


def _read_coding(request: Request, coding: bytes) -> None:
    """Takes what all Transfer-Encoding lines say together."""
    codings = [part.strip(b" \t") for part in coding.lower().split(b",")]
    if codings != [b"chunked"]:
        if b"chunked" in codings and (
            codings.count(b"chunked") > 1 or codings[-1] != b"chunked" or b"identity" in codings
        ):
            raise ProtocolError(400, "bad_framing", "chunked is not the last transfer coding, or is not alone")
        raise ProtocolError(501, "unknown_coding", "the only transfer coding accepted is chunked")
    request.body = CHUNKED
