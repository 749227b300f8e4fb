"""Basic authentication (RFC 7617): users of a file."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

from gateway.failures import CREDENTIALS_REQUIRED, TOO_MANY_LOGINS
from gateway.http.grammar import field_pattern
from gateway.http.permission import Permission
from gateway.http.request import Request
from gateway.permission.logins import Logins, TooManyLoginsError
from gateway.routing.peer import Peer
from gateway.routing.questions import Denial, Question

MAX_CREDENTIALS: Final = 2048
"""Bytes of encoded credentials."""
_AUTHORIZATION: Final = field_pattern(rb"authorization")
_BASIC: Final = re.compile(rb"basic[ ]+([A-Za-z0-9+/]+={0,2})[ \t]*", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class BasicAuth:
    """The users of one route: `users` are hashes by name. Their names go to the service in the field `header`, empty: in none.

    `keeps`: the service gets the credentials as well.
    """

    def __init__(self, realm: str, users: Mapping[str, str], header: str, *, keeps: bool, logins: Logins) -> None:
        self._users = users
        self._hashes = list(users.values())
        self._header = header.encode("ascii")
        self._logins = logins
        self._challenge = f'\r\nWWW-Authenticate: Basic realm="{realm}", charset="UTF-8"'.encode("ascii")
        names = {b"authorization"} if not keeps else set()
        if header:
            names.add(self._header.lower())
        self.question = Question("basic_auth", f"realm {realm!r}", frozenset(names), self.recall, self.ask)

    def recall(self, request: Request) -> Permission | Denial | None:
        """What is known of a request at once."""
        credentials = read_credentials(request)
        if credentials is None:
            return self._denied("a user's name and password are required")
        name, password = credentials
        digest, _, exists = self._whom(name, password)
        known = self._logins.recall(digest)
        if known is None:
            return None
        return self._granted(name) if known and exists else self._wrong()

    async def ask(self, request: Request, _: Peer, client: str) -> Permission | Denial:
        """What the password's hash says."""
        credentials = read_credentials(request)
        if credentials is None:
            return self._wrong()
        name, password = credentials
        digest, hashed, exists = self._whom(name, password)
        try:
            is_right = await self._logins.verify(digest, password, hashed, exists=exists, client=client)
        except TooManyLoginsError:
            return Denial(TOO_MANY_LOGINS, "too many passwords are being verified; try again")
        return self._granted(name) if is_right else self._wrong()

    def _whom(self, name: str, password: bytes) -> tuple[bytes, str, bool]:
        """The digest of credentials, the hash that they are compared with, and whether it is the user's.

        Who does not exist is compared with somebody's: always the same one's, and it takes as long as it does for those who do.
        """
        hashed = self._users.get(name)
        exists = hashed is not None
        user = name.encode("utf-8")
        if hashed is None:
            hashed = self._hashes[int.from_bytes(self._logins.digest(user)[:8], "big") % len(self._hashes)]
        return self._logins.digest(b"+" if exists else b"-", user, hashed.encode("ascii"), password), hashed, exists

    def _granted(self, name: str) -> Permission:
        if not self._header:
            return Permission()
        return Permission(b"%b: %b\r\n" % (self._header, name.encode("utf-8")))

    def _wrong(self) -> Denial:
        return self._denied("the user's name or the password is wrong")

    def _denied(self, detail: str) -> Denial:
        return Denial(CREDENTIALS_REQUIRED, detail, self._challenge)


def read_credentials(request: Request) -> tuple[str, bytes] | None:
    """The user's name and the password that a request has; None if there are none, or more than one could be meant."""
    fields = _AUTHORIZATION.findall(request.head, request.line_end)
    if len(fields) != 1:
        return None
    match = _BASIC.fullmatch(fields[0][1])
    if match is None or len(match[1]) > MAX_CREDENTIALS or len(match[1]) % 4:
        return None
    try:
        text = base64.b64decode(match[1], validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, password = text.partition(":")
    if not colon or not name or _CONTROL.search(text) is not None:
        return None
    return name, password.encode("utf-8")
