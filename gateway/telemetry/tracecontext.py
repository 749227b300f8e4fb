"""Trace ids: which fields identify a request.

An id is worth remembering only if no other request has it. So each field has its own form, and what is not in that
form identifies nothing: a sampling flag, an id cut short, a constant that some client sends with every request.

Own codec, because OpenTelemetry's `propagate.extract` costs 22 µs a request and this costs well under one.
Sources: https://www.w3.org/TR/trace-context/ §3.2, https://github.com/openzipkin/b3-propagation,
https://www.jaegertracing.io/docs/1.76/client-libraries/ (propagation format),
https://docs.datadoghq.com/tracing/trace_collection/trace_context_propagation/,
https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html (tracing header),
https://skywalking.apache.org/docs/main/latest/en/api/x-process-propagation-headers-v3/,
https://devcenter.heroku.com/articles/http-request-id.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

# W3C Trace Context §3.2.2: version 00 ends after the flags, a later one may continue after a dash, ff is invalid. Neither id
# may be all zero.
_LATER_TRACEPARENT: Final = re.compile(
    rb"(?!00|ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
_DIGITS: Final = b"0123456789abcdef"
_DASH: Final = 0x2D
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16

_ODD: Final = frozenset({b"1", b"3", b"5", b"7", b"9", b"b", b"d", b"f"})

# B3: 64 or 128 bits in hexadecimal. The single field has the span's id behind the trace's; alone, `0`, `1` and `d` only
# say whether to sample. 64 bits are 128 with zeros in front: so OpenTelemetry reads them, and writes them in a traceparent.
_B3_TRACE_ID: Final = re.compile(rb"(?!0+\Z)(?:[0-9a-fA-F]{16}){1,2}")
_B3: Final = re.compile(rb"(?!0+-)((?:[0-9a-fA-F]{16}){1,2})-(?!0{16})[0-9a-fA-F]{16}(?:-[01d](?:-[0-9a-fA-F]{16})?)?")

# Jaeger: trace, span, parent and flags, in hexadecimal; leading zeros may be left out, and some clients encode the colons. The
# trace has 64 or 128 bits.
_COLON: Final = rb"(?::|%3[Aa])"
_JAEGER: Final = re.compile(
    rb"([0-9a-fA-F]{1,32})"
    + _COLON
    + rb"[0-9a-fA-F]{1,16}"
    + _COLON
    + rb"[0-9a-fA-F]{1,16}"
    + _COLON
    + rb"[0-9a-fA-F]{1,2}"
)
_MIN_JAEGER: Final = 12
"""Digits that a trace id of Jaeger has at least, leading zeros aside. Of random ids fewer are found once in 65,536; short ones
are made by hand."""
# Datadog: 64 bits as a decimal number; the same bits in hexadecimal are the lower half of the trace's id elsewhere.
_DATADOG: Final = re.compile(rb"[1-9][0-9]{12,19}")
# AWS: version, seconds, and 96 random bits, which together are the 128 bits that OpenTelemetry's propagator makes of them. Load
# balancers put `Self` before it.
_XRAY: Final = re.compile(rb"(?:^|;)[ ]*Root=1-([0-9a-fA-F]{8})-(?!0{24})([0-9a-fA-F]{24})(?=;|$)")
# SkyWalking: `1` if sampled, then Base64 texts and a number with dashes between; the first text is the trace's id.
_SW8: Final = re.compile(rb"[01]-([A-Za-z0-9+/]{22,200}={0,2})-[A-Za-z0-9+/]+={0,2}-[0-9]+(?:-[A-Za-z0-9+/]*={0,2}){4}")

# x-request-id has no standard. Heroku's router takes 20 to 200 letters, digits and some signs for an id; UUIDs, ULIDs, KSUIDs
# and nginx' `$request_id` are among them, counters and names of environments are not.
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9+/=_.:~@-]{20,200}")
_SIGNS: Final = b"+/=_.:~@-"
MIN_DISTINCT: Final = 6
"""Different letters and digits that a request id must have. Of 20 random decimal digits fewer are found once in 4,000 ids;
the nil UUID, placeholders and padded counters have one to three."""


def trace_id_of(traceparent: bytes) -> bytes:
    """The trace id of a `traceparent`, empty if it is not a valid one."""
    if is_traceparent(traceparent) or _LATER_TRACEPARENT.fullmatch(traceparent) is not None:
        return traceparent[3:35]
    return b""


def is_traceparent(value: bytes) -> bool:
    """Whether it is a valid `traceparent` of the version that we know: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits."""
    # What every request is asked in a mesh: it costs half of what a pattern does.
    return (
        len(value) == 55
        and value[:3] == b"00-"
        and value.translate(None, _DIGITS) == b"---"
        and value[35] == _DASH == value[52]
        and value[3:35] != _NO_TRACE
        and value[36:52] != _NO_SPAN
    )


def is_sampled(traceparent: bytes) -> bool:
    """Whether a sound `traceparent` says that its trace is recorded: the lowest bit of its flags."""
    return traceparent[54:55] in _ODD


def continued(traceparent: bytes, span_id: bytes) -> bytes:
    """The `traceparent` of what is called from within a span, in the version that we know (§4.3)."""
    return b"".join((b"00-", traceparent[3:36], span_id, traceparent[52:55]))


def b3_trace_id_of(value: bytes) -> bytes:
    """The trace id of a single `b3` field, in lower case and 128 bits; empty if it has none."""
    match = _B3.fullmatch(value)
    if match is None:
        return b""
    trace_id: bytes = match[1]
    return trace_id.lower().rjust(32, b"0")


def x_b3_trace_id_of(value: bytes) -> bytes:
    """The trace id of an `x-b3-traceid` field, in lower case and 128 bits; empty if it is none."""
    return value.lower().rjust(32, b"0") if _B3_TRACE_ID.fullmatch(value) is not None else b""


def request_id_of(value: bytes) -> bytes:
    """The id of an `x-request-id` field as it is, empty if nothing says that it is one request's own."""
    if _REQUEST_ID.fullmatch(value) is None or len(set(value.lower()).difference(_SIGNS)) < MIN_DISTINCT:
        return b""
    return value


