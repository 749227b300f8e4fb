"""What is noted of one exchange while it goes on, and counted and logged when it is over."""

from __future__ import annotations

from gateway.failures import Failure
from gateway.grpc.status import NO_STATUS
from gateway.http.request import Request
from gateway.routing.decision import Decision


# A value of many parts: no behaviour.
class Record:
    """The account of one exchange.

    Times are `perf_counter`'s seconds, 0 for what has not happened: `sent_at` when the head was handed to the instance,
    `responded_at` when the first bytes of its response came, `passed_at` when its head was passed on before the rest.
    `waited` is what the slow path waited before that. `received` and `sent` count the bytes of the bodies, or of a tunnel;
    `response_head` those of the response's head. `upstream_status` is the instance's, 0 if it has not responded.
    `status` is what the client saw, 0 until the exchange is over; `cause` says why it is not a plain response.
    `callee_failed`: the response is a failure that followed a failed call of the instance's own.
    `attempts` counts connections requested in the slow path. Of a gRPC call `expires_at` is when it has no more time, and
    `grpc_status` its code, NO_STATUS for what has none.
    """

    __slots__ = (
        "attempts",
        "callee_failed",
        "cause",
        "decision",
        "expires_at",
        "grpc_status",
        "passed_at",
        "received",
        "request",
        "responded_at",
        "response_head",
        "sent",
        "sent_at",
        "started",
        "status",
        "upstream_status",
        "waited",
    )

    def __init__(self, request: Request, decision: Decision, started: float) -> None:
        self.request = request
        self.decision = decision
        self.started = started
        self.sent_at: float = 0.0
        self.responded_at: float = 0.0
        self.passed_at: float = 0.0
        self.waited: float = 0.0
        self.received: int = 0
        self.sent: int = 0
        self.response_head: int = 0
        self.upstream_status: int = 0
        self.status: int = 0
        self.cause: Failure | None = None
        self.attempts: int = 0
        self.grpc_status: int = NO_STATUS
        self.expires_at: float = 0.0
        self.callee_failed: bool = False
