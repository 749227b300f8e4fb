"""Which sockets a process listens on, and who of its workers on which."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from gateway.app.sockets import Sockets, _listens_on, dealt
from gateway.errors import StartError
from gateway.proxy.server import bind


@pytest.mark.parametrize(
    ("sockets", "workers", "expected"),
    [
        (2, 2, [[0], [1]]),
        (1, 3, [[0], [0], [0]]),
        (2, 3, [[0], [1], [0]]),
        (3, 2, [[0, 2], [1]]),
        (1, 1, [[0]]),
    ],
)
def test_every_worker_has_a_socket_and_every_socket_a_worker(
    sockets: int, workers: int, expected: list[list[int]]
) -> None:
    """A socket that nobody accepts from would be a queue in which connections wait for ever."""
    made = [socket.socket() for _ in range(sockets)]
    try:
        assert [[made.index(sock) for sock in part] for part in dealt(made, workers)] == expected
    finally:
        for sock in made:
            sock.close()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with bind("127.0.0.1", 0) as sock:
        yield sock


def test_a_predecessors_socket_is_used_only_where_the_configuration_still_says_so(listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    assert _listens_on(listening, "127.0.0.1", port)
    assert _listens_on(listening, "localhost", port)
    assert not _listens_on(listening, "127.0.0.1", port - 1)
    assert not _listens_on(listening, "0.0.0.0", port)
    assert not _listens_on(listening, "::1", port)
    assert not _listens_on(listening, "no-such-host.invalid", port)


def test_a_process_that_nobody_gave_sockets_binds_its_own() -> None:
    sockets = Sockets()
    [sock] = sockets.of("listen", "127.0.0.1", 0)
    host, port = sock.getsockname()
    with sock:
        assert host == "127.0.0.1"
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}"):
            sockets.of("listen", "127.0.0.1", port)


def test_workers_share_a_port_that_nobody_else_has(listening: socket.socket) -> None:
    sockets = Sockets().of("listen", "127.0.0.1", 0, 3)
    assert len({sock.getsockname() for sock in sockets}) == 1
    assert len(sockets) == 3
    for sock in sockets:
        sock.close()
    with pytest.raises(StartError, match="cannot listen on"):
        Sockets().of("listen", "127.0.0.1", listening.getsockname()[1], 3)


class Gone:
    """A predecessor that has given up its place: see Predecessor."""

    pid, version = 7, "1"

    def __init__(self, **sockets: list[socket.socket]) -> None:
        self.sockets = dict(sockets)
        self.is_closed = False

    async def go(self) -> dict[str, object]:
        return {"registry": "of a version that nobody knows"}

    def close(self) -> None:
        self.is_closed = True


async def test_what_cannot_be_made_of_a_predecessors_last_words_does_not_end_its_successor(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The other one has given up its place: if this one ended too, nobody would serve."""
    sockets = Sockets()
    sockets._predecessor = Gone()  # type: ignore[assignment]
    heard: list[object] = []

    def know(state: dict[str, object]) -> None:
        heard.append(state)
        raise StartError("cannot take over what the registry knows")

    await sockets.take_over(know)
    await sockets.take_over(know)  # there is nobody any more
    assert heard == [{"registry": "of a version that nobody knows"}]
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == (
        "the state of process 7 cannot be used: StartError: cannot take over what the registry knows"
    )


def test_what_was_given_and_not_used_is_closed_and_what_was_used_is_not() -> None:
    used, unused, theirs = (bind("127.0.0.1", 0) for _ in range(3))
    sockets = Sockets()
    predecessor = Gone(old=[theirs])
    sockets._given = {"listen": [used], "more": [unused]}
    sockets._predecessor = predecessor  # type: ignore[assignment]
    assert sockets.one_of("listen", "127.0.0.1", 0) is used
    sockets.close()
    assert [sock.fileno() == -1 for sock in (used, unused, theirs)] == [False, True, True]
    assert predecessor.is_closed
    sockets.release()
    assert used.fileno() == -1
