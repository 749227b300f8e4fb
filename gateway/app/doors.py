"""Addresses of a sidecar's outbound listener that stand for one service each."""

from __future__ import annotations

import logging
from ipaddress import ip_address

from gateway.errors import StartError
from gateway.facade.addresses import Addresses
from gateway.proxy.context import Context
from gateway.proxy.server import Listener, bind
from gateway.settings.sidecar import SidecarSettings

_log = logging.getLogger("gateway")


class Doors:
    """Addresses of the outbound listener that stand for one service each: those configured, and more as they are asked for."""

    def __init__(self, settings: SidecarSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._addresses = Addresses()
        for service, address in settings.outbounds.items():
            host = "" if _is_unspecified(address.host) else address.host
            context.doors[host, address.port] = service

    async def open(self, service: str, listener: Listener) -> tuple[str, int]:
        """Where to call a service. Raises Refused if there is no room, or no such address on this machine."""
        from gateway.registry.embedded.store import Refused

        configured = self._settings.outbounds.get(service)
        if configured is not None:
            return "127.0.0.1" if _is_unspecified(configured.host) else configured.host, configured.port
        host, port = self._addresses.of(service), listener.port
        if host is None:
            raise Refused(f"too many services were requested: '{service}' gets no address")
        if (host, port) not in self._context.doors:
            if not _is_unspecified(self._settings.outbound.host):
                await self._listen(service, host, port, listener)
            self._context.doors[host, port] = service
        return host, port

    async def _listen(self, service: str, host: str, port: int, listener: Listener) -> None:
        from gateway.registry.embedded.store import Refused

        try:
            # Shared with the process whose place this one takes, which listens there until it is gone.
            await listener.add(bind(host, port, shared=True))
        except StartError as error:
            _log.error("service %s has no address: %s", service, error)
            raise Refused(
                f"'{service}' has no address: {error} (Linux has all of 127.0.0.0/8; elsewhere set `outbounds`)"
            ) from error


def _is_unspecified(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
