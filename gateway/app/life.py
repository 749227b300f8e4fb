"""How far a role is on its way: starting, serving, draining; and whether another process has taken its place."""

from __future__ import annotations

import time


class Life:
    """Made with the role; `started_at` is seconds since the epoch."""

    def __init__(self) -> None:
        self.started_at = time.time()
        self.is_serving = False
        self.is_draining = False
        self.has_successor = False

    def begin(self) -> None:
        """Everything is open, and clients are served."""
        self.is_serving = True

    def leave(self) -> None:
        """Nothing new is wanted from now on."""
        self.is_draining = True

    def notice(self, delay: float) -> float:
        """How many of `delay` seconds clients need to notice that this process leaves.

        None if nobody has heard of it yet (a start that fails), or if a successor has the sockets already.
        """
        return delay if self.is_serving and not self.has_successor else 0.0
