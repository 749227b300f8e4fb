"""Rules from files: lane groups and segments, every problem of them, and where each lane is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.rules.ruleset import RuleSet
from gateway.rulesources.reach import Reach
from gateway.yaml.reading import Document, Location

SUFFIXES = (".yaml", ".yml")
"""Of the files that directories are searched for."""

FILES_CHANGED = "files changed"
"""The cause of a reload that nobody requested. A failure that is known already is not logged again then."""


@dataclass(frozen=True, slots=True)
class GroupPlace:
    """Where a group is: the file, what is in it (its `file` is what people call it), and which of its groups it is."""

    path: Path
    document: Document
    index: int

    def of_lane(self, number: int | None = None, key: str = "name") -> tuple[str, int, int]:
        """File, line and column of the lane of this number (from 0), or of the group itself."""
        location: Location = ("lane_groups", self.index)
        if number is not None:
            location = (*location, "lanes", number)
        return (self.document.file, *self.document.place((*location, key)))


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """The rules, the files and directories they came from, and where each group is.

    `named` says what people call a file: a copy of remote rules, by its place on the server.
    """

    rules: RuleSet = field(default_factory=RuleSet)
    files: tuple[Path, ...] = ()
    places: Mapping[str, GroupPlace] = field(default_factory=dict)
    texts: Mapping[Path, str] = field(default_factory=dict)
    """What each file of rules says; segments are not among them."""
    named: Callable[[Path], str] = str
    segments: Mapping[str, Path] = field(default_factory=dict)
    """The file of each segment, but for those that a document from elsewhere has named."""


Overlay = Mapping[Path, str | None]
"""Texts to read in place of what files have; None: as if there were no such file. For changes that are not made yet."""


def load_rules(
    sources: Sequence[Path],
    environ: Mapping[str, str] | None = None,
    overlay: Overlay | None = None,
    named: Callable[[Path], str] = str,
    reach: Reach | None = None,
    segments: Mapping[str, frozenset[str]] | None = None,
) -> LoadedRules:
    """The rules of directories and files, in order. Raises ConfigError with every problem of every file.

    `segments` are the values of segments by name, in place of what their files have.
    """
    if not sources:
        return LoadedRules(named=named)
    from gateway.rulesources.reader import RulesReader  # the whole model of rules: who has none does without

    return RulesReader(environ, overlay or {}, named, reach or Reach(), segments or {}).read(sources)


def yaml_files(directory: Path) -> list[Path]:
    """A directory's rule files by name; hidden ones (a ConfigMap's `..data`, an editor's swap file) are ignored."""
    return sorted(file for file in directory.iterdir() if is_named_as_rules(file) and file.is_file())


def is_named_as_rules(file: Path) -> bool:
    """Whether a file of a directory of rules is, by its name, one of rules: segments may lie beside."""
    return file.suffix in SUFFIXES and not file.name.startswith(".")
