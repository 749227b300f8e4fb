"""The two ports where Nacos' clients come: one for HTTP, which is configured, and one for gRPC beside it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator

from gateway.settings.fields import Address, AddressField

PORT_OFFSET: Final = 1000
"""How far the port for gRPC is from that for HTTP."""


def for_grpc(address: Address) -> Address:
    """Where clients that come to an address by HTTP expect gRPC."""
    return Address(host=address.host, port=address.port + PORT_OFFSET if address.port else 0)


def _check_two_ports(address: Address) -> Address:
    most = 65535 - PORT_OFFSET
    if address.port > most:
        raise ValueError(f"for gRPC, clients add {PORT_OFFSET} to the port, which is 0 to {most}; found {address.port}")
    return address


NacosListenField = Annotated[AddressField, AfterValidator(_check_two_ports)]
"""An address to listen on for Nacos' clients."""
