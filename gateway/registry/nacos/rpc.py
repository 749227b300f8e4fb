"""The client's side of Nacos' gRPC protocol: one connection to one server of a cluster, and another one when that is lost.

A connection is set up, and then carries requests, pushes and what was registered over it. It ends for good: whoever used it
gets `RegistryError` and asks for the next one. Imported by those who speak gRPC, when they begin to.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from grpclib.client import Channel
from grpclib.config import Configuration
from grpclib.const import Cardinality

from gateway import __version__
from gateway.daemons import keep_running
from gateway.errors import RegistryError
from gateway.registry.largejson import read_json
from gateway.registry.nacos import messages
from gateway.registry.nacos.elsewhere import Elsewhere
from gateway.registry.nacos.messages import BY_REQUEST, JSON, ResponseError
from gateway.registry.nacos.payload import STREAM, UNARY, Payload
from gateway.registry.nacos.wire import Codec, Reader
from gateway.registry.singleflight import SingleFlight
from gateway.settings.nacosports import PORT_OFFSET
from gateway.tls.contexts import UpstreamTLS

_log = logging.getLogger("gateway.registry")

CONNECT: Final = 2.0
"""Seconds that connecting and setting up may take."""
TIMEOUT: Final = 3.0
"""Seconds that a request may take."""
HEALTH: Final = 5.0
"""Seconds between two looks whether the server is there, as Nacos' own clients have it."""
FIRST_RETRY: Final = 0.1
LONGEST_RETRY: Final = 5.0
"""Seconds between two tries to be connected again."""
_SETTLING: Final = 0.02

Push = Callable[[JSON], None]


def _named(tls: UpstreamTLS | None) -> Configuration | None:
    """The name that a server's certificate has to be for, if it is not that of its address."""
    return None if tls is None or not tls.server_name else Configuration(ssl_target_name_override=tls.server_name)


