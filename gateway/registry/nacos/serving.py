"""The server's side of Nacos' gRPC protocol: connections, their setting up, requests, and what is pushed to them.

What requests mean is the `Backend`'s: that of the embedded registry, or that of the façade in a sidecar. A connection is an
HTTP/2 connection. Pushes wait in an outbox by what they are about, and are composed when they are sent: a slow client gets the
latest list once, and never holds anybody else up.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

from grpclib.config import Configuration
from grpclib.const import Cardinality, Handler
from grpclib.protocol import H2Protocol
from grpclib.server import Handler as GrpcHandler
from grpclib.server import Server

from gateway.daemons import keep_running
from gateway.printable import printable
from gateway.registry.nacos import messages
from gateway.registry.nacos.connected import Backend, Connected, Refusal
from gateway.registry.nacos.messages import ACKNOWLEDGEMENTS, BY_REQUEST, JSON, failed
from gateway.registry.nacos.payload import STREAM, UNARY, MalformedPayload, Payload
from gateway.registry.nacos.wire import Codec, Reader
from gateway.web.problems import Rejected
from gateway.web.work import Work

_log = logging.getLogger("gateway.registry")

MAX_CONNECTIONS: Final = 10_000
SILENT: Final = 20.0
"""Seconds without a word after which a client is asked whether it is there; Nacos' clients say something every 5."""
GONE: Final = 40.0
"""Seconds without a word after which its connection is closed: it may be half open, and what it registered must go."""
STUCK: Final = 30.0
"""Seconds that a push may take; a client that reads nothing for so long is cut off."""
TICK: Final = 5.0


