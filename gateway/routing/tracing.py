"""Takes part in traces: a request that is traced is forwarded from within a span of ours.

The span is recorded when the exchange is over (`proxy/spans.py`). Here it only gets its id, because the forwarded
`traceparent` has to name it: what the receiver does is a part of it (https://www.w3.org/TR/trace-context/ §3.2.2.4).
"""

from __future__ import annotations

import random

from gateway.http.request import Request
from gateway.telemetry.tracecontext import continued, is_sampled
from gateway.telemetry.traceparents import TraceParents


class Tracing:
    """Joins traces that are sampled; of the requests without a trace, `share` begin one.

    `random_source` supplies ids.
    """

    __slots__ = ("_new", "_random", "_share")

    def __init__(self, random_source: random.Random, share: float = 0.0) -> None:
        self._random = random_source
        self._new = TraceParents(random_source)
        self._share = share

    def join(self, request: Request) -> None:
        """Gives a request the id of our span, and the `traceparent` that names it. To be called once."""
        traceparent = request.traceparent
        if traceparent:
            if is_sampled(traceparent):
                request.parent_id = traceparent[36:52]
                request.span_id = b"%016x" % (self._random.getrandbits(64) or 1)
                request.traceparent = continued(traceparent, request.span_id)
        elif self._share > 0.0 and self._random.random() < self._share:
            request.traceparent = self._new.value(sampled=True)
            request.span_id = request.traceparent[36:52]


def traceparent_line(request: Request) -> bytes:
    """The field line of a request that has joined a trace."""
    return b"traceparent: " + request.traceparent + b"\r\n"
