"""What can go wrong with a request: one table, an entry a code, and one of what goes wrong with an instance.

`docs/errors.md` explains every code that a client can get, in the row of that name; a test holds the two together.
"""

from __future__ import annotations

from typing import Final

DOWNSTREAM: Final = "downstream"
"""The client caused it, or requested it."""
UPSTREAM: Final = "upstream"
"""The service's doing, or what is known of it."""
INTERNAL: Final = "internal"
"""This program's doing, or a limit of it."""


class Failure:
    """One way in which a request fails.

    `code` is its stable name: in the response, the access log and metrics. `status` is the response's, 0 if a response had
    begun or the client is gone. `side` says whose doing it is. `blames_instance`: it counts against the instance.
    `closes`: the client's connection closes, because nothing on it can be trusted any more. The first of a code is in
    `FAILURES`.
    """

    __slots__ = ("blames_instance", "closes", "code", "side", "status")

    def __init__(
        self, code: str, status: int, side: str, *, blames_instance: bool = False, closes: bool = False
    ) -> None:
        self.code: str = code
        self.status: int = status
        self.side: str = side
        self.blames_instance: bool = blames_instance
        self.closes: bool = closes
        FAILURES.setdefault(code, self)


FAILURES: Final[dict[str, Failure]] = {}
"""Every failure by its code."""

# --- the router's: the request is sound, and goes nowhere

NO_ROUTE: Final[Failure] = Failure("no_route", 404, DOWNSTREAM)
NO_BACKEND: Final[Failure] = Failure("no_backend", 500, INTERNAL)
NO_SERVICE: Final[Failure] = Failure("no_service", 400, DOWNSTREAM)
NO_INSTANCES: Final[Failure] = Failure("no_instances", 503, UPSTREAM)
LANE_UNAVAILABLE: Final[Failure] = Failure("lane_unavailable", 503, UPSTREAM)
REGISTRY_UNAVAILABLE: Final[Failure] = Failure("registry_unavailable", 503, UPSTREAM)
MISDIRECTED: Final[Failure] = Failure("misdirected", 421, DOWNSTREAM)
NOT_FROM_MESH: Final[Failure] = Failure("not_from_mesh", 403, DOWNSTREAM)
CLIENT_DENIED: Final[Failure] = Failure("client_denied", 403, DOWNSTREAM)
ORIGIN_DENIED: Final[Failure] = Failure("origin_denied", 403, DOWNSTREAM)
TOKEN_REQUIRED: Final[Failure] = Failure("token_required", 401, DOWNSTREAM)
CREDENTIALS_REQUIRED: Final[Failure] = Failure("credentials_required", 401, DOWNSTREAM)
PERMISSION_DENIED: Final[Failure] = Failure("permission_denied", 403, DOWNSTREAM)
PERMISSION_UNKNOWN: Final[Failure] = Failure("permission_unknown", 503, UPSTREAM)
TOO_MANY_LOGINS: Final[Failure] = Failure("too_many_logins", 429, DOWNSTREAM)
RATE_LIMITED: Final[Failure] = Failure("rate_limited", 429, DOWNSTREAM)

# --- the instance's

CONNECT_FAILED: Final[Failure] = Failure("connect_failed", 502, UPSTREAM)  # each attempt counts by itself
TLS_FAILED: Final[Failure] = Failure("tls_failed", 502, UPSTREAM)
UPSTREAM_BUSY: Final[Failure] = Failure("upstream_busy", 503, UPSTREAM)
NO_TUNNEL_THERE: Final[Failure] = Failure("tunnel_unsupported", 501, UPSTREAM)
UPSTREAM_CLOSED: Final[Failure] = Failure("upstream_closed", 502, UPSTREAM, blames_instance=True)
# What else that service sends for this client cannot be trusted either.
BAD_RESPONSE: Final[Failure] = Failure("bad_response", 502, UPSTREAM, blames_instance=True, closes=True)
RESPONSE_TIMEOUT: Final[Failure] = Failure("response_timeout", 504, UPSTREAM, blames_instance=True)
DEADLINE_EXCEEDED: Final[Failure] = Failure("deadline_exceeded", 504, DOWNSTREAM)
RESPONSE_STALLED: Final[Failure] = Failure("response_stalled", 0, UPSTREAM, blames_instance=True, closes=True)
TRUNCATED: Final[Failure] = Failure("truncated", 0, UPSTREAM, blames_instance=True, closes=True)

