"""What an exchange needs of a response on its way to the client, whatever the two sides speak."""

from __future__ import annotations

from gateway.http.response import Response
from gateway.proxy.request_body import RequestBody


class Relay:
    """Takes what an instance sends, and passes it on to the client.

    `response` is the head that was passed on; `keeps`: the client's connection takes another request after it. `refused` is
    the head with which a sidecar refused the request.
    """

    __slots__ = ("keeps", "refused", "response")

    def __init__(self) -> None:
        self.response: Response | None = None
        self.keeps: bool = False
        self.refused: Response | None = None

    @property
    def is_in_head(self) -> bool:
        """Whether part of a head has come."""
        raise NotImplementedError

    @property
    def is_told_by_closing(self) -> bool:
        """Whether only the close of its connection tells the client that it has the whole response."""
        raise NotImplementedError

    def receive(self, data: bytes, request_body: RequestBody | None) -> int:
        """Passes on what the instance sent. `request_body` may still be on its way up.

        Returns what has become of the response (MORE, ENDED, …, SWITCHED, REFUSED). Raises ProtocolError for what is malformed;
        if `response` is None then, nothing of a final response was sent to the client.
        """
        raise NotImplementedError

    def begin(self, head: bytes, data: bytes, request_body: RequestBody | None) -> int:
        """Passes on a whole head, which other responses may have had, and what came after it. Returns and raises as `receive`."""
        raise NotImplementedError

    def pass_refusal(self, request_body: RequestBody | None) -> int:
        """Passes on a refusal that is the response after all. Returns and raises as `receive`."""
        raise NotImplementedError

    def proceed(self, has_ended: bool = False) -> int:
        """Passes on what was left for a later turn; all of it, if the instance has ended. Returns and raises as `receive`."""
        raise NotImplementedError

    def take_trailers(self, lines: bytes) -> None:
        """Takes the trailers of a response that ends next: field lines, each led by CRLF."""
        raise NotImplementedError

    def end(self) -> bool:
        """Takes that the instance has closed, and meant to; returns whether that is the end of the response."""
        raise NotImplementedError
