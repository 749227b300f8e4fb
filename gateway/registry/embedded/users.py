"""Who may use the embedded registry, where not everybody may: a file with a line for each user.

    gateway:write:scrypt$14$c2FsdA$aGFzaA
    dashboard:read:scrypt$14$…

Passwords are kept as scrypt hashes (RFC 7914). A token says whose it is and until when, and is signed with the user's line: it
outlives a restart, and not a change of the password or the role.
"""

from __future__ import annotations

import hmac
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway import base64url
from gateway.errors import StartError
from gateway.files import read_file
from gateway.scrypt import SIZE, hashed, is_password

_log = logging.getLogger("gateway.registry")

READ: Final = "read"
WRITE: Final = "write"
"""Roles: to look instances, services and config values up, or to change them as well."""
READ_ONLY: Final = "the user can only read"
"""Why somebody with the first role is refused."""
TTL: Final = 18_000
"""Seconds that a token is good for, Nacos' own value."""
MAX_FILE: Final = 1 << 20
MAX_PASSWORD: Final = 1024
_LINE: Final = re.compile(r"([0-9A-Za-z._@-]{1,64}):(read|write):(scrypt\$([0-9]{2})\$([\w-]+)\$([\w-]+))")


@dataclass(frozen=True, slots=True)
class User:
    """A line of the file."""

    name: str
    role: str
    password: str

    @property
    def line(self) -> str:
        """As the file has it."""
        return f"{self.name}:{self.role}:{self.password}"

    def knows(self, password: str) -> bool:
        """Whether that is the password. Takes a while: for a thread."""
        return is_password(password.encode(), self.password, SIZE)


def parse_users(text: str, file: Path) -> dict[str, User]:
    """The users in a file, by name. Raises ValueError for what is none, naming the line."""
    users: dict[str, User] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None or not 10 <= int(found[4]) <= 20:
            raise ValueError(
                f"{file}:{number}: NAME:read:HASH or NAME:write:HASH is accepted, as `gateway registry user` writes it"
            )
        if found[1] in users:
            raise ValueError(f"{file}:{number}: user '{found[1]}' is defined twice")
        users[found[1]] = User(found[1], found[2], found[3])
    return users


class Users:
    """The users in a file, which is read again when it changes. `clock` gives seconds of the day's clock."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._users: dict[str, User] = {}
        self._seen: tuple[int, int] = (0, 0)
        self._nobody = User("", READ, hashed("nobody"))

    def load(self) -> None:
        """Reads the file. Raises StartError."""
        try:
            self._read()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise StartError(f"cannot read the registry's users from {self._file}: {reason}") from error

    def look(self) -> None:
        """Reads the file again if it has changed; one that cannot be read changes nothing."""
        try:
            if self._stamp() != self._seen:
                self._read()
                _log.info("the registry's users were reloaded: %d users", len(self._users))
        except (OSError, ValueError) as error:
            self._seen = (-1, -1) if isinstance(error, OSError) else self._stamp()
            _log.error("keeping the registry's users as they were: %s", error)

    def _stamp(self) -> tuple[int, int]:
        found = self._file.stat()
        return found.st_mtime_ns, found.st_size

    def _read(self) -> None:
        stamp = self._stamp()
        self._users = parse_users(read_file(self._file, MAX_FILE).decode(), self._file)
        self._seen = stamp

    def log_in(self, name: str, password: str) -> str | None:
        """A token for who knows the password, else None; it takes as long for who does not exist. For a thread."""
        user = self._users.get(name, self._nobody)
        if len(password) > MAX_PASSWORD or not user.knows(password) or user is self._nobody:
            return None
        body = f"{name}.{int(self._clock()) + TTL}"
        return f"{base64url.encode(body.encode())}.{_signature(user, body)}"

    def may(self, token: str, changes: bool) -> bool | None:
        """Whether whose token it is may do something, which `changes` what there is; None: it is nobody's (any more)."""
        try:
            body, _, signature = token.partition(".")
            name, _, expires = base64url.decode(body).decode().rpartition(".")
            user = self._users[name]
            is_good = hmac.compare_digest(signature, _signature(user, f"{name}.{expires}"))
            if not is_good or int(expires) < self._clock():
                return None
        except (KeyError, ValueError, TypeError):
            return None
        return not changes or user.role == WRITE


def _signature(user: User, body: str) -> str:
    return base64url.encode(hmac.digest(user.line.encode(), body.encode(), "sha256"))