class Connection:
    """A connection that is set up. `lost` is set when it is over."""

    def __init__(self, address: str, channel: Channel, pushed: Mapping[str, Push]) -> None:
        self.address = address
        self.lost = asyncio.Event()
        self._channel = channel
        self._pushed = pushed
        self._reader = Reader()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_set_up = asyncio.Event()

    @staticmethod
    async def open(
        address: str, module: str, namespace: str, pushed: Mapping[str, Push], tls: UpstreamTLS | None
    ) -> Connection:
        """Connects to `host:port`, the server's address for HTTP, and sets up. Raises RegistryError."""
        host, _, port = address.rpartition(":")
        grpc = f"{address} (gRPC on port {int(port) + PORT_OFFSET})"
        channel = Channel(
            host.strip("[]"),
            int(port) + PORT_OFFSET,
            ssl=None if tls is None else tls.context,
            codec=Codec(),
            config=_named(tls),
        )
        connection = Connection(address, channel, pushed)
        try:
            async with asyncio.timeout(CONNECT):
                await connection._set_up(module, namespace)
        except TimeoutError as error:
            connection.close()
            raise RegistryError("timeout", f"{grpc} did not respond within {CONNECT:g} s") from error
        except BaseException:
            connection.close()
            raise
        return connection

    async def _set_up(self, module: str, namespace: str) -> None:
        checked = await self.request("ServerCheckRequest", {})
        negotiates = checked.get("supportAbilityNegotiation") is True
        setup = {
            "clientVersion": f"gray-gateway:{__version__}",
            "tenant": namespace,
            "labels": {"source": "sdk", "module": module},
            "abilityTable": {},
            "module": messages.INTERNAL,
        }
        opened = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(self._listen(setup, opened)))
        await self.wait_first(opened)
        if negotiates:
            await self.wait_first(self._is_set_up)
        # The stream and the first request may overtake each other at the server.
        while True:
            answer = await self._exchange("HealthCheckRequest", {}, {})
            if messages.has_succeeded(answer):
                break
            await asyncio.sleep(_SETTLING)
        self._tasks.append(loop.create_task(self._look_after()))

    async def wait_first(self, event: asyncio.Event, timeout: float = TIMEOUT) -> bool:
        """Waits for something that a connection which is lost will never see; False: not within `timeout` seconds.

        Raises RegistryError where the connection is lost.
        """
        loop = asyncio.get_running_loop()
        waiting = [loop.create_task(event.wait()), loop.create_task(self.lost.wait())]
        try:
            await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        if self.lost.is_set():
            raise self._gone()
        return event.is_set()

    def _gone(self) -> RegistryError:
        return RegistryError("unreachable", f"the connection to {self.address} was lost")

    async def request(self, request: str, body: JSON, headers: Mapping[str, str] | None = None) -> JSON:
        """A response that says yes. Raises RegistryError for one that does not, and for none."""
        response = await self._exchange(request, {"module": BY_REQUEST[request].module, **body}, headers or {})
        if messages.has_succeeded(response):
            return response
        code, message = response.get("errorCode"), f"{response.get('message') or 'no reason given'}"[:300]
        if code == messages.UNREGISTERED:
            self.close()
        raise ResponseError(code if isinstance(code, int) else 0, f"{self.address} refused {request}: {message}")

    async def _exchange(self, request: str, body: JSON, headers: Mapping[str, str]) -> JSON:
        if self.lost.is_set():
            raise self._gone()
        payload = Payload(request, json.dumps(body).encode(), headers)
        try:
            async with asyncio.timeout(TIMEOUT):
                async with self._channel.request(UNARY, Cardinality.UNARY_UNARY, Payload, Payload) as stream:
                    await stream.send_message(payload, end=True)
                    await stream.recv_initial_metadata()
                    with stream._wrapper:
                        answer = await self._reader.read(stream)
        except TimeoutError as error:
            raise RegistryError(
                "timeout", f"{self.address} did not respond to {request} within {TIMEOUT:g} s"
            ) from error
        except OSError as error:
            raise RegistryError(
                "unreachable", f"cannot reach {self.address} over gRPC: {error.strerror or error}"
            ) from error
        except Exception as error:
            reason = "unreachable" if self.lost.is_set() else "api"
            raise RegistryError(
                reason, f"{self.address} does not respond over gRPC: {str(error) or type(error).__name__}"
            ) from error
        return await _json(answer, self.address)

    async def _listen(self, setup: JSON, opened: asyncio.Event) -> None:
        """What the server says on the stream, each acknowledged."""
        try:
            async with AsyncExitStack() as stack:
                call = self._channel.request(STREAM, Cardinality.STREAM_STREAM, Payload, Payload)
                stream = await stack.enter_async_context(call)
                await stream.send_message(Payload("ConnectionSetupRequest", json.dumps(setup).encode()))
                opened.set()
                await stream.recv_initial_metadata()
                while True:
                    with stream._wrapper:
                        payload = await self._reader.read(stream)
                    if payload is None:
                        break
                    body = await _json(payload, self.address)
                    call_of = BY_REQUEST.get(payload.type)
                    if call_of is None:
                        continue
                    ack = messages.succeeded(f"{body.get('requestId') or ''}")
                    await stream.send_message(Payload(call_of.response, json.dumps(ack).encode()))
                    self._take(payload.type, body)
        except Exception as error:  # noqa: BLE001 - whatever it is, the connection is over
            _log.debug("the stream from %s ended: %r", self.address, error)
        finally:
            self.close()

    def _take(self, request: str, body: JSON) -> None:
        if request == "SetupAckRequest":
            self._is_set_up.set()
        elif request == "ConnectResetRequest":
            _log.info("registry %s requests another connection", self.address)
            self.close()
        elif request in self._pushed:
            self._pushed[request](body)

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(HEALTH)
            try:
                await self.request("HealthCheckRequest", {})
            except RegistryError as error:
                if not self.lost.is_set():
                    _log.warning("registry %s: %s", self.address, error)
                self.close()
                return

    def close(self) -> None:
        """Ends it, and everybody's waiting for it."""
        if self.lost.is_set():
            return
        self.lost.set()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._channel.close()


