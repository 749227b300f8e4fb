"""Sends an instance our own request, spoken as ordinary ones are: by HTTP/1.1 or HTTP/2, in TLS with the same checks.

A connection each time: whether one can be made is half of the question.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from gateway.errors import ProtocolError
from gateway.grpc.call import PREFIX, framed, is_one_message
from gateway.grpc.health import PATH, SERVING, decode_status, encode_check
from gateway.http.response import ResponseReader
from gateway.http2 import events
from gateway.http2.blocks import request_block
from gateway.http2.endpoint import Endpoint
from gateway.http2.hpack import encode_field
from gateway.http2.stream import Stream
from gateway.http2.terms import Terms
from gateway.instance import Instance
from gateway.tls.contexts import Spoken

Speaks = Callable[[Instance, str, bool], Spoken]
"""How an instance of a service is spoken to, for gRPC or any other request."""

_PIECE: Final = 65536
_MOST: Final = 65536
"""Bytes of a head, or of a response to a check by gRPC: more is none."""
_TERMS: Final = Terms(streams=1, list_bytes=_MOST)
_FAILURES: Final = (OSError, TimeoutError, ValueError, ProtocolError)
"""What a check that fails raises; ValueError: a host that cannot even be looked up (`a..b`)."""


class _NotHttp2(OSError):
    """The instance speaks something else."""


async def responds_well(
    service: str, instance: Instance, path: str, *, timeout: float, spoken: Spoken, fields: Mapping[str, str]
) -> bool:
    """Whether an instance responds to a GET for `path`, with these fields, with a status below 400 within `timeout` seconds."""
    head = _head(f"GET {path}", service, {"Accept": "*/*", **fields})
    try:
        async with asyncio.timeout(timeout):
            return await _status(instance, spoken, head) < 400
    except _FAILURES:
        return False


async def serves(
    service: str, instance: Instance, name: str, *, timeout: float, spoken: Spoken, fields: Mapping[str, str]
) -> bool:
    """Whether an instance says within `timeout` seconds, by grpc.health.v1, that it serves what is called `name`.

    An empty name is the server as a whole. `fields` go with the call.
    """
    message = encode_check(name)
    head = _head(f"POST {PATH}", service, {"Content-Type": "application/grpc", **fields})
    try:
        async with asyncio.timeout(timeout), _connected(instance.grpc or instance, spoken) as connection:
            status, body, trailers = await connection.by_http2(head, framed(message))
    except _FAILURES:
        return False
    is_message = body[:1] == b"\0" and is_one_message(body)
    is_sound = status == 200 and is_message and b"\r\ngrpc-status: 0\r\n" in trailers + b"\r\n"
    return is_sound and decode_status(body[PREFIX:]) == SERVING


def _head(request: str, service: str, fields: Mapping[str, str]) -> bytes:
    lines = [f"{request} HTTP/1.1", f"Host: {service}", "User-Agent: gateway-check"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in fields.items()), "", ""]).encode("latin-1")


async def _status(instance: Instance, spoken: Spoken, head: bytes) -> int:
    """The status of the response to a request with this head."""
    try:
        async with _connected(instance, spoken) as connection:
            if connection.may_be_http2:
                return (await connection.by_http2(head))[0]
            return await connection.by_http1(head)
    except _NotHttp2:
        if spoken.is_certain:
            raise
    # As requests do: it was said to speak HTTP/2, and does not.
    async with _connected(instance, Spoken(spoken.tls)) as connection:
        return await connection.by_http1(head)


@contextlib.asynccontextmanager
async def _connected(instance: Instance, spoken: Spoken) -> AsyncIterator[_Connection]:
    """A connection for a while; in TLS nothing is sent before it is known who is there."""
    tls = spoken.tls
    context = None if tls is None else (tls.multiplexed if spoken.has_http2 else None) or tls.context
    name = None if tls is None else tls.server_name or instance.host
    reader, writer = await asyncio.open_connection(instance.host, instance.port, ssl=context, server_hostname=name)
    try:
        may_be_http2 = spoken.has_http2
        if tls is not None:
            tls.verify_peer(writer.get_extra_info("peercert"))
            may_be_http2 = writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
            if spoken.has_http2 and spoken.is_certain and not may_be_http2:
                raise _NotHttp2
        yield _Connection(reader, writer, tls is not None, may_be_http2)
    finally:
        writer.transport.abort()


class _Connection:
    """One connection for one request."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_secure: bool, may_be_http2: bool
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._is_secure = is_secure
        self.may_be_http2 = may_be_http2

    async def by_http1(self, head: bytes) -> int:
        """The status of the final response to a request without a body."""
        self._writer.write(head[:-2] + b"Connection: close\r\n\r\n")
        data, responses = b"", ResponseReader(head_bytes=_MOST)
        while True:
            response = responses.read(data, "GET")
            if response is None:
                data += await self._more()
            elif response.status >= 200 or response.status == 101:
                return response.status
            else:
                data = data[response.end :]

    async def by_http2(self, head: bytes, body: bytes | None = None) -> tuple[int, bytes, bytes]:
        """Status, body and trailers of the response; of a request without a body, only the status is waited for."""
        endpoint = Endpoint(_TERMS, self._writer.write, is_server=False, now=0.0)
        stream: Stream | None = None
        status, received, trailers = 0, b"", b""
        while True:
            event = endpoint.next_event()
            if event is None:
                try:
                    endpoint.feed(await self._more(), 0.0)
                except OSError:
                    if stream is None:
                        raise _NotHttp2 from None
                    raise
                continue
            if event.kind == events.SETTINGS and stream is None:
                # Only now it is certain that nothing else reads the request.
                stream = endpoint.open()
                if stream is None:
                    raise OSError("it takes no request")
                self._send(endpoint, stream, head, body)
            elif event.kind == events.FAILED:
                raise OSError("it speaks badly") if stream is not None else _NotHttp2()
            elif event.kind in (events.RESET, events.MALFORMED):
                raise OSError("the request was not served")
            elif event.kind == events.RESPONSE and event.response is not None:
                status = event.response.status
            elif event.kind == events.DATA and event.stream is not None:
                received += event.payload
                endpoint.take(event.stream, len(event.payload))
            elif event.kind == events.TRAILERS:
                trailers = event.payload
            if status >= 200 and (body is None or event.ends or len(received) > _MOST):
                return status, received, trailers

    def _send(self, endpoint: Endpoint, stream: Stream, head: bytes, body: bytes | None) -> None:
        block = request_block(head, b"https" if self._is_secure else b"http")
        if body is None:
            endpoint.send_head(stream, block, True)
        else:
            endpoint.send_head(stream, block + encode_field(b"te", b"trailers"), False)
            endpoint.send_data(stream, body, True)

    async def _more(self) -> bytes:
        """What comes next. Raises OSError if that is the end."""
        data = await self._reader.read(_PIECE)
        if not data:
            raise ConnectionResetError
        return data
