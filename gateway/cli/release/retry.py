"""`gateway release retry`."""

from __future__ import annotations

from gateway.cli.release.asking import action

command = action("retry", "Retry what failed.")
