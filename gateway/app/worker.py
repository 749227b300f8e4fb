"""One worker of `workers: N`: it does what the supervisor says, and routes."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack

from gateway.app.build import Build
from gateway.app.entry_plane import EntryPlane
from gateway.app.signals import obey_signals
from gateway.control.channel import Channel
from gateway.daemons import keep_running
from gateway.errors import ConfigError
from gateway.instance import Instance
from gateway.live.feed import INTERVAL

_log = logging.getLogger("gateway")


class Worker:
    """Follows the messages of the supervisor until it gets the message to drain, or until the supervisor is gone."""

    def __init__(self, channel: Channel, sockets: Sequence[socket.socket]) -> None:
        self._channel = channel
        self._sockets = sockets
        self._plane: EntryPlane | None = None
        self._leaving = asyncio.Event()
        self._was_told = False
        self._is_configured = False
        self._drain = (0.0, 30.0)

    async def run(self) -> None:
        """Returns when there is nothing left to do."""
        loop = asyncio.get_running_loop()
        # What else a terminal or a script sends to every process of the group is for the supervisor to decide.
        obey_signals(loop, {signal.SIGTERM: self._leaving.set, signal.SIGUSR1: self._reopen_log})
        async with AsyncExitStack() as parts:
            # The channel last: what was counted goes up before.
            parts.callback(self._channel.close)
            parts.push_async_callback(self._channel.flush)
            parts.push_async_callback(self._close)
            following = loop.create_task(self._follow())
            parts.callback(following.cancel)
            leaving = loop.create_task(self._leaving.wait())
            parts.callback(leaving.cancel)
            recording = keep_running("sending request records", self._keep_sending_records)
            parts.callback(recording.cancel)
            await asyncio.wait((following, leaving), return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
            elif not self._was_told:
                self._channel.send("leaving")
            if self._plane is not None:
                whole = await self._plane.drain(*self._drain)
                self._send_records()
                self._channel.send("statistics", self._plane.statistics())
                self._channel.send("drained", whole)

    async def _close(self) -> None:
        if self._plane is not None:
            await self._plane.close()

    async def _follow(self) -> None:
        while (message := await self._channel.receive()) is not None:
            name, values = message
            if name == "configure":
                revision, settings, rules = values
                if self._plane is None:
                    self._plane = EntryPlane(settings)
                self._drain = (0.0, settings.drain.timeout)
                try:
                    # In a thread: requests are still served.
                    build = await asyncio.to_thread(Build.of, settings, rules)
                    self._plane.configure(revision, build)
                except ConfigError as error:
                    if not self._is_configured:
                        raise  # with nothing to route by, and no certificate, it must not serve: another try may find them fixed
                    _log.error("revision %d was not applied: %s", revision, error)
                self._is_configured = True
            elif name == "drain":
                self._drain = values
                self._was_told = True
                self._leaving.set()
            elif self._plane is not None:
                await self._obey(self._plane, name, values)

    async def _keep_sending_records(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            self._send_records()

    def _send_records(self) -> None:
        records = [] if self._plane is None else self._plane.taker.take()
        if records:
            self._channel.send("records", records)
        traced = [] if self._plane is None else self._plane.taker.take_traced()
        if traced:
            self._channel.send("traced", traced)

    def _reopen_log(self) -> None:
        if self._plane is not None:
            self._plane.reopen_log()

    async def _obey(self, plane: EntryPlane, name: str, values: tuple[object, ...]) -> None:
        if name == "service":
            service, rows = values
            plane.service_changed(str(service), tuple(Instance(*row) for row in rows))  # type: ignore[attr-defined]
        elif name == "attach":
            plane.attach(values[0])  # type: ignore[arg-type]
        elif name == "forget":
            plane.service_removed(str(values[0]))
        elif name == "serve":
            await plane.listen(self._sockets)
            self._channel.send("ready")
        elif name == "reopen":
            plane.reopen_log()
        elif name == "report":
            self._channel.send("statistics", plane.statistics())


async def work(listening: Sequence[int], talking: int) -> None:
    """Runs a worker on the inherited sockets with these numbers, until it has nothing left to do."""
    channel = await Channel.over(socket.socket(fileno=talking))
    sockets = [socket.socket(fileno=number) for number in listening]
    for sock in sockets:
        sock.setblocking(False)
    await Worker(channel, sockets).run()
