"""An active check by gRPC's own protocol for it (grpc.health.v1). Imported by those who want it, when they begin to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from grpclib.client import Channel
from grpclib.config import Configuration
from grpclib.const import Cardinality
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError, StreamTerminatedError

from gateway.grpc.health import PATH, SERVING, decode_status, encode_check
from gateway.instance import Instance
from gateway.tls.contexts import UpstreamTLS

# What peers get wrong is a failed check, and no traceback.
logging.getLogger("grpclib").setLevel(logging.CRITICAL)


class _Bytes(CodecBase):
    """Messages as they are."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        """See CodecBase."""
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> bytes:
        """See CodecBase."""
        return data


async def serves(
    instance: Instance, name: str, *, timeout: float, tls: UpstreamTLS | None, fields: Mapping[str, str]
) -> bool:
    """Whether an instance says within `timeout` seconds that it serves what is called `name` (empty: anything).

    `fields` go with the call. A connection each time: whether one can be made is half of the question.
    """
    config = None if tls is None or not tls.server_name else Configuration(ssl_target_name_override=tls.server_name)
    context = None if tls is None else tls.multiplexed or tls.context
    called = instance.grpc or instance
    channel = Channel(called.host, called.port, ssl=context, codec=_Bytes(), config=config)
    metadata = {key.lower(): value for key, value in fields.items()}
    try:
        async with asyncio.timeout(timeout):
            async with channel.request(PATH, Cardinality.UNARY_UNARY, bytes, bytes, metadata=metadata) as stream:
                await stream.send_message(encode_check(name), end=True)
                reply = await stream.recv_message()
        return reply is not None and decode_status(reply) == SERVING
    except (GRPCError, StreamTerminatedError, OSError, TimeoutError, ValueError):
        return False
    finally:
        channel.close()
