"""What a peer may make this program do for nothing: a number of steps at once, and some of it back with time.

Frames that carry no message cost little to send, and are answered, counted or cleaned up after. Each limit is against an attack
with a name: see `docs/http2.md`.
"""

from __future__ import annotations

from typing import Final

RESETS: Final = "resets"
"""Streams that ended early: reset at once by the peer, or by us for its fault (CVE-2023-44487, CVE-2025-8671)."""
CONTROL: Final = "control_frames"
"""Frames that carry nothing of a message (CVE-2019-9512, -9513, -9515, -9518)."""
CONTINUATIONS: Final = "continuations"
"""Frames and bytes of a header block without an end (CVE-2024-27316)."""
STREAMS: Final = "streams"
"""Streams at once: one more is refused, which is no error."""
BUFFERED: Final = "buffered_bytes"
"""Bytes of responses that the client does not take (CVE-2019-9511, -9517): one more stream is refused."""
LIMITS: Final = (RESETS, CONTROL, CONTINUATIONS, STREAMS, BUFFERED)

REGAIN: Final = 30.0
"""Seconds after which all of a budget is back."""
RAPID: Final = 1.0
"""Seconds after which it is no attack to give a request up: until then it has had one of the streams that there may be.
(Envoy's `premature_reset_min_stream_lifetime`.)"""
EARNED: Final = 4
"""Steps that a peer earns by a frame that carries something: clients acknowledge data, some of them piece by piece."""


class Budget:
    """So many steps; they come back in `REGAIN` seconds. Times are seconds of any clock that only goes forward."""

    __slots__ = ("_at", "_left", "_most")

    def __init__(self, most: int, now: float) -> None:
        self._most: float = float(most)
        self._left: float = float(most)
        self._at = now

    def spend(self, now: float, earned: int = 0) -> bool:
        """Takes one step, with as many given back before; returns whether there was one left."""
        most = self._most
        self._left = min(most, self._left + earned + (now - self._at) * most / REGAIN) - 1.0
        self._at = now
        return self._left >= 0.0