class RpcClient:
    """The connection to a cluster, to the first of its servers that answers.

    `token` gives the one to show, and a new one where the one that was shown is refused. `connected` is called with each new
    connection, before anybody else has it: what was registered over the last one is gone with that.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        module: str,
        namespace: str,
        token: Callable[[str | None], Awaitable[str]],
        tls: UpstreamTLS | None = None,
    ) -> None:
        self._addresses = tuple(addresses)
        self._module = module
        self._namespace = namespace
        self._token = token
        self.tls = tls
        """The terms of new connections; None: they are in plain text."""
        self._connecting = SingleFlight[Connection]()
        self._current: Connection | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.pushed: dict[str, Push] = {}
        self.connected: Callable[[Connection], Awaitable[None]] = _nothing
        self.elsewhere = Elsewhere(self)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return self._current is not None and not self._current.lost.is_set()

    async def connection(self) -> Connection:
        """The one that there is, or a new one. Raises RegistryError."""
        if self._current is not None and not self._current.lost.is_set():
            return self._current
        return await self._connecting.run(self._connect)

    async def _connect(self) -> Connection:
        connection = await self._open(self._addresses, self.pushed)
        _log.info("connected to registry %s over gRPC", connection.address)
        await self.connected(connection)
        self._current = connection
        return connection

    async def _open(self, addresses: Sequence[str], pushed: Mapping[str, Push]) -> Connection:
        """A connection to the first of some servers that answers. Raises RegistryError."""
        trouble: RegistryError | None = None
        for address in addresses:
            try:
                return await Connection.open(address, self._module, self._namespace, pushed, self.tls)
            except RegistryError as error:
                trouble = trouble or error
        raise trouble or RegistryError("unreachable", "there is no other server")

    async def open_other(self, address: str) -> Connection:
        """A connection to another server than that at `address`, for questions only. Raises RegistryError."""
        return await self._open([other for other in self._addresses if other != address], {})

    def prefer(self, address: str) -> None:
        """Tries this server first from now on."""
        self._addresses = (address, *(other for other in self._addresses if other != address))

    async def request(self, connection: Connection, request: str, body: JSON) -> JSON:
        """A request over one connection, as whom we are logged in as. Raises RegistryError."""
        token = await self._token(None)
        try:
            return await connection.request(request, body, _headers(token))
        except RegistryError as error:
            fresh = token if error.reason != "auth" else await self._token(token)
            if fresh == token:
                raise
        return await connection.request(request, body, _headers(fresh))

    def keep_connected(self) -> None:
        """From now on there is to be a connection, whether somebody asks for it or not."""
        if self._keeping is None:
            self._keeping = keep_running("keeping a connection to Nacos", self._keep)

    async def _keep(self) -> None:
        pause = FIRST_RETRY
        while True:
            try:
                connection = await self.connection()
            except RegistryError:
                await asyncio.sleep(pause)
                pause = min(LONGEST_RETRY, 2 * pause)
                continue
            pause = FIRST_RETRY
            await connection.lost.wait()

    async def close(self) -> None:
        """Closes the connection."""
        if self._keeping is not None:
            self._keeping.cancel()
        self.elsewhere.close()
        if self._current is not None:
            self._current.close()


def _headers(token: str) -> dict[str, str]:
    return {"accessToken": token} if token else {}


async def _json(payload: Payload | None, address: str) -> JSON:
    try:
        body: Any = await read_json(((payload.body if payload is not None else b"") or b"{}").decode())
    except (ValueError, RecursionError) as error:
        raise RegistryError("bad_response", f"{address} returned a response that is not JSON") from error
    if not isinstance(body, dict):
        raise RegistryError("bad_response", f"{address} returned JSON that is not an object")
    return body


async def _nothing(_: Connection) -> None:
    """Nothing was registered."""
