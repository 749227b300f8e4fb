"""`gateway release approve`."""

from __future__ import annotations

from gateway.cli.release.asking import action

command = action("approve", "Agree to what waits for approval.")
