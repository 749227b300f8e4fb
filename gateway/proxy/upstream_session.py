"""A connection of HTTP/2 to an instance."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from gateway.failures import CERTIFICATE_REFUSED, UNRESPONSIVE, Fault
from gateway.http2 import events
from gateway.http2.endpoint import Endpoint
from gateway.http2.errors import PROTOCOL_ERROR
from gateway.http2.events import Event
from gateway.http2.terms import Terms
from gateway.proxy.upstream import Upstream, UpstreamOwner, refusal_of
from gateway.proxy.upstream_stream import Carrier, UpstreamStream

ASKS: Final = 2
"""How often it is asked in one silence: servers of gRPC close a connection on which more is asked (`too_many_pings`)."""


# Its public members are what a transport, an owner and its streams call.
class Session(Carrier):
    """One connection that speaks HTTP/2, or is to show whether it does.

    `speaks_http2` is None until the instance has said so: only then is anything sent that it could process. If it is False,
    `other` is the same connection for HTTP/1.1 where that was agreed on (ALPN). `most` is how many streams it carries at a time.
    `refusal` is why the instance refused this program's certificate, empty if it did not.
    """

    __slots__ = (
        "_asked",
        "_asked_at",
        "_clock",
        "_heard_at",
        "_is_leaving",
        "_is_unresponsive",
        "_touched",
        "has_heard",
        "most",
        "other",
        "ready",
        "refusal",
        "speaks_http2",
        "terms",
    )

    def __init__(self, owner: UpstreamOwner, terms: Terms, most: int, ready: asyncio.Future[None]) -> None:
        super().__init__(owner)
        self.terms = terms
        self.most = most
        self.ready = ready
        self.other: Upstream | None = None
        self.speaks_http2: bool | None = None
        self.has_heard: bool = False
        self.refusal: str = ""
        self._touched: list[UpstreamStream] = []
        self._clock = asyncio.get_running_loop().time
        self._heard_at: float = 0.0
        self._asked_at: float = 0.0
        self._asked: int = 0
        self._is_leaving: bool = False
        self._is_unresponsive: bool = False

    # --- for its owner

    @property
    def room(self) -> int:
        """How many more requests it takes now."""
        endpoint = self.endpoint
        if endpoint is None or endpoint.is_going_away or self._is_leaving or self.is_lost or self._asked_at:
            return 0
        return min(self.most, endpoint.peer.streams) - len(endpoint.streams) - self.reserved

    @property
    def is_idle(self) -> bool:
        """Whether it carries nothing."""
        return not self.streams and not self.reserved

    def reserve(self) -> UpstreamStream:
        """A stream for one request. It begins when that is sent."""
        self.reserved += 1
        return UpstreamStream(self)

    def leave(self) -> None:
        """Takes no more requests, and closes as soon as nothing is under way.

        Only then the instance is told: some (those that use the h2 library) take it for the end of everything.
        """
        self._is_leaving = True
        self.close_if_over()

    def close_if_over(self) -> None:
        """Closes if it takes no more requests and carries none."""
        endpoint = self.endpoint
        if (self._is_leaving or (endpoint is not None and endpoint.is_going_away)) and self.is_idle:
            transport = self.transport
            if transport is not None and endpoint is not None and not self.is_lost:
                self.is_lost = True
                endpoint.end()
                self.flush()
                transport.close()

    def look(self, now: float, silence: float) -> None:
        """Notices if the instance is there no more, and asks if that is doubtful. To be called now and then.

        It is asked after so many seconds in which it owed a response and sent nothing of one, and has as many to say so. Until
        it does, it gets no further requests on this connection.
        """
        if self.has_heard or self.is_idle:
            self.has_heard = False
            self._heard_at = now
            self._asked = 0
            self._is_there()
        elif self._asked_at:
            if now - self._asked_at > silence:
                self._is_unresponsive = True
                self.close()
        elif now - self._heard_at > silence and self._asked < ASKS and self.endpoint is not None:
            self._asked_at = now
            self._asked += 1
            self.endpoint.ping(b"are you?")

    def _is_there(self) -> None:
        if self._asked_at:
            self._asked_at = 0.0
            self.owner.has_room(self)

    # --- what the transport says

    def opened(self) -> None:
        """Begins, unless HTTP/1.1 was agreed on."""
        super().opened()
        transport = self.transport
        assert transport is not None
        if self.is_encrypted and transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            other = self.other = Upstream(self.owner)
            transport.set_protocol(other)  # type: ignore[arg-type]
            other.connection_made(transport)
            self.transport = None
            self._settle(False)
            return
        self._heard_at = self._clock()
        self.endpoint = Endpoint(self.terms, self.write, is_server=False, now=self._heard_at)

    def peer_certificate(self) -> Mapping[str, Any] | None:
        """See Upstream."""
        return super().peer_certificate() if self.other is None else self.other.peer_certificate()

    def received(self, data: bytes) -> None:
        """Takes what the instance sent."""
        endpoint = self.endpoint
        if endpoint is None or self.is_lost:
            return
        endpoint.feed(data, self._clock())
        self._work()

    def ended(self) -> bool:
        """Takes that the instance sends no more."""
        return False

    def lost(self, exc: Exception | None) -> None:
        """Takes that the connection is closed."""
        if exc is not None and not self.is_lost:
            # GOAWAY may be among what was not read yet: then the requests are known not to have been processed.
            for data in self.rest_of_it():
                self.received(data)
        self.is_lost = True
        self.refusal = refusal_of(exc)
        self.owner.lost(self)
        self._settle(False)
        fault: Fault | None = None
        if self._is_unresponsive:
            fault = UNRESPONSIVE
        elif self.refusal:
            fault = CERTIFICATE_REFUSED
        streams = list(self.streams.values())
        self.streams.clear()
        for stream in streams:
            try:
                stream.connection_gone(fault, self.refusal)
            except Exception as error:
                stream.caught(error)

    def stalled(self) -> None:
        """Takes that the instance does not read."""
        if self.endpoint is not None:
            self.endpoint.is_held = True

    def drained(self) -> None:
        """Takes that the instance has read what waited."""
        if self.endpoint is not None:
            self.endpoint.release()
            self._work()

    def broken(self) -> None:
        """Takes an error of this program."""
        self.close()

    # --- what the instance says

    def _work(self) -> None:
        endpoint = self.endpoint
        assert endpoint is not None
        event = endpoint.next_event()
        while event is not None:
            self._take(event)
            event = endpoint.next_event()
        while self._touched:
            touched = self._touched
            self._touched = []
            for stream in touched:
                stream.is_touched = False
                try:
                    stream.deliver()
                except Exception as error:
                    stream.caught(error)

    def _take(self, event: Event) -> None:
        kind = event.kind
        if event.stream is not None:
            self.has_heard = True
            stream = self.streams.get(event.stream.id)
            if stream is not None:
                if not stream.is_touched:
                    stream.is_touched = True
                    self._touched.append(stream)
                stream.take(event)
            elif kind == events.DATA and self.endpoint is not None:
                self.endpoint.take(event.stream, len(event.payload))
        elif kind == events.SETTINGS:
            if self.speaks_http2 is None:
                self._settle(True)
            else:
                self.owner.has_room(self)
        elif kind == events.GOAWAY:
            if event.code == PROTOCOL_ERROR:
                self.owner.takes_trailers = False  # which is how nginx says so
            self.close_if_over()
        elif kind == events.PONG:
            self._is_there()
            self._heard_at = self._clock()
        elif kind == events.FAILED:
            self.flush()
            self.close()

    def _settle(self, speaks_http2: bool) -> None:
        if self.speaks_http2 is None:
            self.speaks_http2 = speaks_http2
            if not self.ready.done():
                self.ready.set_result(None)

    # --- for its streams

    def over(self, stream: UpstreamStream) -> None:
        """See Carrier."""
        if stream.stream is None:
            self.reserved -= 1
        else:
            self.streams.pop(stream.stream.id, None)
        if self.is_idle:
            self.idle_since = self._clock()
        self.owner.has_room(self)
