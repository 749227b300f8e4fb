"""`gateway release skip`."""

from __future__ import annotations

from gateway.cli.release.asking import action

command = action("skip", "Skip what failed and continue.")
