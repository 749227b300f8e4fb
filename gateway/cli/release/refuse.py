"""`gateway release refuse`."""

from __future__ import annotations

from gateway.cli.release.asking import action

command = action("refuse", "Refuse approval: the order fails.")
