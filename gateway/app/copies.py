"""Where the copies of remote rules are, for a role that routes by them."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.control.mirror import Mirrors
from gateway.control.state import open_state
from gateway.settings import RemoteRules, ServingSettings


class RuleCopies:
    """`folder` is the state directory, or a temporary one; None where neither is needed."""

    def __init__(self, changed: Callable[[str], Awaitable[None]]) -> None:
        self._changed = changed
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.folder: Path | None = None
        self.mirrors = Mirrors((), Path(), changed)

    async def open(self, settings: ServingSettings) -> None:
        """Follows the remote rules of a configuration, and asks for them once."""
        remote = [source for source in settings.rules if isinstance(source, RemoteRules)]
        if settings.state is not None:
            self.folder = Path(settings.state)
            open_state(self.folder)
        elif remote:
            self._temporary = tempfile.TemporaryDirectory(prefix="gray-gateway-")
            self.folder = Path(self._temporary.name)
        if self.folder is not None:
            self.mirrors = Mirrors(remote, self.folder, self._changed)
            await self.mirrors.start()

    def not_ready(self) -> list[str]:
        """Sources of which nothing is known yet, as reasons not to be ready."""
        return [f"rules of {name}: the server has not answered yet" for name in self.mirrors.unknown()]

    async def close(self) -> None:
        """Stops following."""
        await self.mirrors.close()
        if self._temporary is not None:
            self._temporary.cleanup()
