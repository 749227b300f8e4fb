"""The last rules that were in force, kept in the state directory for a start that finds others.

A running gateway whose rules get a problem keeps the revision that it has. So does one that is started again: with
what is kept here. Only rules are kept. What is wrong with the configuration itself must be fixed by the person who
starts it: they have just deployed it, and other settings might serve on another address, or with a certificate that was
withdrawn.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.files import MAX_DATA, PRIVATE, read_file, write_file
from gateway.rulesources.files import LoadedRules, load_rules
from gateway.rulesources.reach import Reach
from gateway.settings import RemoteSource, ServingSettings
from gateway.state import LAST_GOOD

_log = logging.getLogger("gateway.control")

SCHEMA: Final = 1
MAX_KEPT: Final = 16 * MAX_DATA
"""Bytes of what is kept: every text and every segment of the rules."""


@dataclass(frozen=True, slots=True)
class KeptRules:
    """Rules as they were: texts of files in order, segments by name, and the revision that they were."""

    revision: int
    files: Mapping[Path, str]
    segments: Mapping[str, frozenset[str]]

    def load(self, environ: Mapping[str, str], named: Callable[[Path], str], reach: Reach) -> LoadedRules:
        """Reads them again. Raises ConfigError: a variable may have another value now."""
        return load_rules(list(self.files), environ, self.files, named, reach, self.segments)


class LastGood:
    """Keeps one revision's rules in a state directory. Never raises: what cannot be kept or read is logged."""

    def __init__(self, state: Path) -> None:
        self._file = state / LAST_GOOD / "rules.json"

    def save(self, settings: ServingSettings, lanes: LoadedRules, revision: int) -> None:
        """Keeps rules that are in force."""
        content = {
            "schema": SCHEMA,
            "sources": _sources(settings),
            "revision": revision,
            "at": time.time(),
            "files": {str(path.absolute()): text for path, text in lanes.texts.items()},
            "segments": {name: "\n".join(values) for name, values in lanes.rules.segments.items()},
        }
        try:
            write_file(self._file, json.dumps(content, ensure_ascii=False), PRIVATE)
        except (OSError, ValueError) as error:
            _log.warning("cannot save revision %d for a restart: %s", revision, error)

    def load(self, settings: ServingSettings) -> KeptRules | None:
        """What was kept of the sources that a configuration has; None if nothing was, or if it was of others."""
        try:
            content: dict[str, Any] = json.loads(read_file(self._file, MAX_KEPT))
            if content["schema"] != SCHEMA or content["sources"] != _sources(settings):
                return None
            return KeptRules(
                int(content["revision"]),
                {Path(path): str(text) for path, text in content["files"].items()},
                {name: frozenset(filter(None, text.split("\n"))) for name, text in content["segments"].items()},
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            _log.warning("the last good rules in %s are not used: %s: %s", self._file, type(error).__name__, error)
            return None


def _sources(settings: ServingSettings) -> Sequence[str]:
    """Where rules come from, as it is written: rules of other sources are not what an operator asks for."""
    return [source.name if isinstance(source, RemoteSource) else source for source in settings.rules]
