"""The rules of an entry gateway as something that is kept: copies of remote ones, history, changes, drafts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from gateway.admin.rules import RulesApi
from gateway.app.copies import RuleCopies
from gateway.app.plane import EntryBuild
from gateway.config.load import LoadedGateway, RulesFrom, load_gateway, load_settings
from gateway.control.reload import Reloader
from gateway.errors import ConfigError, Problem
from gateway.files import last_lines, write_file
from gateway.rules.surroundings import Surroundings
from gateway.rulesources.files import LoadedRules, Overlay, load_rules
from gateway.rulesources.places import Places
from gateway.rulesources.reach import Reach
from gateway.ruletools.edit import LaneEditor
from gateway.ruletools.history import History, Revision
from gateway.ruletools.whatif import Comparison, Recorded, compare, read_record, read_records
from gateway.settings import GatewaySettings
from gateway.state import HISTORY
from gateway.telemetry.linefile import STDOUT


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
        settings = load_settings(GatewaySettings, self._path, self._overrides)
        await self.copies.open(settings)
        if settings.state is not None:
            self.history = History(Path(settings.state) / HISTORY)

    def build(self) -> ReadyGateway:
        """The configuration, ready to be in force. Raises ConfigError."""
        return self._build(self.copies.from_now())

    def build_old(self, _: ConfigError) -> ReadyGateway | None:
        """The configuration with the last rules that were in force in an earlier run; None where that is no way out."""
        return self.copies.build_old(self._build)

    def _build(self, rules_from: RulesFrom) -> ReadyGateway:
        loaded = load_gateway(self._path, self._overrides, rules_from=rules_from)
        return ReadyGateway(loaded, EntryBuild.of(loaded.settings, loaded.rules))

    def load(self, overlay: Overlay | None = None) -> LoadedGateway:
        """The configuration with its rules, remote ones included. Raises ConfigError."""
        return load_gateway(self._path, self._overrides, rules_from=self.copies.from_now(overlay))

    @property
    def last_revision(self) -> int:
        """The revision that an earlier run ended with, 0 where none is known."""
        return max(self.history.last, self.copies.kept_revision)

    async def record(self, loaded: LoadedGateway, revision: int, cause: str, author: str, at: float) -> None:
        """Keeps a revision."""
        places = self._places(loaded.settings)
        texts = {places.name(path): text for path, text in loaded.lanes.texts.items()}
        self.history.record(Revision(revision, at, author, cause, texts))
        await self.copies.applied(loaded.settings, loaded.lanes, revision)

    def _places(self, settings: GatewaySettings) -> Places:
        return Places.of(settings.rules, self._path, self.copies.folder)

    async def write(self, overlay: Overlay) -> None:
        """Puts texts where they belong: files, or the servers that copies are of.

        Raises OSError, ConflictError and RegistryError; what comes before in `overlay` is written then.
        """
        for path, text in overlay.items():
            if text is None:
                self.copies.deleted(path)
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
            current,
            lambda overlay: self.load(overlay).lanes,
            self.write,
            reloaded,
            lambda: reloader.state.revision,
            lambda: self._places(settings()),
        )

        def draft(rules: str, requests: list[Any], last: int) -> Comparison:
            path = Path("draft.yaml")
            files = current().files
            base = None if not files else files[0] if files[0].is_dir() else files[0].parent
            drafted = load_rules([path], overlay={path: rules}, reach=Reach((path,), files, base))
            records: Iterable[Recorded | None] = map(read_record, requests)
            if last:
                records = chain(records, read_records(_last_lines(settings(), last)))
            return compare(current().rules, drafted.rules, around(), records, settings().access_log)

        return RulesApi(editor, self.history, draft)

    async def close(self) -> None:
        """Stops following remote rules."""
        await self.copies.close()


def _last_lines(settings: GatewaySettings, count: int) -> Iterator[str]:
    """The last lines of the access log. Raises ConfigError where there is no file of it, or one that is not JSON."""
    log = settings.access_log
    if log is None or log.path == STDOUT or log.format != "json":
        message = "`last` wants an access log in JSON that goes to a file"
        raise ConfigError([Problem("access_log", 0, 0, message)])
    try:
        for line in last_lines(Path(log.path), count):
            yield line.decode("utf-8", "replace")
    except OSError as error:
        raise ConfigError([Problem(log.path, 0, 0, f"cannot be read: {error.strerror or error}")]) from error
