"""What a start says of its own exposure: who runs it, who may read its secrets, who reaches what has no authentication.

None of it keeps it from serving: a container of one process is often root, and a network may be private. But nobody should be
so by accident.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from gateway.files import is_private, read_file
from gateway.settings import Address, ServingSettings

_log = logging.getLogger("gateway")


def warn_of_exposure(settings: ServingSettings, config: Path) -> None:
    """Logs all of the above, of a configuration and the file that it came from."""
    _warn(*_of_process(), *exposures(settings, config))


def warn_of_registry(host: str, address: str, has_users: bool = False) -> None:
    """The same of a registry that runs alone on a host; `address` has the port, too."""
    _warn(*_of_process(), *(() if has_users else _of_registry(host, address)))


def _warn(*warnings: str) -> None:
    for warning in warnings:
        _log.warning("%s", warning)


def _of_process() -> Iterator[str]:
    if os.geteuid() == 0:
        yield "running as root: a vulnerability would give away the whole machine; run it as its own user"


def _of_registry(host: str, address: str) -> Iterator[str]:
    if not Address(host=host, port=0).is_loopback:
        yield f"the registry on {address} has no users: anyone who can reach it can register an instance and receive traffic"


def exposures(settings: ServingSettings, config: Path) -> Iterator[str]:
    """Warnings about what a configuration exposes."""
    for file in _secret_files(settings, config):
        try:
            if not is_private(file):
                yield f"{file} contains a secret, but users other than its owner can read or write it: chmod 600 {file}"
        except OSError:
            continue  # it was deleted in the meantime
    if settings.admin_token is None and not settings.admin.is_loopback:
        power = "change lanes" if settings.is_entry else "see what it knows"
        yield f"anyone who can reach the admin API on {settings.admin} can {power}: set admin_token"
    if settings.embedded_registry is not None and settings.embedded_registry.users is None:
        listen = settings.embedded_registry.listen
        yield from _of_registry(listen.host, str(listen))
    outbound = settings.listeners().get(("outbound",))
    if outbound is not None and not outbound.is_loopback:
        yield f"outbound on {outbound} calls any service, with any tag, for anyone who can reach it: keep it on loopback"


def _secret_files(settings: ServingSettings, config: Path) -> Iterator[Path]:
    try:
        text = read_file(config).decode(errors="replace")
    except OSError:
        text = ""
    if any(secret in text for secret in settings.secrets()):
        yield config
    if settings.listener_tls is not None:
        yield from (Path(item.key) for item in settings.listener_tls.certificates)
    if settings.mesh is not None:
        yield Path(settings.mesh.key)
    for key in settings.token_settings.keys if settings.token_settings is not None else ():
        if _is_secret(Path(key.file), key.algorithm or ""):
            yield Path(key.file)


def _is_secret(file: Path, algorithm: str) -> bool:
    """Whether a file has a key that signs, shared or private: what only verifies is for everybody."""
    if algorithm.startswith("HS"):
        return True
    try:
        content = read_file(file)
        data = json.loads(content) if content.lstrip()[:1] == b"{" else {}
        return b"PRIVATE KEY" in content or any("k" in key or "d" in key for key in data.get("keys", [data]))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return False
