"""Whose failure a response is: the instance's own, or that of somebody whom the instance had called."""

from __future__ import annotations

from time import perf_counter

from gateway import hop
from gateway.proxy.record import Record
from gateway.routing.verdict import Forward, InboundForward


def blame(record: Record, forward: Forward, told: bytes = b"") -> bytes:
    """Notes whether a failed response is a callee's; returns the line that is added to it to say so, led by CRLF.

    `told` is what the instance's sidecar says. A sidecar knows of its application by itself, and says so only to proxies of ours.
    """
    if not isinstance(forward, InboundForward):
        record.callee_failed = told == hop.CALLEE
        return b""
    record.callee_failed = forward.has_failed_call(record.started, perf_counter())
    return hop.response_line(hop.CALLEE) if record.callee_failed and record.request.meant_instance else b""
