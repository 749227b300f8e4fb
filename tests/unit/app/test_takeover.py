"""How one process takes another one's place: whose, with what, and what becomes of both."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway import __version__
from gateway.app import takeover
from gateway.app.takeover import Offer, Predecessor
from gateway.errors import StartError
from gateway.proxy.server import bind
from tests.support.wait import until


class Runs:
    """A process that runs, and offers its place. `log`: what it was told, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sockets = [("listen", bind("127.0.0.1", 0)), ("listen", bind("127.0.0.1", 0)), ("admin", bind("::1", 0))]
        self.offer = Offer(path, "serve")
        self.log: list[str] = []
        self.has_left = asyncio.Event()
        self.fails = False

    async def start(self) -> None:
        await self.offer.start(self.sockets, self.state, self.hand_over, self.left)

    def state(self) -> dict[str, Any]:
        self.log.append("state")
        return {"known": len(self.log)}

    async def hand_over(self) -> dict[str, Any]:
        self.log.append("hand over")
        if self.fails:
            raise OSError("a disk is full")
        return {"known": "all"}

    def left(self) -> None:
        self.log.append("left")
        self.has_left.set()

    def close(self) -> None:
        self.offer.close()
        for _, sock in self.sockets:
            sock.close()


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    runs = Runs(tmp_path / "takeover.sock")
    await runs.start()
    yield runs
    runs.close()


async def found(runs: Runs) -> Predecessor:
    predecessor = await Predecessor.find(runs.path, "serve")
    assert predecessor is not None
    return predecessor


def close(predecessor: Predecessor) -> None:
    predecessor.close()
    for sockets in predecessor.sockets.values():
        for sock in sockets:
            sock.close()


async def test_a_successor_gets_the_very_sockets_and_what_is_known_and_then_the_place(runs: Runs) -> None:
    predecessor = await found(runs)
    where = {name: [sock.getsockname() for sock in sockets] for name, sockets in predecessor.sockets.items()}
    (_, first), (_, second), (_, third) = runs.sockets
    assert where == {"listen": [first.getsockname(), second.getsockname()], "admin": [third.getsockname()]}
    assert [sock.getblocking() for sock in predecessor.sockets["listen"]] == [False, False]
    assert (predecessor.pid, predecessor.version) == (os.getpid(), __version__)
    assert [await predecessor.state(), await predecessor.state()] == [{"known": 1}, {"known": 2}]
    assert runs.log == ["state", "state"]
    assert await predecessor.go() == {"known": "all"}
    await runs.has_left.wait()
    assert runs.log == ["state", "state", "hand over", "left"]
    close(predecessor)


async def test_a_successor_that_ends_before_its_time_has_changed_nothing_and_another_one_may_come(runs: Runs) -> None:
    first = await found(runs)
    assert await first.state() == {"known": 1}
    with pytest.raises(StartError, match=r"cannot take over at .*: another process is doing that already"):
        await Predecessor.find(runs.path, "serve")
    close(first)
    await until(lambda: not runs.offer._is_busy)
    assert runs.log == ["state"]
    second = await found(runs)
    assert await second.go() == {"known": "all"}
    close(second)


async def test_a_process_that_cannot_hand_over_leaves_all_the_same(runs: Runs) -> None:
    """Its successor serves already: what it knew is lost, and nobody else is there."""
    runs.fails = True
    predecessor = await found(runs)
    assert await predecessor.go() == {}
    await runs.has_left.wait()
    assert runs.log == ["hand over", "left"]
    close(predecessor)


async def test_a_process_that_has_ended_has_nothing_to_say(runs: Runs, caplog: pytest.LogCaptureFixture) -> None:
    predecessor = await found(runs)
    assert await predecessor.go() == {"known": "all"}
    close(predecessor)
    gone = f"cannot take over from process {os.getpid()}: it "
    with pytest.raises(StartError, match=f"^{gone}"):
        await predecessor.state()
    assert await predecessor.go() == {}
    assert [record.getMessage()[: len(gone)] for record in caplog.records if record.levelname == "WARNING"] == [gone]


async def test_a_process_that_is_gone_while_it_is_asked_is_told(tmp_path: Path) -> None:
    here, there = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=here)
    predecessor = Predecessor({}, 7, "1", reader, writer)
    with there:
        asked = asyncio.create_task(predecessor.state())
        there.setblocking(False)
        size = int.from_bytes(await asyncio.get_running_loop().sock_recv(there, 4), "big")
        assert await asyncio.get_running_loop().sock_recv(there, size) == b'{"ask": "state"}'
    with pytest.raises(StartError, match=r"^cannot take over from process 7: it has ended$"):
        await asked
    predecessor.close()


