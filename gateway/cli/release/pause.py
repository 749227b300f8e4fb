"""`gateway release pause`."""

from __future__ import annotations

from gateway.cli.release.asking import action

command = action("pause", "Pause an order: start nothing new, finish what is running.", path="suspend")
