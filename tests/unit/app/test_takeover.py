"""Whose place is taken: that of a process of our own, or of root's."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from gateway.app import takeover
from gateway.app.takeover import Predecessor
from gateway.errors import StartError


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
