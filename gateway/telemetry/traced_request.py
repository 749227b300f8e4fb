"""One request as traces show it: the record, and what only its spans need."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.telemetry.request_record import RequestRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRequest:
    """A request of a sampled trace. It has a SERVER span, and a CLIENT span within that if it was sent to an instance.

    `client_span` is the id that was forwarded, `server_span` the other one, `parent` the id of the span from within which
    the request came; they have 16 hexadecimal digits, and `parent` is empty if the trace began here. `sent_us` is when the
    request was sent, in microseconds after it came; None if it was not. `upstream_status` is 0 if no instance responded.
    `is_fault`: what went wrong is not the client's doing. `call` is the service and the method of a gRPC call.
    """

    record: RequestRecord
    server_span: str
    client_span: str
    parent: str
    scheme: str
    upstream_scheme: str
    version: str
    sent_us: int | None
    upstream_status: int
    is_fault: bool
    call: tuple[str, str] | None = None

    @property
    def spans(self) -> int:
        """How many there are of it."""
        return 1 if self.sent_us is None else 2
