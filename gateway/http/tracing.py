"""Which of a request's trace context is forwarded (https://www.w3.org/TR/trace-context/ §3.2, §3.3)."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.http.lines import values_named
from gateway.telemetry.tracecontext import trace_id_of


def judge_trace(lines: Sequence[bytes], start: int) -> tuple[bytes, list[int]]:
    """The one sound traceparent, empty if there is none, and the spans (start, end, …) of what is not forwarded.

    `lines` are the head's field lines, which begin at `start` of it. There is one traceparent. Who cannot read it does not
    read tracestate either, and begins a new trace. Of two sound ones nobody knows which is the caller's; the
    specification's test suite wants a new trace then, too.
    """
    sound = {value for value in values_named(lines, b"traceparent") if trace_id_of(value)}
    traceparent = sound.pop() if len(sound) == 1 else b""
    spans: list[int] = []
    is_kept = not traceparent
    for line in lines:
        end = start + 2 + len(line)
        name, _, value = line.partition(b":")
        name = name.lower()
        if name == b"traceparent" and not is_kept and value.strip(b" \t") == traceparent:
            is_kept = True
        elif name == b"traceparent" or (name == b"tracestate" and not traceparent):
            spans += (start, end)
        start = end
    return traceparent, spans
