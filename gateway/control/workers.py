"""The supervisor's side of `workers: N`: processes that only route, replaced when they die.

The supervisor has the listening sockets, one a worker (SO_REUSEPORT) if it made them, and keeps them open: connections that
come while a worker is being replaced wait in its socket's queue instead of being refused.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import gateway
from gateway.control.channel import Channel, Message
from gateway.daemons import keep_running
from gateway.errors import StartError

_log = logging.getLogger("gateway.control")

START_TIMEOUT: Final = 20.0
"""Seconds that a worker may take until it serves."""
REPORT_TIMEOUT: Final = 1.0
"""Seconds to wait for a worker's statistics; one that takes longer is counted by its last ones."""
POLL: Final = 1.0
"""Seconds between two looks at the workers' statistics: what a worker that is killed can lose."""
SILENCE: Final = 30.0
"""Seconds without a word after which a worker is killed: one that stands still holds its share of the clients for ever."""
HASTY: Final = 5.0
"""Seconds: a worker that has served for less is restarted with growing pauses. How long it took to load says nothing."""
MAX_PAUSE: Final = 10.0


class WorkerProcess:
    """One worker as the supervisor sees it. `statistics` are the last ones that it sent."""

    def __init__(self, index: int, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.index = index
        self.process = process
        self.channel = channel
        self.started_at = time.time()
        self.heard_at = asyncio.get_running_loop().time()
        self.statistics: dict[str, Any] | None = None
        self.reported = asyncio.Event()
        self.ready = asyncio.Event()
        self.serving_since: float | None = None
        """On the loop's clock; None: it has never served."""
        self.is_leaving = False

    @property
    def is_serving(self) -> bool:
        """Whether it accepts connections."""
        return self.ready.is_set() and self.process.returncode is None


class Workers:
    """Starts, feeds, restarts and ends them.

    `greeting` gives the messages that a new worker needs to know all there is; `gone` takes the last statistics of one
    that ended, `recorded` the request records that one sends, `traced` its requests of sampled traces. `module` is what a
    worker runs, with the numbers of itself, of its channel and of its sockets as arguments.
    """

    def __init__(
        self,
        module: str,
        sockets: Sequence[Sequence[socket.socket]],
        greeting: Callable[[], list[Message]],
        gone: Callable[[dict[str, Any]], None],
        recorded: Callable[[list[Any]], None],
        traced: Callable[[list[Any]], None],
    ) -> None:
        self._module = module
        self._sockets = list(sockets)
        self._greeting = greeting
        self._gone = gone
        self._recorded = recorded
        self._traced = traced
        self._workers: dict[int, WorkerProcess] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pauses: dict[int, float] = {}
        self._is_starting = True
        self._is_ending = False
        self._drained_whole = True
        self.restarts = 0

    async def start(self) -> None:
        """Starts all; returns when all serve. Raises StartError if one does not."""
        await asyncio.gather(*(self._spawn(index) for index in range(len(self._sockets))))
        try:
            async with asyncio.timeout(START_TIMEOUT):
                for worker in self._workers.values():
                    await worker.ready.wait()
        except TimeoutError:
            await self.close()
            raise StartError(f"a worker was not serving within {START_TIMEOUT:g} s; see the log above") from None
        self._is_starting = False
        if any(worker.process.returncode is not None for worker in self._workers.values()):
            await self.close()
            raise StartError("a worker ended while starting; see the log above")
        self._keep("collecting the statistics of workers", self._poll)

    def tell(self, name: str, *values: Any) -> None:
        """Sends a message to every worker."""
        for worker in self._workers.values():
            worker.channel.send(name, *values)

    async def refresh(self) -> None:
        """Has all send their statistics, and waits a moment for them."""
        waiting = [worker for worker in self._workers.values() if worker.process.returncode is None]
        for worker in waiting:
            worker.reported.clear()
            worker.channel.send("report")
        try:
            async with asyncio.timeout(REPORT_TIMEOUT):
                for worker in waiting:
                    await worker.reported.wait()
        except TimeoutError:
            return

    def statistics(self) -> list[dict[str, Any]]:
        """The last ones of each worker that runs."""
        return [worker.statistics for worker in self._workers.values() if worker.statistics is not None]

    def describe(self) -> list[dict[str, object]]:
        """Each worker as plain values."""
        return [
            {
                "worker": worker.index,
                "pid": worker.process.pid,
                "started_at": worker.started_at,
                "serving": worker.is_serving,
            }
            for worker in sorted(self._workers.values(), key=lambda worker: worker.index)
        ]

    def not_serving(self) -> list[int]:
        """The numbers of workers whose socket nobody accepts connections from at this moment."""
        return sorted(index for index, worker in self._workers.items() if not worker.is_serving)

    def pids(self) -> dict[int, int]:
        """The process id of each worker."""
        return {worker.index: worker.process.pid for worker in self._workers.values()}

    async def drain(self, delay: float, timeout: float) -> bool:
        """Has all wind down as `Listener.drain` does; returns whether everything was finished."""
        self._is_ending = True
        self.tell("drain", delay, timeout)
        await asyncio.sleep(delay)
        # The workers hold these sockets too; the last one to close ends the listening.
        self._close_sockets()
        ending = [worker.process.wait() for worker in self._workers.values()]
        try:
            async with asyncio.timeout(timeout + 5.0):
                await asyncio.gather(*ending)
        except TimeoutError:
            return False
        return self._drained_whole

    async def close(self) -> None:
        """Ends all at once."""
        self._is_ending = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self._workers.values():
            worker.channel.close()
            if worker.process.returncode is None:
                worker.process.kill()
                await worker.process.wait()
        self._close_sockets()

    def _close_sockets(self) -> None:
        for sockets in self._sockets:
            for sock in sockets:
                sock.close()

    async def _spawn(self, index: int) -> None:
        ours, theirs = socket.socketpair()
        sockets = [sock.fileno() for sock in self._sockets[index]]
        # Workers run the very code that the supervisor runs, wherever it was started from.
        environ = dict(os.environ)
        source = str(Path(gateway.__file__).parent.parent)
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [source, environ.get("PYTHONPATH")]))
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", self._module, str(index), str(theirs.fileno()), *map(str, sockets)),
                pass_fds=(theirs.fileno(), *sockets),
                env=environ,
            )
        except BaseException as error:
            ours.close()  # also if the start is interrupted
            if isinstance(error, OSError):
                raise StartError(f"cannot start a worker: {error.strerror or error}") from error
            raise
        finally:
            theirs.close()
        worker = WorkerProcess(index, process, await Channel.over(ours))
        self._workers[index] = worker
        for name, values in self._greeting():
            worker.channel.send(name, *values)
        worker.channel.send("serve")
        self._keep("reading from a worker", partial(self._listen_to, worker))

    def _keep(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        task = keep_running(what, work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen_to(self, worker: WorkerProcess) -> None:
        while (message := await worker.channel.receive()) is not None:
            name, values = message
            worker.heard_at = asyncio.get_running_loop().time()
            if name == "ready":
                worker.serving_since = worker.heard_at
                worker.ready.set()
            elif name == "statistics":
                worker.statistics = values[0]
                worker.reported.set()
            elif name == "records":
                self._recorded(values[0])
            elif name == "traced":
                self._traced(values[0])
            elif name == "leaving":
                # Somebody else stopped this one: its successor takes the socket while it finishes.
                if not self._is_ending:
                    try:
                        await self._spawn(worker.index)
                    except StartError as error:
                        _log.error("%s; worker %d will be replaced after it has ended", error, worker.index)
                        continue
                worker.is_leaving = True
            elif name == "drained":
                self._drained_whole = self._drained_whole and values[0]
        code = await worker.process.wait()
        worker.channel.close()
        worker.reported.set()
        statistics, worker.statistics = worker.statistics, None
        if statistics is not None:
            self._gone(statistics)
        if self._is_starting:
            worker.ready.set()
        elif not worker.is_leaving and not self._is_ending:
            await self._replace(worker, code)

    async def _replace(self, worker: WorkerProcess, code: int) -> None:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        # At once after a first death; one that keeps dying is not to eat the machine.
        served = 0.0 if worker.serving_since is None else asyncio.get_running_loop().time() - worker.serving_since
        pause = 0.0 if served > HASTY else self._pauses.get(worker.index, 0.0)
        while True:
            self._pauses[worker.index] = min(MAX_PAUSE, 2 * pause or 0.5)
            _log.error(
                "worker %d (pid %d) ended: %s; starting another in %g s", worker.index, worker.process.pid, how, pause
            )
            await asyncio.sleep(pause)
            if self._is_ending:
                return
            self.restarts += 1
            try:
                await self._spawn(worker.index)
            except StartError as error:
                _log.error("%s", error)
                pause = self._pauses[worker.index]
                continue
            return

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            await self.refresh()
            silent_since = asyncio.get_running_loop().time() - SILENCE
            for worker in self._workers.values():
                if worker.heard_at < silent_since and worker.process.returncode is None:
                    _log.error("worker %d (pid %d) no longer responds", worker.index, worker.process.pid)
                    worker.process.kill()
