"""How messages travel: grpclib's streams with `Payload` on them. Imported by those who speak gRPC, when they begin to.

grpclib has no limit for messages, so that they are read here; see `docs/decisions/0001-grpc-library.md` for why it is grpclib.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import Any, Final, Protocol

from grpclib.encoding.base import CodecBase

from gateway.registry.nacos.payload import MalformedPayload, Payload, decode, encode

# What peers get wrong is told by us, in a line; grpclib tells it with a traceback.
logging.getLogger("grpclib").setLevel(logging.CRITICAL)

MAX_MESSAGE: Final = 14 << 20
"""Bytes of a message: a config value of 10 MiB, of which some has to be escaped."""
LARGE: Final = 256 << 10
"""Bytes beyond which a message is large: a process reads …"""
MOST_LARGE: Final = 8
"""… so many of them at a time."""
ARRIVAL: Final = 30.0
"""Seconds that a message may take once it has begun."""
_PREFIX: Final = struct.Struct(">BI")


class Codec(CodecBase):
    """Payload for grpclib."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        """See CodecBase."""
        return encode(message)

    def decode(self, data: bytes, message_type: Any) -> Payload:
        """See CodecBase."""
        return decode(data)


class MessageStream(Protocol):
    """What this needs of grpclib's streams, of a server or a client."""

    _stream: Any


class Reader:
    """Reads messages. Its memory is bounded for all streams together."""

    def __init__(self) -> None:
        self._large = asyncio.Semaphore(MOST_LARGE)

    async def read(self, stream: MessageStream) -> Payload | None:
        """The next message of a stream, None where it has ended. Raises MalformedPayload, and TimeoutError."""
        prefix = await stream._stream.recv_data(_PREFIX.size)
        if not prefix:
            return None
        is_compressed, size = _PREFIX.unpack(prefix)
        if is_compressed:
            raise MalformedPayload("a compressed message, which was not requested")
        if size > MAX_MESSAGE:
            raise MalformedPayload(f"a message of {size} bytes; {MAX_MESSAGE} are accepted")
        async with asyncio.timeout(ARRIVAL):
            if size <= LARGE:
                return decode(await stream._stream.recv_data(size))
            async with self._large:
                return decode(await stream._stream.recv_data(size))
