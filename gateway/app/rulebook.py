"""The rules of a running entry gateway as something that people change: lanes, roll-backs, drafts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.admin.groups import GroupsApi
from gateway.admin.rules import RulesApi
from gateway.app.configuration import Configuration
from gateway.app.entry_plane import EntryPlane
from gateway.app.parts import make_reader
from gateway.errors import ConfigError, Problem
from gateway.files import last_lines, write_file
from gateway.live.replay import recorded
from gateway.live.store import RecordStore
from gateway.rules.ruleset import RuleSet
from gateway.rulesources.files import LoadedRules, Overlay, load_rules
from gateway.rulesources.places import Places
from gateway.rulesources.reach import Reach
from gateway.ruletools.edit import LaneEditor
from gateway.ruletools.groupedit import GroupEditor
from gateway.ruletools.whatif import Comparison, Recorded, compare, read_record, read_records
from gateway.settings.gateway import GatewaySettings
from gateway.telemetry.linefile import STDOUT

if TYPE_CHECKING:
    from gateway.ruletools.review import Linted


class RuleBook:
    """Changes what is kept, and has the configuration load it. See RunningRules, WhatIf and Reviewer.

    `records` are the requests of late, by which a change is reviewed.
    """

    def __init__(self, configuration: Configuration[GatewaySettings], plane: EntryPlane, records: RecordStore) -> None:
        self._configuration = configuration
        self._plane = plane
        self._records = records
        self._linted: Linted | None = None
        self.editor = LaneEditor(self)
        """The only one: it makes one change at a time."""

    def api(self) -> RulesApi:
        """What the admin API serves of all this."""
        return RulesApi(self.editor, self._configuration.history, self.what_if, self.review)

    def groups_api(self) -> GroupsApi:
        """The same of groups and segments."""
        return GroupsApi(GroupEditor(self, self.editor), self.review)

    @property
    def lanes(self) -> LoadedRules:
        """The rules in force."""
        return self._configuration.lanes

    @property
    def revision(self) -> int:
        """The revision in force."""
        return self._configuration.state.revision

    @property
    def places(self) -> Places:
        """What files are called in the history."""
        return self._configuration.places

    def try_load(self, overlay: Overlay) -> LoadedRules:
        """What the rules would be with other texts. Raises ConfigError."""
        return self._configuration.load(overlay).lanes

    async def write(self, overlay: Overlay) -> None:
        """Puts texts where they belong: files, or the servers that copies are of.

        Raises OSError, ConflictError and RegistryError; what comes before in `overlay` is written then.
        """
        copies = self._configuration.copies
        for path, text in overlay.items():
            if text is None:
                copies.deleted(path)
            mirror = copies.mirrors.of(path)
            if mirror is not None:
                await mirror.publish(path, text)
            elif text is None:
                path.unlink(missing_ok=True)
            else:
                write_file(path, text)

    async def reload(self, cause: str, author: str) -> int:
        """Loads what was written; returns the revision in force after that."""
        await self._configuration.reload(cause, author)
        return self.revision

    def what_if(self, rules: str, requests: list[Any], last: int) -> Comparison:
        """See WhatIf."""
        path = Path("draft.yaml")
        files = self.lanes.files
        base = None if not files else files[0] if files[0].is_dir() else files[0].parent
        drafted = load_rules([path], overlay={path: rules}, reach=Reach((path,), files, base))
        settings = self._configuration.settings
        records: Iterable[Recorded | None] = map(read_record, requests)
        if last:
            records = chain(records, read_records(_last_lines(settings, last)))
        return compare(self.lanes.rules, drafted.rules, self._plane.around, records, settings.access_log)

    def review(self, rules: RuleSet) -> Callable[[], dict[str, Any]]:
        """See Reviewer."""
        # Loaded when somebody changes rules: a gateway that only routes need not have it.
        from gateway.ruletools.lint import Knowledge  # noqa: PLC0415
        from gateway.ruletools.review import Linted, review  # noqa: PLC0415

        self._linted = self._linted or Linted()
        lanes, settings, plane = self.lanes, self._configuration.settings, self._plane
        known = Knowledge(
            {view.name: frozenset(view.pools) for view in plane.snapshot.services.values()},
            tuple(route.path for route in settings.routes),
            any(route.inspect_body for route in settings.routes),
            settings.carriers.header,
        )
        folders = dict.fromkeys((path if path.is_dir() else path.parent) / "tests" for path in lanes.files)
        tests = [folder for folder in folders if folder.is_dir()]
        reader = make_reader(settings)
        records = filter(None, map(partial(recorded, reader=reader), list(self._records)))
        return partial(review, lanes.rules, rules, plane.around, known, tests, records, linted=self._linted)


def _last_lines(settings: GatewaySettings, count: int) -> Iterator[str]:
    """The last lines of the access log. Raises ConfigError if there is no file of it, or one that is not JSON."""
    log = settings.access_log
    if log is None or log.path == STDOUT or log.format != "json":
        message = "`last` needs an access log in JSON that goes to a file"
        raise ConfigError([Problem("access_log", 0, 0, message)])
    try:
        for line in last_lines(Path(log.path), count):
            yield line.decode("utf-8", "replace")
    except OSError as error:
        raise ConfigError([Problem(log.path, 0, 0, f"cannot be read: {error.strerror or error}")]) from error
