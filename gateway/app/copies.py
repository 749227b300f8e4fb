"""What a role keeps of its rules apart from where they come from: copies of remote ones, and the last good revision."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from gateway.config.load import RulesFrom
from gateway.control.reload import ReloadState
from gateway.errors import ConfigError
from gateway.rulesources.files import LoadedRules, Overlay
from gateway.rulesources.lastgood import KeptRules, LastGood
from gateway.rulesources.mirror import Mirrors
from gateway.settings import ServingSettings
from gateway.state import open_state

T = TypeVar("T")


class RuleCopies:
    """`folder` holds the copies: the state directory, or a temporary one; None if neither is needed."""

    def __init__(self, changed: Callable[[str], Awaitable[None]]) -> None:
        self._changed = changed
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.folder: Path | None = None
        self._last_good: LastGood | None = None
        self._kept: KeptRules | None = None
        self._in_force: set[Path] = set()
        self.mirrors = Mirrors((), Path(), changed)

    async def open(self, settings: ServingSettings) -> None:
        """Follows the remote rules of a configuration, fetches them once, and reads what an earlier run has kept."""
        remote = settings.remote_rules
        if settings.state is not None:
            self.folder = Path(settings.state)
            await asyncio.to_thread(open_state, self.folder)
            self._last_good = LastGood(self.folder)
            self._kept = await asyncio.to_thread(self._last_good.load, settings)
            self._in_force = set() if self._kept is None else set(self._kept.files)
        elif remote:
            self._temporary = tempfile.TemporaryDirectory(prefix="gray-gateway-")
            self.folder = Path(self._temporary.name)
        if self.folder is not None:
            self.mirrors = Mirrors(remote, self.folder, self._changed)
            await self.mirrors.start()

    def from_now(self, overlay: Overlay | None = None) -> RulesFrom:
        """The rules as they are now."""
        return RulesFrom(self.folder, self._in_force, overlay)

    def build_old(self, build: Callable[[RulesFrom], T]) -> T | None:
        """What `build` makes of the last rules that were in force in an earlier run.

        None if there are none, or if it fails for another reason than the rules.
        """
        if self._kept is None:
            return None
        try:
            return build(RulesFrom(self.folder, kept=self._kept))
        except ConfigError:
            return None

    @property
    def kept_revision(self) -> int:
        """The revision that those were, 0 if there are none."""
        return 0 if self._kept is None else self._kept.revision

    async def applied(self, settings: ServingSettings, lanes: LoadedRules, revision: int) -> None:
        """Keeps a revision that is in force now."""
        self._in_force = set(lanes.texts)
        # Rules of which a part has never been heard of are not better than those that were kept before.
        if self._last_good is not None and settings.rules and not self.mirrors.unknown():
            await asyncio.to_thread(self._last_good.save, settings, lanes, revision)

    def deleted(self, path: Path) -> None:
        """A file of rules was deleted on purpose: that its directory has none then is not a surprise."""
        self._in_force.discard(path)

    def not_ready(self, settings: ServingSettings, state: ReloadState) -> list[str]:
        """Why the program should get no traffic: sources of which nothing is known yet, and old rules, if they are not enough."""
        unknown = [f"rules of {name}: the server has not responded yet" for name in self.mirrors.unknown()]
        if state.runs_old_rules and not settings.ready_with_old_rules:
            unknown.append(f"the rules have problems; those of revision {state.revision} are in force")
        return unknown

    async def close(self) -> None:
        """Stops following."""
        await self.mirrors.close()
        if self._temporary is not None:
            self._temporary.cleanup()
