"""One client connection that speaks HTTP/2: frames in, an exchange for each stream, and the connection's own end."""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from random import random
from typing import Final

from gateway.errors import ProtocolError
from gateway.failures import BAD_REQUEST, HEAD_TOO_LARGE, METHOD_REFUSED, UNKNOWN_PROTOCOL
from gateway.http.head_reader import HeadReader
from gateway.http.request import VERSION_2, Request
from gateway.http2 import events
from gateway.http2.budget import BUFFERED
from gateway.http2.endpoint import Endpoint
from gateway.http2.errors import INTERNAL_ERROR, ConnectionFailure, name_of
from gateway.http2.events import Event
from gateway.http2.frames import PREFACE
from gateway.http2.heads import RequestHead
from gateway.proxy.bounds import Http2
from gateway.proxy.client import LINGER, ClientConnection
from gateway.proxy.client_stream import ClientStream, StreamOwner
from gateway.proxy.record import Record

FEW: Final = 8
"""Events that are worked on whatever else there is to do."""
_PROBE: Final = b"present?"
_LAST_CALL: Final = b"last one"
"""What a ping says that wants to know whether the client is there, and one that wants to know whether it has read GOAWAY."""


def chose_http2(transport: asyncio.Transport | None) -> bool:
    """Whether the TLS handshake of a connection has chosen HTTP/2 (RFC 9113 §3.2)."""
    tls = None if transport is None else transport.get_extra_info("ssl_object")
    return tls is not None and tls.selected_alpn_protocol() == "h2"


def is_preface(data: bytes) -> bool:
    """Whether the first bytes of a connection are how a client begins that speaks HTTP/2 (§3.4), or may become that."""
    return data.startswith(PREFACE) or PREFACE.startswith(data)


def speak_http2(connection: ClientConnection, data: bytes) -> bool:
    """Goes on in HTTP/2, with what was read of a connection; returns whether that is spoken here."""
    http2 = connection.context.http2
    transport = connection.transport
    if http2 is None or transport is None:
        return False
    successor = Http2Downstream(connection, http2)
    transport.set_protocol(successor)  # type: ignore[arg-type]
    if data:
        successor.received(data)
    return True


