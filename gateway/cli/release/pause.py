"""`gateway release pause`."""

from __future__ import annotations

from gateway.cli.release.asking import action

command = action("pause", "Begin nothing new; what is under way goes on.", path="suspend")
