"""The errors this program raises itself; foreign exceptions are mapped to these at the boundary where they appear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.failures import Failure


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in what an operator wrote. Lines and columns count from 1, as editors do.

    Line 0 means that `file` is not a file but an option or an environment variable.
    """

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class GatewayError(Exception):
    """Base of every error that is shown to a person: its text is a whole sentence, never a traceback."""


class ConfigError(GatewayError):
    """Configuration or rules that cannot be used. Carries *every* problem found, in file order.

    `files` are those that were read, or looked for and not there: a change of one of them may fix it.
    """

    def __init__(self, problems: list[Problem], files: Sequence[Path] = ()) -> None:
        self.problems = tuple(sorted(problems))
        self.files = tuple(files)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StartError(GatewayError):
    """The program could not start (port in use, unreadable file). The process exits 3."""


class RegistryError(GatewayError):
    """A registry did not give a usable response. What is known stays in use.

    `reason` is one of `unreachable`, `timeout`, `warming`, `auth`, `api`, `connections`, `bad_response`, `bad_name`: the label
    of the metric and the word in the admin API.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class ProtocolError(Exception):
    """An HTTP message that must not be forwarded: why, and a sentence for a person."""

    def __init__(self, failure: Failure, detail: str) -> None:
        self.failure = failure
        self.detail = detail
        super().__init__(f"{failure.status} {failure.code}: {detail}")
