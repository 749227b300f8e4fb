"""The rules of an entry gateway as something that is kept: copies of remote ones, history, changes, drafts."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.admin.rules import RulesApi
from gateway.app.copies import RuleCopies
from gateway.app.plane import EntryBuild
from gateway.control.edit import LaneEditor
from gateway.control.history import History, Revision
from gateway.control.load import LoadedGateway, load_gateway
from gateway.control.reload import Reloader
from gateway.control.rulefiles import LoadedRules, Overlay, load_rules
from gateway.control.whatif import Comparison, compare, read_record, read_records
from gateway.errors import ConfigError, Problem
from gateway.files import write_file
from gateway.rules.surroundings import Surroundings
from gateway.settings import GatewaySettings
from gateway.telemetry.linefile import STDOUT

MAX_LAST = 1_000_000
"""Lines of the access log that a what-if looks at."""


@dataclass(frozen=True, slots=True)
class ReadyGateway:
    """A configuration, and all that was made of it."""

    loaded: LoadedGateway
    build: EntryBuild

    @property
    def files(self) -> Sequence[Path]:
        """Everything that was read."""
        return self.loaded.files


class RuleBook:
    """Made before the first load: it says where copies of remote rules are."""

    def __init__(self, path: Path, overrides: Sequence[str], changed: Callable[[str], Awaitable[None]]) -> None:
        self._path = path
        self._overrides = overrides
        self.copies = RuleCopies(changed)
        self.history = History()

    async def open(self) -> None:
        """Reads the history, and asks for remote rules once. Raises ConfigError for a configuration with problems."""
        settings = load_gateway(self._path, self._overrides).settings
        if settings.state is not None:
            self.history = History(Path(settings.state) / "history")
        await self.copies.open(settings)

    def build(self) -> ReadyGateway:
        """The configuration, ready to be in force. Raises ConfigError."""
        loaded = self.load()
        return ReadyGateway(loaded, EntryBuild.of(loaded.settings, loaded.rules))

    def load(self, overlay: Overlay | None = None) -> LoadedGateway:
        """The configuration with its rules, remote ones included. Raises ConfigError."""
        return load_gateway(self._path, self._overrides, state=self.copies.folder, overlay=overlay)

    def record(self, loaded: LoadedGateway, revision: int, cause: str, author: str, at: float) -> None:
        """Keeps a revision."""
        texts = {str(path): text for path, text in loaded.lanes.texts.items()}
        self.history.record(Revision(revision, at, author, cause, texts))

    async def write(self, overlay: Overlay) -> None:
        """Puts texts where they belong: files, or the servers that copies are of.

        Raises OSError, ConflictError and RegistryError; what comes before in `overlay` is written then.
        """
        for path, text in overlay.items():
            mirror = self.copies.mirrors.of(path)
            if mirror is not None:
                await mirror.publish(path, text)
            elif text is None:
                path.unlink(missing_ok=True)
            else:
                write_file(path, text)

    def api(
        self,
        reloader: Reloader[ReadyGateway],
        reload: Callable[[str, str], Awaitable[None]],
        around: Callable[[], Surroundings],
        settings: Callable[[], GatewaySettings],
    ) -> RulesApi:
        """What the admin API serves of all this."""

        def current() -> LoadedRules:
            return LoadedRules() if reloader.loaded is None else reloader.loaded.loaded.lanes

        async def reloaded(cause: str, author: str) -> int:
            await reload(cause, author)
            return reloader.state.revision

        editor = LaneEditor(
            current, lambda overlay: self.load(overlay).lanes, self.write, reloaded, lambda: reloader.state.revision
        )

        def draft(rules: str, requests: list[Any], last: int) -> Comparison:
            path = Path("draft.yaml")
            drafted = load_rules([path], overlay={path: rules})
            records = [read_record(item) for item in requests]
            if last:
                records.extend(read_records(_last_lines(settings(), min(last, MAX_LAST))))
            return compare(current().rules, drafted.rules, around(), records)

        return RulesApi(editor, self.history, draft)

    async def close(self) -> None:
        """Stops following remote rules."""
        await self.copies.close()


def _last_lines(settings: GatewaySettings, count: int) -> list[str]:
    """The last lines of the access log. Raises ConfigError where there is no file of it, or one that is not JSON."""
    log = settings.access_log
    if log is None or log.path == STDOUT or log.format != "json":
        message = "`last` wants an access log in JSON that goes to a file"
        raise ConfigError([Problem("access_log", 0, 0, message)])
    try:
        with Path(log.path).open(encoding="utf-8", errors="replace") as file:
            return list(deque(file, count))
    except OSError as error:
        raise ConfigError([Problem(log.path, 0, 0, f"cannot be read: {error.strerror or error}")]) from error
