"""What systemd gives a service, and what it is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.app import systemd
from gateway.app.systemd import inherited_sockets, notify, watchdog_interval
from gateway.errors import StartError
from gateway.proxy.server import bind


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Two listening sockets with numbers one after the other, as systemd hands them over."""
    first = os.dup(0)
    os.close(first)
    numbers: list[int] = []
    made: list[socket.socket] = []
    while len(numbers) < 2 or numbers[-1] != numbers[-2] + 1:
        made.append(bind("127.0.0.1", 0))
        numbers.append(made[-1].fileno())
    yield numbers[-2:]
    for sock in made:
        if sock.fileno() not in numbers[-2:]:
            sock.close()
        else:
            sock.detach()  # whoever inherits it closes it


def given(monkeypatch: pytest.MonkeyPatch, first: int, count: int, names: str, pid: int = 0) -> None:
    monkeypatch.setattr(systemd, "FIRST", first)
    monkeypatch.setenv("LISTEN_PID", str(pid or os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", str(count))
    monkeypatch.setenv("LISTEN_FDNAMES", names)


def test_sockets_come_by_their_names_and_only_once(monkeypatch: pytest.MonkeyPatch, listening: list[int]) -> None:
    given(monkeypatch, listening[0], 2, "listen:admin")
    found = inherited_sockets()
    assert {name: [sock.fileno() for sock in sockets] for name, sockets in found.items()} == {
        "listen": [listening[0]],
        "admin": [listening[1]],
    }
    for sockets in found.values():
        for sock in sockets:
            assert not sock.get_inheritable()
            assert sock.getblocking() is False
            sock.close()
    # Processes that this one starts are not told of them.
    assert not [name for name in os.environ if name.startswith("LISTEN_")]
    assert inherited_sockets() == {}


def test_sockets_of_one_name_are_together_and_those_without_are_unknown(
    monkeypatch: pytest.MonkeyPatch, listening: list[int]
) -> None:
    given(monkeypatch, listening[0], 2, "")
    found = inherited_sockets()
    assert [sock.fileno() for sock in found["unknown"]] == listening
    for sock in found["unknown"]:
        sock.close()


def test_what_was_meant_for_another_process_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, listening: list[int]
) -> None:
    given(monkeypatch, listening[0], 2, "listen:admin", pid=1)
    assert inherited_sockets() == {}
    for number in listening:
        os.close(number)


@pytest.mark.parametrize("kind", ["a datagram socket", "one that does not listen", "no socket", "nothing"])
def test_what_is_no_listening_socket_is_told(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if kind == "a datagram socket":
        number = socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()
    elif kind == "one that does not listen":
        number = socket.socket().detach()
    else:
        number = os.open(tmp_path, os.O_RDONLY)
        if kind == "nothing":
            os.close(number)
    given(monkeypatch, number, 1, "listen")
    with pytest.raises(StartError, match=rf"descriptor {number} \(listen\) of LISTEN_FDS is not a"):
        inherited_sockets()
    if kind == "no socket":
        os.close(number)


def test_with_one_that_is_none_the_others_are_closed(monkeypatch: pytest.MonkeyPatch, listening: list[int]) -> None:
    good, bad = listening
    os.close(bad)
    given(monkeypatch, good, 2, "listen:admin")
    with pytest.raises(StartError, match=rf"descriptor {bad} \(admin\)"):
        inherited_sockets()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(good)


def test_states_are_told_in_one_datagram(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("RELOADING=1", "MONOTONIC_USEC=5")
        assert sock.recv(100) == b"RELOADING=1\nMONOTONIC_USEC=5"


def test_an_abstract_address_and_nobody_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = f"gray-gateway-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify("READY=1")
        assert sock.recv(100) == b"READY=1"
    notify("READY=1")  # it is gone
    monkeypatch.setenv("NOTIFY_SOCKET", "")
    notify("READY=1")


@pytest.mark.parametrize(
    ("microseconds", "pid", "seconds"),
    [
        ("3000000", "own", 1.5),
        ("3000000", "", 1.5),
        ("3000000", "1", 0.0),
        ("", "own", 0.0),
        ("soon", "own", 0.0),
    ],
)
def test_signs_of_life_come_twice_as_often_as_they_must(
    microseconds: str, pid: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    assert watchdog_interval() == seconds