async def test_only_a_process_of_the_same_kind_takes_the_place(runs: Runs) -> None:
    with pytest.raises(StartError, match="`gateway serve` runs there, not `gateway sidecar`"):
        await Predecessor.find(runs.path, "sidecar")


@pytest.mark.parametrize(
    ("first", "count", "problem"),
    [
        ({"protocol": 1, "role": "serve", "sockets": ["a", "b"]}, 2, ""),
        ({"protocol": 1, "role": "serve", "sockets": ["a", "b"]}, 1, "its sockets did not arrive"),
        ({"protocol": 1, "role": "serve"}, 1, "its sockets did not arrive"),
        ({"protocol": 1, "error": "busy"}, 0, "busy"),
        ({"protocol": 1}, 0, "`gateway None` runs there, not `gateway serve`"),
        ({"protocol": 2}, 0, "the running process speaks another protocol version (2, not 1): restart"),
        ({}, 0, "the running process speaks another protocol version (None, not 1): restart"),
    ],
)
def test_why_a_place_cannot_be_taken(first: dict[str, Any], count: int, problem: str) -> None:
    assert takeover._problem(first, "serve", count) == problem


async def test_what_is_offered_is_for_its_user_alone_and_is_gone_at_the_end(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "takeover.sock")
    assert not runs.path.exists()
    await runs.start()
    assert [path.name for path in tmp_path.iterdir()] == ["takeover.sock"]
    assert stat.S_IMODE(runs.path.stat().st_mode) == 0o600
    runs.close()
    assert list(tmp_path.iterdir()) == []


async def test_an_offer_that_was_never_made_leaves_nothing(tmp_path: Path) -> None:
    offer = Offer(tmp_path / "takeover.sock", "serve")
    offer.close()
    assert list(tmp_path.iterdir()) == []


async def test_the_end_of_a_predecessor_does_not_end_its_successors_offer(tmp_path: Path) -> None:
    first, second = Runs(tmp_path / "takeover.sock"), Runs(tmp_path / "takeover.sock")
    await second.start()
    first.close()
    predecessor = await found(second)
    assert await predecessor.go() == {"known": "all"}
    close(predecessor)
    second.close()


def test_what_is_no_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "takeover.sock"
    path.write_text("mine")
    with pytest.raises(StartError, match=re.escape(f"at {path}: something else is there and would be replaced")):
        Offer(path, "serve")
    assert path.read_text() == "mine"


def test_a_place_where_nothing_can_be_made_is_told(tmp_path: Path) -> None:
    path = tmp_path / "none" / "takeover.sock"
    with pytest.raises(StartError, match=re.escape(f"cannot offer a takeover at {path}: No such file or directory")):
        Offer(path, "serve")


async def test_nobody_else_says_where_we_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the path is in a directory that others may write to, anybody may wait there."""
    user = os.geteuid() + 4711
    monkeypatch.setattr(takeover, "_peer_of", lambda _: (1, user))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as foreign:
        foreign.bind(str(tmp_path / "takeover.sock"))
        foreign.listen()
        with pytest.raises(StartError, match=f"process 1 there belongs to user {user}"):
            await Predecessor.find(tmp_path / "takeover.sock", "serve")


async def test_a_place_that_nobody_offers_is_none(tmp_path: Path) -> None:
    assert await Predecessor.find(tmp_path / "takeover.sock", "serve") is None


async def test_a_place_whose_process_has_died_is_none(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(tmp_path / "takeover.sock"))
    assert await Predecessor.find(tmp_path / "takeover.sock", "serve") is None


@pytest.mark.parametrize(
    ("said", "problem"),
    [(b"", "the running process is stopping"), (b"\x00\x00\x00\x09{", "the running process is stopping"), (b"\x00\x00\x00\x01{", "")],
    ids=["nothing", "half a message", "no message"],
)  # fmt: skip
async def test_a_process_that_stops_while_it_is_asked_is_told(tmp_path: Path, said: bytes, problem: str) -> None:
    path = tmp_path / "takeover.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()

        def stop() -> None:
            with listening.accept()[0] as there:
                there.sendall(said)

        stopped = asyncio.create_task(asyncio.to_thread(stop))
        with pytest.raises(StartError, match=re.escape(f"cannot take over at {path}: {problem}")):
            await Predecessor.find(path, "serve")
        await stopped
