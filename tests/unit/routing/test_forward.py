"""The head that goes to the instance: what came, without what was cut, and with what is added."""

from __future__ import annotations

import pytest

from gateway.http.head_reader import HeadReader
from gateway.routing.forward import forward_head

VIA = b"Via: 1.1 gray-gateway\r\n\r\n"


def forwarded(head: bytes, target: bytes | None = None, *lines: bytes) -> bytes:
    """What becomes of a head; with another target than its own if one is given."""
    request = HeadReader("x-gray-tag").read(head)
    return forward_head(request, request.target if target is None else target, list(lines))


CUT = b"Connection: X-Gone\r\nX-Gone: 1\r\nX-Gray-Tag: gray\r\n"


@pytest.mark.parametrize("cut", [b"", CUT], ids=["whole", "with cuts"])
@pytest.mark.parametrize(
    "target", [None, b"/", b"/other/path?x=1"], ids=["its own target", "a shorter one", "a longer one"]
)
def test_the_target_may_change_and_what_is_cut_is_gone(cut: bytes, target: bytes | None) -> None:
    head = b"GET /path HTTP/1.1\r\nHost: x\r\n" + cut + b"X-Kept: 2\r\n\r\n"
    line = b"/path" if target is None else target
    assert forwarded(head, target, b"A: b\r\n") == (
        b"GET " + line + b" HTTP/1.1\r\nHost: x\r\nX-Kept: 2\r\nA: b\r\n" + VIA
    )


@pytest.mark.parametrize("cut", [b"", CUT], ids=["whole", "with cuts"])
def test_what_came_in_http_1_0_goes_on_in_1_1_and_via_says_so(cut: bytes) -> None:
    head = b"GET /path HTTP/1.0\r\nHost: x\r\n" + cut + b"X-Kept: 2\r\n\r\n"
    assert forwarded(head, b"/other", b"A: b\r\n") == (
        b"GET /other HTTP/1.1\r\nHost: x\r\nX-Kept: 2\r\nA: b\r\nVia: 1.0 gray-gateway\r\n\r\n"
    )


def test_a_wish_to_upgrade_is_passed_on_in_words_of_our_own() -> None:
    head = b"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert forwarded(head) == (b"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + VIA)


def test_a_length_that_was_written_oddly_is_written_plainly() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 005\r\n\r\n"
    assert forwarded(head) == b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + VIA
