"""The two ports of the embedded registry: clients expect the one for gRPC 1000 above the one for HTTP."""

from __future__ import annotations

import socket
from typing import Final

from gateway.errors import StartError
from gateway.settings import Address
from gateway.settings.nacosports import PORT_OFFSET

_TRIES: Final = 50


def grpc_port(port: int) -> int:
    """The port for gRPC. Raises StartError where there is none."""
    if port + PORT_OFFSET > 65535:
        raise StartError(
            f"the registry cannot listen on port {port}: for gRPC its clients add {PORT_OFFSET}, and ports end at 65535"
        )
    return port + PORT_OFFSET


def bind_grpc(host: str, port: int) -> socket.socket:
    """A listening socket for gRPC beside one for HTTP at `port`. Raises StartError naming both."""
    taken = grpc_port(port)
    try:
        return _listening(host, taken)
    except OSError as error:
        raise StartError(
            f"cannot listen on {Address(host=host, port=taken)} for the registry over gRPC, where the clients of one at port "
            f"{port} expect it: {error.strerror or error}"
        ) from error


def free_pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Two listening sockets on ports that are free and so far apart. Raises StartError."""
    for _ in range(_TRIES):
        try:
            first = _listening(host, 0)
        except OSError as error:
            raise StartError(f"cannot listen on {host} for the registry: {error.strerror or error}") from error
        try:
            return first, _listening(host, grpc_port(first.getsockname()[1]))
        except (OSError, StartError):
            first.close()
    raise StartError(f"no two ports that are {PORT_OFFSET} apart are free on {host}")


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.create_server((host, port), family=family, backlog=1024)
    sock.setblocking(False)
    return sock
