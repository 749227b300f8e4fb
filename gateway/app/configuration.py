"""The configuration of a role while it runs: loaded, put in force, followed, and built again when a lane expires."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Generic, TypeVar

from gateway.app.build import Build
from gateway.app.copies import RuleCopies
from gateway.app.restart import warn_of_restart
from gateway.config.load import Loaded, RulesFrom, load_role, load_settings
from gateway.control.expiry import ExpiryTimer
from gateway.control.reload import Reloader, ReloadState
from gateway.control.watch import Watcher
from gateway.daemons import keep_running
from gateway.rulesources.files import FILES_CHANGED, LoadedRules, Overlay
from gateway.rulesources.places import Places
from gateway.ruletools.history import History, Revision
from gateway.settings import ServingSettings
from gateway.state import HISTORY

_log = logging.getLogger("gateway")

CERTIFICATE_WARNING: Final = 14
"""Days before a certificate expires from which on every load says so."""

S = TypeVar("S", bound=ServingSettings)


@dataclass(frozen=True, slots=True)
class Ready(Generic[S]):
    """A configuration that was loaded, and all that was made of it."""

    loaded: Loaded[S]
    build: Build[S]

    @property
    def files(self) -> Sequence[Path]:
        """Everything that was read."""
        return self.loaded.files


class Configuration(Generic[S]):
    """Holds the build in force, and replaces it as a whole. `install(build, revision)` puts one in force, on the loop.

    `copies` are what is kept of rules from elsewhere; `history` has the last revisions, if it `keeps_history`.
    """

    def __init__(
        self,
        model: type[S],
        path: Path,
        overrides: Sequence[str],
        install: Callable[[Build[S], int], None],
        *,
        keeps_history: bool = False,
    ) -> None:
        self._model = model
        self._path = path
        self._overrides = overrides
        self._install = install
        self._keeps_history = keeps_history
        self._reloader: Reloader[Ready[S]] = Reloader(self._load_now, self._apply, self._record)
        self._watcher = Watcher(partial(self.reload, FILES_CHANGED))
        self._expiry = ExpiryTimer(self._compile_again)
        self._missed = ""
        self._following = False
        self._catching_up: asyncio.Task[None] | None = None
        self.copies = RuleCopies(self.reload)
        self.history = History()

    async def open(self, parts: AsyncExitStack) -> None:
        """The first load, with rules from wherever they are kept. Raises ConfigError if there is nothing to run by."""
        settings = load_settings(self._model, self._path, self._overrides)
        parts.push_async_callback(self.copies.close)
        await self.copies.open(settings)
        if self._keeps_history and settings.state is not None:
            self.history = await asyncio.to_thread(History, Path(settings.state) / HISTORY)
        last = max(self.history.last, self.copies.kept_revision)
        ready = await self._reloader.start(last, lambda _: self.copies.build_old(self._load))
        self._build = ready.build

    @property
    def build(self) -> Build[S]:
        """What is in force."""
        return self._build

    @property
    def settings(self) -> S:
        """Those in force."""
        return self._build.settings

    @property
    def state(self) -> ReloadState:
        """How the last load went, and which revision is in force."""
        return self._reloader.state

    @property
    def lanes(self) -> LoadedRules:
        """The rules in force, with where they are."""
        loaded = self._reloader.loaded
        return LoadedRules() if loaded is None else loaded.loaded.lanes

    @property
    def places(self) -> Places:
        """What files of rules are called in the history."""
        return Places.of(self.settings.rules, self._path, self.copies.folder)

    def load(self, overlay: Overlay | None = None) -> Loaded[S]:
        """The configuration as it is now, some texts of rules replaced. Changes nothing. Raises ConfigError."""
        return self._load_from(self.copies.from_now(overlay))

    def begin(self) -> None:
        """Puts the first build in force, and begins to watch the files. What changes in the meantime is taken by `follow`."""
        self._put_in_force(self._build, self.state.revision)
        self._watcher.watch(self._reloader.files)

    def follow(self) -> None:
        """From now on a change is put in force at once, and one that was missed is."""
        self._following = True
        # Not part of the start, which could be stopped: clients are served by now.
        self._catching_up = keep_running("a reload", self._catch_up)

    async def _catch_up(self) -> None:
        if self._missed:
            await self.reload(self._missed)
        else:
            await self.copies.mirrors.report(self.state.error)

    async def close(self) -> None:
        """Nothing is put in force any more."""
        self._following = False
        self._expiry.close()
        await self._watcher.close()
        if self._catching_up is not None:
            self._catching_up.cancel()

    async def reload(self, cause: str, author: str = "") -> None:
        """Loads again, and puts it in force if it has no problems. Raises nothing: `state` says how it went."""
        if not self._following:
            self._missed = cause  # for when everything is there that a reload needs
            return
        await self.copies.mirrors.restore()
        await self._reloader.reload(cause, author)
        await self.copies.mirrors.report(self.state.error)
        # A failed reload may be fixed in a file that only now became part of the configuration.
        if self._following:
            self._watcher.watch(self._reloader.files)

    def _load_now(self) -> Ready[S]:
        return self._load(self.copies.from_now())

    def _load(self, rules_from: RulesFrom) -> Ready[S]:
        loaded = self._load_from(rules_from)
        return Ready(loaded, Build.of(loaded.settings, loaded.rules))

    def _load_from(self, rules_from: RulesFrom) -> Loaded[S]:
        return load_role(self._model, self._path, self._overrides, rules_from=rules_from)

    def _apply(self, ready: Ready[S], revision: int) -> None:
        if self._following:
            warn_of_restart(self.settings, ready.build.settings)
            self._put_in_force(ready.build, revision)

    def _put_in_force(self, build: Build[S], revision: int) -> None:
        self._build = build
        self._install(build, revision)
        self.copies.mirrors.renew()
        _warn_of_certificates(build)
        self._expiry.look(build.rules)

    async def _compile_again(self) -> None:
        """A lane has expired: the same revision, rebuilt."""
        build, revision = self._build, self.state.revision
        again = await asyncio.to_thread(Build.of, build.settings, build.rules)
        if self._build is build:  # not a newer one's place
            self._put_in_force(again, revision)

    async def _record(self, ready: Ready[S], revision: int, cause: str, author: str) -> None:
        loaded = ready.loaded
        if self._keeps_history:
            places = Places.of(loaded.settings.rules, self._path, self.copies.folder)
            texts = {places.name(path): text for path, text in loaded.lanes.texts.items()}
            recorded = Revision(revision, time.time(), author, cause, texts)
            # Nothing is awaited since the revision was put in force: whoever sees its number finds it in the history.
            self.history.add(recorded)
            # In a thread: it waits for the disk, and requests do not.
            await asyncio.to_thread(self.history.save, recorded)
        await self.copies.applied(loaded.settings, loaded.lanes, revision)


def _warn_of_certificates(build: Build[S]) -> None:
    for certificate in build.own_certificates:
        days = (certificate.expires.timestamp() - time.time()) / 86_400
        if days < CERTIFICATE_WARNING:
            _log.warning("certificate %s expire%s", certificate.file, f"s in {days:.0f} days" if days > 0 else "d")
