"""Settings (RFC 9113 §6.5.2): what is announced, and which values of a peer there are not."""

from __future__ import annotations

import pytest

from gateway.http2.errors import FLOW_CONTROL_ERROR, PROTOCOL_ERROR, ConnectionFailure
from gateway.http2.frames import settings_frame
from gateway.http2.terms import (
    ENABLE_CONNECT_PROTOCOL,
    ENABLE_PUSH,
    HEADER_TABLE_SIZE,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    PeerSettings,
    Terms,
)


def payload(*pairs: tuple[int, int]) -> bytes:
    return settings_frame(list(pairs))[9:]


def test_both_sides_have_no_table_and_clients_no_pushes() -> None:
    server, client = Terms(streams=7).announced(True), Terms().announced(False)
    assert (HEADER_TABLE_SIZE, 0) in server
    assert (HEADER_TABLE_SIZE, 0) in client
    assert (MAX_CONCURRENT_STREAMS, 7) in server
    assert (ENABLE_CONNECT_PROTOCOL, 1) in server
    assert (ENABLE_PUSH, 0) in client


def test_windows_are_never_smaller_than_what_a_peer_may_use_before_it_knows() -> None:
    terms = Terms(stream_window=1, connection_window=1)
    assert (terms.stream_window, terms.connection_window) == (65535, 65535)


def test_what_a_peer_says() -> None:
    peer = PeerSettings()
    assert not peer.are_known
    peer.take(
        payload(
            (MAX_CONCURRENT_STREAMS, 3),
            (INITIAL_WINDOW_SIZE, 10),
            (MAX_FRAME_SIZE, 1 << 20),
            (ENABLE_CONNECT_PROTOCOL, 1),
            (MAX_HEADER_LIST_SIZE, 5),
            (0x7777, 9),
        ),
        False,
    )
    assert (peer.streams, peer.window, peer.frame, peer.takes_connect, peer.are_known) == (3, 10, 65536, True, True)


@pytest.mark.parametrize(
    ("number", "value", "is_server", "code"),
    [
        (INITIAL_WINDOW_SIZE, 1 << 31, True, FLOW_CONTROL_ERROR),
        (MAX_FRAME_SIZE, 16383, True, PROTOCOL_ERROR),
        (MAX_FRAME_SIZE, 1 << 24, True, PROTOCOL_ERROR),
        (ENABLE_PUSH, 2, True, PROTOCOL_ERROR),
        (ENABLE_PUSH, 1, False, PROTOCOL_ERROR),
        (ENABLE_CONNECT_PROTOCOL, 2, False, PROTOCOL_ERROR),
    ],
)
def test_values_that_there_are_not(number: int, value: int, is_server: bool, code: int) -> None:
    with pytest.raises(ConnectionFailure) as caught:
        PeerSettings().take(payload((number, value)), is_server)
    assert caught.value.code == code


def test_extended_connect_is_not_taken_back() -> None:
    peer = PeerSettings()
    peer.take(payload((ENABLE_CONNECT_PROTOCOL, 1)), False)
    with pytest.raises(ConnectionFailure):
        peer.take(payload((ENABLE_CONNECT_PROTOCOL, 0)), False)
