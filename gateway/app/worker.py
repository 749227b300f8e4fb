"""One worker of `workers: N`: it does what the supervisor says, and routes.

Started by `control.workers` with the numbers of two inherited sockets; imports little, so that it is there quickly.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys

import uvloop

from gateway.app.plane import EntryBuild, EntryPlane
from gateway.control.channel import Channel
from gateway.errors import ConfigError, GatewayError
from gateway.logs import log_to_stderr
from gateway.routing.instance import Instance

_log = logging.getLogger("gateway")


class Worker:
    """Follows the messages of the supervisor until told to drain, or until that is gone."""

    def __init__(self, channel: Channel, sock: socket.socket) -> None:
        self._channel = channel
        self._sock = sock
        self._plane: EntryPlane | None = None
        self._leaving = asyncio.Event()
        self._was_told = False
        self._is_configured = False
        self._drain = (0.0, 30.0)

    async def run(self) -> None:
        """Returns when there is nothing left to do."""
        loop = asyncio.get_running_loop()
        # The supervisor decides what these mean; a terminal sends them to every process of the group.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        loop.add_signal_handler(signal.SIGTERM, self._leaving.set)
        following = loop.create_task(self._follow())
        leaving = loop.create_task(self._leaving.wait())
        await asyncio.wait((following, leaving), return_when=asyncio.FIRST_COMPLETED)
        plane = self._plane
        if following.done():
            following.result()
        elif not self._was_told:
            self._channel.send("leaving")
        if plane is not None:
            whole = await plane.drain(*self._drain)
            self._channel.send("statistics", plane.statistics())
            self._channel.send("drained", whole)
            await plane.close()
        await self._channel.flush()
        self._channel.close()
        following.cancel()
        leaving.cancel()

    async def _follow(self) -> None:
        while (message := await self._channel.receive()) is not None:
            name, values = message
            if name == "configure":
                revision, settings, rules = values
                if self._plane is None:
                    self._plane = EntryPlane(settings)
                self._drain = (0.0, settings.drain.timeout)
                try:
                    # In a thread: requests go on meanwhile.
                    build = await asyncio.to_thread(EntryBuild.of, settings, rules)
                    self._plane.configure(revision, build)
                except ConfigError as error:
                    if not self._is_configured:
                        raise  # with nothing to route by, and no certificate, it must not serve: another try may find them mended
                    _log.error("revision %d is not applied: %s", revision, error)
                self._is_configured = True
            elif name == "drain":
                self._drain = values
                self._was_told = True
                self._leaving.set()
            elif self._plane is not None:
                await self._obey(self._plane, name, values)

    async def _obey(self, plane: EntryPlane, name: str, values: tuple[object, ...]) -> None:
        if name == "service":
            service, rows = values
            plane.service_changed(str(service), tuple(Instance(*row) for row in rows))  # type: ignore[attr-defined]
        elif name == "forget":
            plane.service_removed(str(values[0]))
        elif name == "serve":
            await plane.listen(self._sock)
            self._channel.send("ready")
        elif name == "report":
            self._channel.send("statistics", plane.statistics())


async def _main(listening: int, talking: int) -> None:
    channel = await Channel.over(socket.socket(fileno=talking))
    sock = socket.socket(fileno=listening)
    sock.setblocking(False)
    await Worker(channel, sock).run()


def main() -> None:
    """The numbers of the listening socket, of the channel's socket and of the worker are the arguments."""
    listening, talking, index = (int(argument) for argument in sys.argv[1:])
    log_to_stderr(f"worker {index} ({os.getpid()}): ")
    gc.freeze()
    try:
        uvloop.run(_main(listening, talking))
    except GatewayError as error:
        _log.error("%s", error)
        sys.exit(3)


if __name__ == "__main__":
    main()