# Its public members are what a transport, its streams and the listener call: none is its own idea.
class Http2Downstream(StreamOwner):
    """A client that speaks HTTP/2. It begins with what `previous` is: the same connection, before anybody knew.

    `_streams` are those of which something may still come, either way. It leaves in two steps (RFC 9113 §6.8): `_is_leaving`
    says since when the client knows that there is to be no new stream, and after `_has_left` none is taken.
    """

    __slots__ = (
        "_expires",
        "_has_left",
        "_heard_at",
        "_is_full",
        "_leaving_since",
        "_probed_at",
        "_reader",
        "_streams",
    )

    def __init__(self, previous: ClientConnection, http2: Http2) -> None:
        context = previous.context
        clients = previous.clients
        super().__init__(context, clients)
        self.transport = previous.transport
        self.is_encrypted = previous.is_encrypted
        self.peer = previous.peer
        previous.transport = None
        clients.leave(previous, self.peer.ip)
        clients.enter(self, self.peer.ip)
        self._reader: HeadReader = context.trusted_reader if self.peer.is_trusted else context.reader
        self._streams: dict[int, ClientStream] = {}
        self._is_full: bool = False
        self._heard_at: float = context.now
        self._probed_at: float = 0.0
        self._expires: float = context.now + http2.max_age * (0.9 + 0.2 * random()) if http2.max_age else float("inf")
        self._leaving_since: float = 0.0
        self._has_left: bool = False
        self.deadline = 0.0  # every tick looks at the streams'
        self.endpoint = Endpoint(http2.terms, self.write, True, context.now)

    # --- what the transport says

    def received(self, data: bytes) -> None:
        """Takes what the client sent."""
        if self.is_closing:
            return
        self._heard_at = self.context.now
        self.endpoint.feed(data, self.context.now)
        if not self.is_resting:
            self._work()

    def proceed(self) -> None:
        """Works on what was left for this turn."""
        self._work()

    def lost(self, exc: Exception | None) -> None:
        """Takes that the connection is closed."""
        self.is_closing = True
        self.clients.leave(self, self.peer.ip)
        self.context.traffic.connections -= 1
        self._drop_streams()

    def stalled(self) -> None:
        """The client does not read: what is for it waits on its streams, and what else it wants is not read either."""
        self.endpoint.is_held = True
        if not self.is_closing:
            self.pause_reading()

    def drained(self) -> None:
        """The client has read what waited."""
        self.resume_reading()
        self.endpoint.release()
        if not self.is_resting:
            self._work()

    def broken(self) -> None:
        """Takes an error of this program that is no stream's."""
        self.context.traffic.internal_errors += 1
        self._fail(ConnectionFailure(INTERNAL_ERROR, "internal error in the gateway"))

    # --- events

    def _work(self) -> None:
        """Works on events until there are none, or the turn is over."""
        endpoint = self.endpoint
        count = 0
        while True:
            if count >= FEW and not self._queue.has_time():
                self.rest()
                break
            event = endpoint.next_event()
            if event is None:
                break
            count += 1
            self._take(event)
        if self._is_full and not endpoint.is_full:
            self._is_full = False
            for stream in list(self._streams.values()):
                if stream.writes_paused and not stream.stream.pending:
                    stream.resume_writing()

    def _take(self, event: Event) -> None:
        kind = event.kind
        if kind == events.REQUEST:
            self._open(event)
            return
        number = 0 if event.stream is None else event.stream.id
        client = self._streams.get(number)
        if client is not None:
            try:
                self._take_of_stream(client, event)
            except ProtocolError as error:
                client.refuse(error)
            except Exception as error:
                client.caught(error)
        elif kind == events.DATA and event.stream is not None:
            self.endpoint.take(event.stream, len(event.payload))
        elif kind == events.MALFORMED:
            self._open(event)
        elif kind == events.REFUSED:
            self.context.traffic.count_http2_failure(event.payload.decode("ascii"))
        elif kind == events.PONG and event.payload == _LAST_CALL:
            self._leave()
        elif kind == events.FAILED and event.failure is not None:
            self._count(event.failure)
            self._drop_streams()
            self.close_gently()

    def _take_of_stream(self, client: ClientStream, event: Event) -> None:
        kind = event.kind
        if kind == events.DATA:
            client.request_data(event.payload, event.ends)
        elif kind == events.DRAINED:
            client.peer_drained()
        elif kind == events.TRAILERS:
            client.request_trailers(event.payload)
        elif kind == events.RESET:
            self.over(client)
            client.gone()
        elif kind == events.MALFORMED:
            client.refuse_malformed(ProtocolError(BAD_REQUEST, event.payload.decode()))

    def _open(self, event: Event) -> None:
        """Begins an exchange for a stream, or refuses its request."""
        stream = event.stream
        assert stream is not None
        endpoint = self.endpoint
        if endpoint.is_full:
            endpoint.refuse(stream, BUFFERED)
            return
        client = self._streams[stream.id] = ClientStream(self, stream)
        self.context.traffic.http2_started += 1
        try:
            if event.request is None:
                failure = HEAD_TOO_LARGE if event.code else BAD_REQUEST
                client.refuse_malformed(ProtocolError(failure, event.payload.decode()))
                return
            client.start(self._judge(event.request, event.ends, event.payload))
        except ProtocolError as error:
            client.refuse(error)
        except Exception as error:
            client.caught(error)

    def _judge(self, head: RequestHead, ends: bool, traceparent: bytes) -> Request:
        """The request that a head is, judged as any other, or as it was before. Raises ProtocolError."""
        if head.method != b"CONNECT":
            number = (1 if ends else 0) + (2 if self.peer.is_trusted else 0)
            known = head.judged.get(number)
            if known is None:
                known = head.judged[number] = self._read_text(head.text(ends))
                _ = known.is_grpc  # which is found out once
            if traceparent:
                request = self._reader.traced(known, traceparent)
                self._check_size(request.head)
                return request
            return known.again() if head.is_plain else known
        if head.protocol.lower() == b"websocket":
            return self._read_text(head.upgrade_text(b64encode(os.urandom(16))))
        if head.protocol:
            raise ProtocolError(UNKNOWN_PROTOCOL, "CONNECT is only supported for WebSockets")
        raise ProtocolError(METHOD_REFUSED, "CONNECT is not supported")

    def _read_text(self, text: bytes) -> Request:
        self._check_size(text)
        request = self._reader.read(text)
        request.version = VERSION_2
        return request

    def _check_size(self, text: bytes) -> None:
        most = self.context.limits.head_bytes
        if len(text) > most:
            raise ProtocolError(HEAD_TOO_LARGE, f"the head is longer than {most} bytes")

    # --- what streams say

    def filled(self) -> None:
        """More waits for the client than there may: no stream is to add to it."""
        if not self._is_full:
            self._is_full = True
            for stream in list(self._streams.values()):
                stream.peer_stalled()

    def over(self, stream: ClientStream) -> None:
        """Nothing more comes of a stream."""
        streams = self._streams
        if streams.pop(stream.stream.id, None) is not None and not streams:
            self.quiet_since = self.context.now
            if self._has_left:
                self.close_gently()

    # --- the end

    def records(self) -> list[Record]:
        """See `ClientConnection`."""
        return [stream.exchange.record for stream in self._streams.values() if stream.exchange is not None]

    def deadline_passed(self) -> None:
        """Looks, at every tick, at what has waited too long."""
        now = self.context.now
        if self.is_closing:
            if self.is_taken():
                self.deadline = now + self.context.timeouts.body_idle
            else:
                self.close_now()
            return
        for stream in [stream for stream in self._streams.values() if stream.deadline < now]:
            stream.run(stream.deadline_passed)
        self._look_after(now)

    def _look_after(self, now: float) -> None:
        timeouts = self.context.timeouts
        if self._leaving_since:
            if not self._has_left and self._leaving_since < now - LINGER:
                self._leave()
        elif self.context.is_draining or self._expires < now:
            self._announce()
        elif self._streams:
            self._probe(now)
        elif self.quiet_since < now - (timeouts.keep_alive if self.endpoint.peer.are_known else timeouts.head):
            self.close_if_idle()

    def _probe(self, now: float) -> None:
        """Asks a client that has been silent for long whether it is there; one that does not say so is gone."""
        http2 = self.context.http2
        if http2 is None or not http2.ping or self.writes_paused:
            return
        if self._heard_at >= now - http2.ping:
            self._probed_at = 0.0
        elif not self._probed_at:
            self._probed_at = now
            self.endpoint.ping(_PROBE)
        elif self._probed_at < now - http2.ping:
            self.close_now()

    def close_if_idle(self) -> None:
        """Closes a connection without streams, as soon as the client knows."""
        if not self._streams and not self._leaving_since and not self.is_closing:
            self._announce()

    def _announce(self) -> None:
        """Tells the client to open no new streams. What comes back to the ping is after all that it has opened."""
        self._leaving_since = self.context.now
        self.endpoint.announce_end()
        self.endpoint.ping(_LAST_CALL)

    def _leave(self) -> None:
        """Takes no new streams; closes after the last one."""
        if not self._has_left:
            self._has_left = True
            self.endpoint.end()
            if not self._streams:
                self.close_gently()

    def close_now(self) -> None:
        """Closes at once; what is under way is cut off, and so that the client can notice."""
        self.is_closing = True
        transport = self.transport
        for stream in list(self._streams.values()):
            stream.close_now()
        if transport is not None:
            self.flush()
            transport.abort()

    def _fail(self, failure: ConnectionFailure) -> None:
        self.endpoint.fail(failure)
        self._drop_streams()
        self.close_gently()

    def _count(self, failure: ConnectionFailure) -> None:
        self.context.traffic.count_http2_failure(failure.attack or name_of(failure.code))

    def _drop_streams(self) -> None:
        streams = list(self._streams.values())
        self._streams.clear()
        for stream in streams:
            stream.run(stream.gone)