# --- the client's pace

HEAD_TIMEOUT: Final[Failure] = Failure("head_timeout", 408, DOWNSTREAM, closes=True)
BODY_TIMEOUT: Final[Failure] = Failure("body_timeout", 408, DOWNSTREAM)
BODY_TOO_SLOW: Final[Failure] = Failure("body_too_slow", 408, DOWNSTREAM)
SLOW_CLIENT: Final[Failure] = Failure("slow_client", 0, DOWNSTREAM, closes=True)
CLIENT_GONE: Final[Failure] = Failure(
    "client_gone", 499, DOWNSTREAM, closes=True
)  # nginx's status: there is no client left to respond to
BAD_PROXY_HEADER: Final[Failure] = Failure("bad_proxy_header", 0, DOWNSTREAM, closes=True)
TUNNEL_IDLE: Final[Failure] = Failure("tunnel_idle", 0, DOWNSTREAM, closes=True)
TUNNEL_STALLED: Final[Failure] = Failure("tunnel_stalled", 0, DOWNSTREAM, closes=True)

# --- this program's limits

OVERLOADED: Final[Failure] = Failure("overloaded", 503, INTERNAL)
FAULT_INJECTED: Final[Failure] = Failure("fault_injected", 503, INTERNAL)  # or another status, if the lane says so
LANE_OVERLOADED: Final[Failure] = Failure("lane_overloaded", 503, INTERNAL)
TOO_MANY_CONNECTIONS: Final[Failure] = Failure("too_many_connections", 429, DOWNSTREAM, closes=True)
TOO_MANY_TUNNELS: Final[Failure] = Failure("too_many_tunnels", 429, DOWNSTREAM)
INTERNAL_ERROR: Final[Failure] = Failure("internal_error", 500, INTERNAL, closes=True)
SHUTDOWN: Final[Failure] = Failure("shutdown", 0, INTERNAL, closes=True)

# --- messages that must not be forwarded: where the next one would start is not certain

BAD_REQUEST: Final[Failure] = Failure("bad_request", 400, DOWNSTREAM, closes=True)
BAD_REQUEST_LINE: Final[Failure] = Failure("bad_request_line", 400, DOWNSTREAM, closes=True)
BAD_FIELD: Final[Failure] = Failure("bad_field", 400, DOWNSTREAM, closes=True)
BAD_CHARACTER: Final[Failure] = Failure("bad_character", 400, DOWNSTREAM, closes=True)
BAD_LINE_END: Final[Failure] = Failure("bad_line_end", 400, DOWNSTREAM, closes=True)
OBS_FOLD: Final[Failure] = Failure("obs_fold", 400, DOWNSTREAM, closes=True)
BAD_FRAMING: Final[Failure] = Failure("bad_framing", 400, DOWNSTREAM, closes=True)
BAD_CHUNK: Final[Failure] = Failure("bad_chunk", 400, DOWNSTREAM, closes=True)
BAD_HOST: Final[Failure] = Failure("bad_host", 400, DOWNSTREAM, closes=True)
BAD_TARGET: Final[Failure] = Failure("bad_target", 400, DOWNSTREAM, closes=True)
METHOD_REFUSED: Final[Failure] = Failure("method_refused", 405, DOWNSTREAM, closes=True)
TARGET_TOO_LONG: Final[Failure] = Failure("target_too_long", 414, DOWNSTREAM, closes=True)
UNKNOWN_PROTOCOL: Final[Failure] = Failure("unknown_protocol", 501, DOWNSTREAM)
UNKNOWN_EXPECTATION: Final[Failure] = Failure("unknown_expectation", 417, DOWNSTREAM, closes=True)
HEAD_TOO_LARGE: Final[Failure] = Failure("head_too_large", 431, DOWNSTREAM, closes=True)
METHOD_TOO_LONG: Final[Failure] = Failure("method_too_long", 501, DOWNSTREAM, closes=True)
UNKNOWN_CODING: Final[Failure] = Failure("unknown_coding", 501, DOWNSTREAM, closes=True)
BAD_VERSION: Final[Failure] = Failure("bad_version", 505, DOWNSTREAM, closes=True)
LOOP_DETECTED: Final[Failure] = Failure("loop_detected", 508, DOWNSTREAM, closes=True)


