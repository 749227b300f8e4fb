"""What rules that somebody else has written may reach: a document of a server, a draft in a request.

A rules file of this machine was put there by someone who may read its files. Other rules come from outside: a segment of
theirs must not read `/etc/passwd` line by line, nor a variable of theirs say what the environment holds.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.errors import Problem


@dataclass(frozen=True, slots=True)
class Reach:
    """`outside` are the files, and directories of files, of such rules; `roots` what they may name: files, or all below.

    `base` is where their relative names begin; None: beside each file.
    """

    outside: Collection[Path] = ()
    roots: Collection[Path] = ()
    base: Path | None = None

    def is_outside(self, file: Path) -> bool:
        """Whether somebody else has written a file of rules."""
        return file in self.outside or file.parent in self.outside

    def environment(self, file: Path, environ: Mapping[str, str] | None) -> Mapping[str, str] | None:
        """The variables that a file of rules may use."""
        return {} if self.is_outside(file) else environ

    def explained(self, file: Path, problem: Problem) -> Problem:
        """A problem of a file of rules, where it is one because of who wrote that."""
        if self.is_outside(file) and problem.message.startswith("environment variable "):
            return replace(problem, message=f"{problem.message}; rules from servers and drafts cannot read variables")
        return problem

    def find(self, file: Path, name: str) -> Path | None:
        """What a file of rules means by a name; None if that is not for it. Nothing reveals whether it is there."""
        if not self.is_outside(file):
            return file.parent / name
        path = (self.base or file.parent) / name
        try:
            real = Path(os.path.realpath(path))
        except ValueError:  # Python's own for a NUL in a name
            return None
        return path if any(real.is_relative_to(os.path.realpath(root)) for root in self.roots) else None
