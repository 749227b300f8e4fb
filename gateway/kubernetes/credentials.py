"""How requests to the API server say who we are. Tokens change while we run: they are read again."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time
from typing import Any, Final, Protocol

from gateway.files import read_file
from gateway.kubernetes.errors import ApiError

REREAD: Final = 60.0
"""Seconds after which a token's file is read again. Kubelet replaces it at four fifths of its life, an hour as a rule."""
EARLY: Final = 30.0
"""Seconds before a plugin's credential expires that it is asked for another one."""
PLUGIN_PATIENCE: Final = 30.0
"""Seconds that a plugin has."""
MAX_TOKEN: Final = 1 << 20


class Credentials(Protocol):
    """What is said with each request."""

    async def headers(self) -> Mapping[str, str]:
        """The header fields. Raises ApiError if there are none to be had."""
        ...

    def forget(self) -> None:
        """They were refused (401): the next call fetches them anew."""
        ...


class NoCredentials:
    """Nobody, or who the client certificate says."""

    async def headers(self) -> Mapping[str, str]:
        """See Credentials."""
        return {}

    def forget(self) -> None:
        """See Credentials."""


class Token(NoCredentials):
    """A token that does not change."""

    def __init__(self, token: str) -> None:
        self._headers = {"Authorization": f"Bearer {token}"}

    async def headers(self) -> Mapping[str, str]:
        """See Credentials."""
        return self._headers


class BasicCredentials(NoCredentials):
    """A user and a password."""

    def __init__(self, user: str, password: str) -> None:
        both = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {both}"}

    async def headers(self) -> Mapping[str, str]:
        """See Credentials."""
        return self._headers


class FileToken:
    """A token in a file that somebody else replaces."""

    def __init__(self, path: Path, clock: Callable[[], float] = monotonic) -> None:
        self._path = path
        self._clock = clock
        self._token = ""
        self._read_at = 0.0

    async def headers(self) -> Mapping[str, str]:
        """See Credentials."""
        if not self._token or self._clock() - self._read_at >= REREAD:
            try:
                content = await asyncio.to_thread(read_file, self._path, MAX_TOKEN)
            except OSError as error:
                message = f"cannot read the token file {self._path}: {error.strerror or error}"
                raise ApiError(0, "Unauthorized", message) from error
            self._token = content.decode("ascii", "replace").strip()
            self._read_at = self._clock()
        return {"Authorization": f"Bearer {self._token}"}

    def forget(self) -> None:
        """See Credentials."""
        self._token = ""


class ExecCredentials:
    """A program that prints an `ExecCredential` with a token, as those of cloud providers do.

    `cluster` is what it learns of the cluster.
    """

    def __init__(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        version: str,
        cluster: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._command = list(command)
        self._variables = dict(variables)
        self._asked = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
        if cluster is not None:
            self._asked["spec"] = {"interactive": False, "cluster": cluster}
        self._clock = clock
        self._token = ""
        self._expires_at: float | None = None
        self._lock = asyncio.Lock()

    async def headers(self) -> Mapping[str, str]:
        """See Credentials."""
        async with self._lock:
            if not self._token or (self._expires_at is not None and self._clock() >= self._expires_at - EARLY):
                self._token, self._expires_at = self._read(await self._output())
        return {"Authorization": f"Bearer {self._token}"}

    def forget(self) -> None:
        """See Credentials."""
        self._token = ""

    async def _output(self) -> bytes:
        environ = {**os.environ, **self._variables, "KUBERNETES_EXEC_INFO": json.dumps(self._asked)}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                env=environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            message = f"cannot start the credential plugin {self._command[0]}: {error.strerror or error}"
            raise ApiError(0, "Unauthorized", message) from error
        try:
            async with asyncio.timeout(PLUGIN_PATIENCE):
                output, complaints = await process.communicate()
        except TimeoutError:
            message = f"the credential plugin {self._command[0]} did not end within {PLUGIN_PATIENCE:g} s"
            raise ApiError(0, "Unauthorized", message) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            said = complaints.decode("utf-8", "replace").strip()[-200:]
            message = f"the credential plugin {self._command[0]} ended with {process.returncode}: {said}"
            raise ApiError(0, "Unauthorized", message)
        return output

    def _read(self, output: bytes) -> tuple[str, float | None]:
        """Token and time of expiry (seconds since 1970, None for never) of what it printed."""
        try:
            status: Any = json.loads(output)["status"]
            token = status["token"]
            expires = status.get("expirationTimestamp")
            if not isinstance(token, str) or not token:
                raise ValueError("no token")
            at = None if expires is None else datetime.fromisoformat(expires).astimezone(UTC).timestamp()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"the credential plugin {self._command[0]} did not print an ExecCredential with a token"
            raise ApiError(0, "Unauthorized", message) from error
        return token, at
