"""What an instance speaks: HTTP/1.1, HTTP/2 on a plain connection, or HTTP/2 in TLS, as far as its metadata says so.

The conventions are those of the ecosystems that instances come from. Behind a sidecar only what that says of itself counts: the
rest is copied from its application, which nobody else calls.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from gateway import hop

AUTO: Final = "auto"
"""It is found out: by metadata, by ALPN in TLS, by the request (gRPC is HTTP/2 always)."""
HTTP1: Final = "http1"
H2C: Final = "h2c"
"""HTTP/2 on a plain connection, with prior knowledge (RFC 9113 §3.3)."""
H2: Final = "h2"
"""HTTP/2 in TLS."""

APP_PROTOCOL_KEY: Final = "app-protocol"
"""Metadata of an instance from an EndpointSlice: the `appProtocol` of its port."""

GRPC_PORT_KEYS: Final = ("gRPC_port", "gRPC.port")
"""Metadata of an instance: the port on which it takes gRPC calls, as grpc-spring registers it, and as it once did."""

_NO_PORT: Final = re.compile(r"\s*(-.*|0*)\s*", re.DOTALL)
_SEPARATORS: Final = str.maketrans("", "", "._-")
_SECURE: Final = "secure"
_WORDS: Final[Mapping[str, str]] = {
    # `protocol`: Dubbo's, and what people write.
    "http": HTTP1,
    "http1": HTTP1,
    "http/1.1": HTTP1,
    "rest": HTTP1,
    "https": _SECURE,
    "h2c": H2C,
    "http2": H2C,
    "http/2": H2C,
    "grpc": H2C,
    "tri": H2C,
    "h2": H2,
    "grpcs": H2,
    # https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol
    "kubernetes.io/h2c": H2C,
    "kubernetes.io/ws": HTTP1,
    "kubernetes.io/wss": _SECURE,
}


def is_spoken(word: str) -> bool:
    """Whether a word for a protocol is one of those that instances are called with; nothing said is."""
    return not word or word.strip().lower() in _WORDS


def read_protocol(metadata: Mapping[str, str], port: int) -> tuple[str, bool]:
    """What an instance at `port` speaks (AUTO, HTTP1, H2C or H2), and whether in TLS."""
    if hop.SIDECAR_KEY in metadata:
        return (H2C if metadata.get(hop.PROTOCOL_KEY) == H2C else HTTP1), False
    word = ""
    is_secure = False
    for key, value in metadata.items():
        folded = key.lower()
        if folded == "secure":  # Spring Cloud
            is_secure = value.strip().lower() == "true"
        elif folded in ("protocol", APP_PROTOCOL_KEY):
            word = _WORDS.get(value.strip().lower(), "") or word
        elif folded in ("dubbo.endpoints", "dubbo_endpoints", "dubbo-endpoints"):
            word = word or _WORDS.get(_endpoint_protocol(value, port), "")
    if word == _SECURE:
        return AUTO, True
    if word == H2 or (word == H2C and is_secure):
        return H2, True
    return word or AUTO, is_secure


def read_grpc_port(metadata: Mapping[str, str], port: int) -> int:
    """The port for gRPC calls of an instance that is registered with another one, `port`; 0 if there is none."""
    if hop.SIDECAR_KEY in metadata:
        return 0
    for key in GRPC_PORT_KEYS:
        text = metadata.get(key, "")
        if text.isdecimal() and text.isascii() and len(text) <= 5 and 0 < int(text) < 65536 and int(text) != port:
            return int(text)
    return 0


def with_grpc_port(metadata: Mapping[str, str], port: int) -> dict[str, str]:
    """The metadata with which a sidecar registers: whoever looks in it for the port for gRPC calls finds the sidecar's, `port`.

    The key stays: there are callers that cannot do without. So does a value that is no port: grpc-spring's -1 says that there is
    none.
    """
    return {key: str(port) if is_grpc_port(key, value) else value for key, value in metadata.items()}


def is_grpc_port(key: str, value: str) -> bool:
    """Whether metadata says on which port gRPC calls are taken, however its key is spelled (`gRPC_port`, `grpcPort`)."""
    return key.lower().translate(_SEPARATORS) == "grpcport" and _NO_PORT.fullmatch(value) is None


def _endpoint_protocol(text: str, port: int) -> str:
    """What Dubbo's `[{"port": 50051, "protocol": "tri"}]` says of a port; empty if nothing."""
    try:
        endpoints = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    for endpoint in endpoints if isinstance(endpoints, list) else []:
        if isinstance(endpoint, dict) and endpoint.get("port") == port:
            protocol = endpoint.get("protocol")
            return protocol.lower() if isinstance(protocol, str) else ""
    return ""
