"""`gateway release approve`."""

from __future__ import annotations

from gateway.cli.release.asking import action

command = action("approve", "Approve what waits for approval.")