class GrpcServer:
    """Serves `backend` on a socket. `purpose` names it in errors."""

    def __init__(self, backend: Backend, work: Work, purpose: str) -> None:
        self._backend = backend
        self._work = work
        self._purpose = purpose
        self._reader = Reader()
        self._connections: dict[H2Protocol, Connected] = {}
        self._server = _Server(self)
        self._task: asyncio.Task[None] | None = None

    async def start(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Begins to accept connections from a socket that listens."""
        await self._server.start(sock=sock, ssl=tls)
        self._task = keep_running("looking after gRPC clients", self._look_after)

    async def close(self) -> None:
        """Closes all connections."""
        if self._task is None:
            return
        self._task.cancel()
        self._task = None
        self._server.close()
        for connection in self.connections:
            connection.close()
        await self._server.wait_closed()

    @property
    def connections(self) -> list[Connected]:
        """Those that are open."""
        return list(self._connections.values())

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self.look(asyncio.get_running_loop().time())

    def look(self, now: float) -> None:
        """Cuts off whoever is not there any more, as far as is known."""
        for connection in self.connections:
            silence = now - connection.heard_at
            is_stuck = connection.writing_since is not None and now - connection.writing_since > STUCK
            if silence > GONE or is_stuck or (not connection.is_set_up and silence > SILENT):
                why = "reads nothing" if is_stuck else f"was silent for {silence:.0f} s"
                _log.warning("a client at %s of %s %s: cut off", connection.ip, self._purpose, why)
                connection.close()
            elif silence > SILENT:
                connection.notify("ClientDetectionRequest")

    # --- one connection

    def opened(self, protocol: H2Protocol, ip: str, close: Callable[[], None]) -> dict[str, Handler] | None:
        """What a new connection may call; None where there are too many."""
        if len(self._connections) >= MAX_CONNECTIONS:
            _log.warning("a client at %s of %s was turned away: there are %d", ip, self._purpose, MAX_CONNECTIONS)
            return None
        connection = self._connections[protocol] = Connected(ip, close)
        connection.heard_at = asyncio.get_running_loop().time()

        async def unary(stream: Any) -> None:
            await self._unary(connection, stream)

        async def talk(stream: Any) -> None:
            await self._talk(connection, stream)

        return {
            UNARY: Handler(unary, Cardinality.UNARY_UNARY, Payload, Payload),
            STREAM: Handler(talk, Cardinality.STREAM_STREAM, Payload, Payload),
        }

    def lost(self, protocol: H2Protocol) -> None:
        """A connection is gone."""
        connection = self._connections.pop(protocol, None)
        if connection is not None:
            self._backend.closed(connection)

    async def _unary(self, connection: Connected, stream: Any) -> None:
        try:
            payload = await self._reader.read(stream)
        except (MalformedPayload, TimeoutError) as error:
            # Who does not speak the protocol, or sends without an end, is not read any further.
            _log.warning("a client at %s of %s sent %s", connection.ip, self._purpose, printable(str(error)))
            connection.close()
            return
        if payload is None:
            return
        connection.heard_at = asyncio.get_running_loop().time()
        kind, response = await self._responded(connection, payload)
        await stream.send_message(Payload(kind, json.dumps(response).encode()))

    async def _responded(self, connection: Connected, payload: Payload) -> tuple[str, JSON]:
        request_id = ""
        call = BY_REQUEST.get(payload.type)
        kind = "ErrorResponse" if call is None or call.pushed or not call.response else call.response
        try:
            body = await self._work.json(payload.body or b"{}")
            if not isinstance(body, dict):
                raise Refusal(400, "the body of a request must be a JSON object")
            request_id = f"{body.get('requestId') or ''}"[:100]
            if kind == "ErrorResponse":
                raise Refusal(messages.NO_HANDLER, f"there is no handler for {printable(payload.type)[:100]}")
            if payload.type == "ServerCheckRequest":
                said = {"connectionId": connection.id, "supportAbilityNegotiation": False}
                return kind, messages.succeeded(request_id, **said)
            if not connection.is_set_up:
                kind = "ErrorResponse"
                raise Refusal(messages.UNREGISTERED, "the connection is not set up")
            if payload.type == "HealthCheckRequest":
                return kind, messages.succeeded(request_id)
            response = await self._backend.respond(connection, payload.type, body, payload.headers)
            return kind, {**response, **({"requestId": request_id} if request_id else {})}
        except Refusal as error:
            return kind, failed(error.code, str(error), request_id)
        except Rejected as rejected:
            return kind, failed(rejected.status, rejected.detail, request_id)
        except Exception:  # noqa: BLE001 - a bug; the client gets an error in its form all the same, and the log the rest
            _log.exception("%s of %s failed", printable(payload.type)[:100], self._purpose)
            return kind, failed(messages.FAILURE, "internal error; see the registry's log", request_id)

    async def _talk(self, connection: Connected, stream: Any) -> None:
        """The stream on which a client sets itself up, and is told of changes."""
        writing: asyncio.Task[None] | None = None
        try:
            # With a response's head at once: some clients wait for it.
            await stream.send_initial_metadata()
            while (payload := await self._reader.read(stream)) is not None:
                connection.heard_at = asyncio.get_running_loop().time()
                if payload.type == "ConnectionSetupRequest":
                    body = await self._work.json(payload.body or b"{}")
                    version = body.get("clientVersion") if isinstance(body, dict) else ""
                    connection.client = printable(f"{version or ''}")[:100]
                    connection.is_set_up = True
                    if writing is None:
                        writing = asyncio.get_running_loop().create_task(self._push(connection, stream))
                elif payload.type not in ACKNOWLEDGEMENTS:
                    _log.debug("a client at %s says %s on the stream", connection.ip, printable(payload.type))
        except (MalformedPayload, TimeoutError, Rejected) as error:
            _log.warning("a client at %s of %s sent %s", connection.ip, self._purpose, printable(str(error)))
        finally:
            if writing is not None:
                writing.cancel()
            # Without its stream a client hears of nothing any more: it has to notice, and come again.
            connection.close()

    async def _push(self, connection: Connected, stream: Any) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            connection.writing_since = None
            request, key = await connection.next_push()
            said: JSON | None = {}
            if BY_REQUEST[request].module != messages.INTERNAL:
                said = self._backend.compose(connection, request, key)
            if said is None:
                continue
            connection.writing_since = clock()
            try:
                body = {"requestId": connection.next_id(), "module": BY_REQUEST[request].module, **said}
                await stream.send_message(Payload(request, json.dumps(body).encode()))
            except Exception:  # noqa: BLE001 - whatever grpclib and h2 raise for a connection that goes: it is gone
                connection.close()
                return


class _Server(Server):
    """grpclib's, with the connections that it makes known."""

    def __init__(self, owner: GrpcServer) -> None:
        super().__init__([], codec=Codec())
        self._owner = owner

    def _protocol_factory(self) -> H2Protocol:
        made = super()._protocol_factory()
        assert isinstance(made.handler, GrpcHandler)
        return _Protocol(self._owner, made.handler, made.config, made.h2_config)


class _Protocol(H2Protocol):
    def __init__(self, owner: GrpcServer, handler: GrpcHandler, config: Configuration, h2_config: Any) -> None:
        super().__init__(handler, config, h2_config)
        self.grpc_handler = handler
        self._owner = owner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._transport = transport
        mapping = self._owner.opened(self, peer[0] if isinstance(peer, tuple) else "", self.cut)
        if mapping is None:
            self.cut()
        else:
            self.grpc_handler.mapping = mapping

    def cut(self) -> None:
        """Closes the connection, whether its client reads what is left or not."""
        self.processor.close("cut off")
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception as error:  # noqa: BLE001 - h2 and grpclib have many for frames that nobody should send
            _log.debug("a gRPC client was cut off: %s", printable(repr(error)))
            self.cut()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._owner.lost(self)
