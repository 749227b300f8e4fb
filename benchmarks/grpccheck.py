"""Makes gRPC calls over h2c, many at a time, and looks at every response: status, message, and `grpc-status` in the trailers.

The client is the h2 library's, in this process; it knows nothing of the gateway's own HTTP/2.
"""

from __future__ import annotations

import socket
import struct

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived

CALLS = 200
AT_ONCE = 20


def framed(message: bytes) -> bytes:
    """A message as gRPC sends it: not compressed, its length, itself."""
    return struct.pack(">?I", False, len(message)) + message


def check(port: int, path: str, calls: int = CALLS) -> int:
    """Makes calls to one method, marked and unmarked in turn, and returns how many. Raises RuntimeError for a wrong response."""
    connection = H2Connection(H2Configuration(client_side=True, header_encoding=False))
    connection.initiate_connection()
    statuses: dict[int, bytes] = {}
    bodies: dict[int, bytes] = {}
    trailers: dict[int, dict[bytes, bytes]] = {}
    begun = ended = 0
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.settimeout(10)
        while ended < calls:
            while begun < calls and begun - ended < AT_ONCE:
                stream = connection.get_next_available_stream_id()
                connection.send_headers(stream, _head(path, "gray" if begun % 2 else "none"))
                connection.send_data(stream, framed(b"x" * 20), end_stream=True)
                bodies[stream] = b""
                begun += 1
            sock.sendall(connection.data_to_send())
            data = sock.recv(65536)
            if not data:
                raise RuntimeError(f"the connection to port {port} was closed after {ended} calls")
            for event in connection.receive_data(data):
                if isinstance(event, ResponseReceived):
                    statuses[event.stream_id] = dict(event.headers)[b":status"]
                elif isinstance(event, DataReceived):
                    bodies[event.stream_id] += event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, TrailersReceived):
                    trailers[event.stream_id] = dict(event.headers)
                elif isinstance(event, StreamEnded):
                    ended += 1
                elif isinstance(event, StreamReset | ConnectionTerminated):
                    raise RuntimeError(f"port {port}: {event}")  # noqa: TRY004 - what came, not what it is
    for number, (stream, body) in enumerate(bodies.items()):
        who = b'"who":"gray"' if number % 2 else b'"who":"base"'
        if statuses[stream] != b"200" or who not in body:
            raise RuntimeError(f"port {port}: call {number} got {statuses[stream]!r} {body!r}, not {who!r}")
        if trailers.get(stream, {}).get(b"grpc-status") != b"0":
            raise RuntimeError(
                f"port {port}: call {number} got the trailers {trailers.get(stream)}, not grpc-status: 0"
            )
    return calls


def _head(path: str, group: str) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "items"),
        (":path", path),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("x-group", group),
    ]
