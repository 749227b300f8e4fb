"""Verifying passwords without holding up anybody else: in few threads, once for the same credentials, and never without bound."""

from __future__ import annotations

import asyncio
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from gateway.permission.users import is_password

THREADS: Final = 2
"""Passwords that are hashed at a time. The libraries do it without Python's lock, so that requests go on."""
MOST: Final = 64
"""Hashes that are under way or waiting: with one of 100 ms, some three seconds' worth."""
MOST_OF_CLIENT: Final = 8
"""Those of one client: who guesses passwords does not keep everybody else from logging in."""
MOST_RIGHT: Final = 8192
MOST_WRONG: Final = 1024
"""Credentials that are remembered, right and wrong ones each by themselves, so that guesses push nobody out."""


class TooManyLoginsError(Exception):
    """Too many passwords wait for being hashed."""


class Logins:
    """Of one process. What is remembered of credentials is a keyed hash of them and of what they were compared with."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._right: dict[bytes, None] = {}
        self._wrong: dict[bytes, None] = {}
        self._pending: dict[bytes, asyncio.Future[bool]] = {}
        self._by_client: dict[str, int] = {}
        self._threads: ThreadPoolExecutor | None = None

    def digest(self, *parts: bytes) -> bytes:
        """A keyed hash of some bytes, which nobody else can compute."""
        hasher = hashlib.blake2b(key=self._key, digest_size=32)
        for part in parts:
            hasher.update(len(part).to_bytes(4, "big"))
            hasher.update(part)
        return hasher.digest()

    def recall(self, digest: bytes) -> bool | None:
        """Whether credentials with this digest were right, None if that is not remembered."""
        if digest in self._right:
            del self._right[digest]
            self._right[digest] = None  # the one that was used last is forgotten last
            return True
        return False if digest in self._wrong else None

    async def verify(self, digest: bytes, password: bytes, hashed: str, *, exists: bool, client: str) -> bool:
        """Whether a password is right, for credentials with this digest.

        Without `exists` it is not, and that takes just as long. Raises TooManyLoginsError.
        """
        pending = self._pending.get(digest)
        if pending is None:
            mine = self._by_client.get(client, 0)
            if len(self._pending) >= MOST or mine >= MOST_OF_CLIENT:
                raise TooManyLoginsError
            if self._threads is None:
                self._threads = ThreadPoolExecutor(THREADS, "password")
            loop = asyncio.get_running_loop()
            pending = self._pending[digest] = loop.run_in_executor(self._threads, is_password, password, hashed)
            self._by_client[client] = mine + 1
            pending.add_done_callback(lambda done: self._done(digest, done, exists, client))
        # Whoever waits may go away; the hash is made all the same, and remembered.
        return await asyncio.shield(pending) and exists

    def _done(self, digest: bytes, done: asyncio.Future[bool], exists: bool, client: str) -> None:
        del self._pending[digest]
        left = self._by_client[client] - 1
        if left:
            self._by_client[client] = left
        else:
            del self._by_client[client]
        if done.cancelled() or done.exception() is not None:
            return
        known, most = (self._right, MOST_RIGHT) if done.result() and exists else (self._wrong, MOST_WRONG)
        if len(known) >= most:
            del known[next(iter(known))]
        known[digest] = None


LOGINS: Final = Logins()
"""Of this process: what it remembers outlives a reload, and is of no use for a hash that was replaced."""