def jaeger_trace_id_of(value: bytes) -> bytes:
    """The trace id of a `uber-trace-id` field, in lower case and 128 bits; empty if it has none."""
    match = _JAEGER.fullmatch(value)
    if match is None or len(match[1].lstrip(b"0")) < _MIN_JAEGER:
        return b""
    trace_id: bytes = match[1]
    return trace_id.lower().rjust(32, b"0")


def datadog_trace_id_of(value: bytes) -> bytes:
    """The trace id of an `x-datadog-trace-id` field, in hexadecimal and 128 bits; empty if it is none."""
    if _DATADOG.fullmatch(value) is None:
        return b""
    number = int(value)
    return b"%032x" % number if number < 1 << 64 else b""


def xray_trace_id_of(value: bytes) -> bytes:
    """The trace id of an `x-amzn-trace-id` field, in lower case and 128 bits; empty if it has none."""
    match = _XRAY.search(value)
    if match is None:
        return b""
    seconds: bytes = match[1]
    random: bytes = match[2]
    return (seconds + random).lower()


def skywalking_trace_id_of(value: bytes) -> bytes:
    """The trace id of an `sw8` field as it is, in Base64; empty if it has none."""
    match = _SW8.fullmatch(value)
    if match is None:
        return b""
    trace_id: bytes = match[1]
    return trace_id


class IdField:
    """A field, beside `traceparent`, by whose id a request can be remembered.

    `read` gives the id of a value, empty if it identifies nothing. `space` keeps ids apart that look the same and are not: ids of
    traces have none, as fields of several formats may name one trace.
    """

    __slots__ = ("name", "read", "space")

    def __init__(self, name: bytes, read: Callable[[bytes], bytes], space: bytes = b"") -> None:
        self.name = name
        self.read = read
        self.space = space


REQUEST_ID: Final = IdField(b"x-request-id", request_id_of, b"request ")

ID_FIELDS: Final = (
    IdField(b"b3", b3_trace_id_of),
    IdField(b"x-b3-traceid", x_b3_trace_id_of),
    IdField(b"uber-trace-id", jaeger_trace_id_of),
    IdField(b"x-datadog-trace-id", datadog_trace_id_of),
    IdField(b"x-amzn-trace-id", xray_trace_id_of),
    IdField(b"sw8", skywalking_trace_id_of, b"skywalking "),
    REQUEST_ID,
    IdField(b"x-correlation-id", request_id_of, b"correlation "),
)
"""The strongest first: the last two anybody may have made up. A new carrier of this sort is an entry here, and a row in
`docs/forwarding.md`."""


def new_request_id(bits: int) -> bytes:
    """An `x-request-id` from 128 random bits: one in 10^12 has too few different digits to be remembered by."""
    return b"%032x" % bits
