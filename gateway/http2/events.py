"""What `Endpoint.next_event` returns: one value for each thing that a peer has done and that its owner must know of."""

from __future__ import annotations

from typing import Final

from gateway.http2.errors import ConnectionFailure
from gateway.http2.heads import RequestHead, ResponseHead
from gateway.http2.stream import Stream

REQUEST: Final = 1
"""A client has opened a stream: `request` is the head, and `payload` a valid `traceparent` that comes after it, or empty."""
RESPONSE: Final = 2
"""`response` is the head of a response, interim or final."""
DATA: Final = 3
"""`payload` is data. `Endpoint.take` is to be told when its reader has taken it."""
TRAILERS: Final = 4
"""`payload` are the trailers: field lines, each led by CRLF. The stream ends with them."""
RESET: Final = 5
"""The stream has ended before its time, with the error `code`. `is_ours`: we have reset it, for the peer's fault; `payload` says
why."""
MALFORMED: Final = 6
"""The stream's head is no message; `payload` says why. The stream is still open: it may be answered, and is to be reset.

`code` is 1 if the head is only too large."""
DRAINED: Final = 7
"""What waited on the stream was sent, or hardly anything of it still waits."""
GOAWAY: Final = 8
"""The peer takes no new streams, because of the error `code`; those that it does not process have been RESET."""
PONG: Final = 9
"""`payload` is that of a ping of ours."""
SETTINGS: Final = 10
"""The peer has changed its settings: there may be room for more streams."""
REFUSED: Final = 11
"""A stream was refused; `payload` is the limit's name (`budget.LIMITS`)."""
FAILED: Final = 12
"""The connection is at an end, by a fault of the peer: `failure`. GOAWAY was sent; there are no events after this."""


class Event:
    """One event. `ends`: the peer sends nothing more on the stream. What a kind does not have is empty."""

    __slots__ = ("code", "ends", "failure", "is_ours", "kind", "payload", "request", "response", "stream")

    def __init__(
        self,
        kind: int,
        stream: Stream | None = None,
        payload: bytes = b"",
        *,
        ends: bool = False,
        code: int = 0,
        is_ours: bool = False,
        request: RequestHead | None = None,
        response: ResponseHead | None = None,
        failure: ConnectionFailure | None = None,
    ) -> None:
        self.kind = kind
        self.stream = stream
        self.payload = payload
        self.ends = ends
        self.code = code
        self.is_ours = is_ours
        self.request = request
        self.response = response
        self.failure = failure
