"""`gateway release resume`."""

from __future__ import annotations

from gateway.cli.release.asking import action

command = action("resume", "Go on.")
