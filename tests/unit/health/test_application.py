"""The watch over the application beside a sidecar."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Self

import pytest

from gateway.health.application import ApplicationWatch
from gateway.instance import Instance
from gateway.settings import AppCheckSettings
from gateway.tls.contexts import Spoken
from tests.support.wait import until


@pytest.mark.parametrize("host", ["a..b", "x" * 64], ids=["an empty label", "a label too long"])
async def test_an_application_whose_host_cannot_be_looked_up_does_not_end_the_watch(host: str) -> None:
    watch = ApplicationWatch(
        "a", Instance(host, 80), AppCheckSettings.model_validate({"interval": "10ms"}), Spoken, lambda is_up: None
    )
    watch.start()
    await until(lambda: "does not accept connections" in watch.reason)
    assert not watch.is_up
    await watch.close()


async def test_one_that_is_not_to_be_asked_is_taken_for_up() -> None:
    """A service that only calls others listens nowhere."""
    settings = AppCheckSettings.model_validate({"enabled": False})
    watch = ApplicationWatch("a", Instance("127.0.0.1", 1), settings, Spoken, lambda is_up: None)
    watch.start()
    assert (watch.is_up, watch.was_checked, watch.reason) == (True, True, "")
    await watch.close()


class Application:
    """A server whose responses can be changed, and that notes what it is asked for."""

    def __init__(self) -> None:
        self.statuses: list[bytes] = [b"200 OK"]
        self.heads: list[bytes] = []
        self.server: asyncio.Server | None = None
        self.port = 0
        self.connections = 0

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()


@pytest.fixture
async def application() -> AsyncIterator[Application]:
    application = Application()
    await application.start()
    yield application
    await application.stop()


class Watched:
    """A watch over an application, and what it told."""

    def __init__(self, application: Application, **settings: object) -> None:
        self.changes: list[bool] = []
        self.asked: list[int] = []
        """How often the application had been asked by each change."""

        def changed(is_up: bool) -> None:
            self.changes.append(is_up)
            self.asked.append(len(application.heads))

        self.watch = ApplicationWatch(
            "orders",
            Instance("127.0.0.1", application.port),
            AppCheckSettings.model_validate({"interval": "2ms", "timeout": "30s", **settings}),
            Spoken,
            changed,
        )

    async def __aenter__(self) -> Self:
        self.watch.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.watch.close()


async def test_until_it_was_checked_it_is_not_up(application: Application) -> None:
    watched = Watched(application)
    assert (watched.watch.is_up, watched.watch.was_checked) == (False, False)
    assert watched.watch.reason == f"the application at 127.0.0.1:{application.port} has not been checked yet"
    await watched.watch.close()


async def test_one_that_accepts_connections_is_up_and_that_is_told_once(application: Application) -> None:
    async with Watched(application) as watched:
        await until(lambda: watched.watch.is_up)
        await until(lambda: application.connections > 5)
        assert (watched.changes, watched.watch.reason, watched.watch.was_checked) == ([True], "", True)
        assert application.heads == []


async def test_a_closed_port_is_no_matter_of_patience(application: Application) -> None:
    async with Watched(application, failures=1000) as watched:
        await until(lambda: watched.watch.is_up)
        await application.stop()
        await until(lambda: not watched.watch.is_up)
        address = f"127.0.0.1:{application.port}"
        assert watched.watch.reason == f"the application at {address} does not accept connections"
        await application.start()
        await until(lambda: watched.watch.is_up)
    assert watched.changes == [True, False, True]


async def test_its_path_is_asked_for_by_the_services_name(application: Application) -> None:
    async with Watched(application, path="/health") as watched:
        await until(lambda: watched.watch.is_up)
    head = application.heads[0]
    assert head.startswith(b"GET /health HTTP/1.1\r\n")
    assert b"\r\nHost: orders\r\n" in head
    assert watched.changes == [True]


async def test_one_bad_response_takes_nobody_out_and_several_in_a_row_do(application: Application) -> None:
    application.statuses = [b"200 OK", b"500 Oops", b"500 Oops", b"200 OK", *[b"500 Oops"] * 3, b"200 OK"]
    async with Watched(application, path="/health", failures=3) as watched:
        await until(lambda: len(watched.changes) >= 3)
    assert watched.changes == [True, False, True]
    assert watched.asked == [1, 7, 8]


async def test_one_that_starts_with_a_bad_response_says_why_it_is_not_up(application: Application) -> None:
    application.statuses = [b"503 Busy"]
    async with Watched(application, path="/health", failures=3) as watched:
        address = f"127.0.0.1:{application.port}"
        await until(lambda: watched.watch.was_checked)
        await until(lambda: watched.watch.reason == f"the application at {address} fails the check of /health")
        assert (watched.watch.is_up, watched.changes) == (False, [])