class Fault:
    """What went wrong between this program and an instance, once.

    `kind` is the label of `gateway_upstream_errors_total`; `failure` is what becomes of a request that nobody else serves.
    `is_safe_to_retry`: nothing was done for the request, so that it may be sent elsewhere, whatever its method.
    """

    __slots__ = ("failure", "is_safe_to_retry", "kind")

    def __init__(self, kind: str, failure: Failure, *, is_safe_to_retry: bool = False) -> None:
        self.kind: str = kind
        self.failure: Failure = failure
        self.is_safe_to_retry: bool = is_safe_to_retry
        FAULTS[kind] = self


FAULTS: Final[dict[str, Fault]] = {}
"""Every fault by its kind."""

CONNECT_ERROR: Final[Fault] = Fault("connect_error", CONNECT_FAILED, is_safe_to_retry=True)
CONNECT_TIMEOUT: Final[Fault] = Fault("connect_timeout", CONNECT_FAILED, is_safe_to_retry=True)
TLS_ERROR: Final[Fault] = Fault("tls_error", TLS_FAILED, is_safe_to_retry=True)
# It verifies who calls before it reads: with TLS 1.3, it says so when a request may be on its way already.
CERTIFICATE_REFUSED: Final[Fault] = Fault("certificate_refused", TLS_FAILED, is_safe_to_retry=True)
BUSY: Final[Fault] = Fault("busy", UPSTREAM_BUSY)  # a limit that requests go round is none
LANE_BUSY: Final[Fault] = Fault("lane_busy", LANE_OVERLOADED)
# A sidecar's refusals: it has not shown the request to its application.
REFUSED_MISDIRECTED: Final[Fault] = Fault("misdirected", NO_INSTANCES, is_safe_to_retry=True)
REFUSED_UNAVAILABLE: Final[Fault] = Fault("unavailable", CONNECT_FAILED, is_safe_to_retry=True)
NOT_HTTP2: Final[Fault] = Fault("not_http2", CONNECT_FAILED, is_safe_to_retry=True)
# HTTP/2 says of a request that it was not processed: the connection is on its way out, or has too many.
REFUSED_STREAM: Final[Fault] = Fault("refused_stream", UPSTREAM_BUSY, is_safe_to_retry=True)
NO_TUNNEL: Final[Fault] = Fault("no_tunnel", NO_TUNNEL_THERE)
RESET: Final[Fault] = Fault("reset", UPSTREAM_CLOSED)
CLOSED: Final[Fault] = Fault("closed", UPSTREAM_CLOSED)
CLOSED_IN_HEAD: Final[Fault] = Fault("closed_in_head", UPSTREAM_CLOSED)
MALFORMED: Final[Fault] = Fault(BAD_RESPONSE.code, BAD_RESPONSE)
LATE: Final[Fault] = Fault(RESPONSE_TIMEOUT.code, RESPONSE_TIMEOUT)
# The connection that it shares with others is silent, and a ping brought nothing either.
UNRESPONSIVE: Final[Fault] = Fault("unresponsive", RESPONSE_TIMEOUT)
STALLED: Final[Fault] = Fault(RESPONSE_STALLED.code, RESPONSE_STALLED)
CUT_OFF: Final[Fault] = Fault(TRUNCATED.code, TRUNCATED)
