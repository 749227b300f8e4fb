"""From settings to the signer of tags: its file of keys is read when a configuration is checked, and by each process again."""

from __future__ import annotations

import base64
import re
import time
from pathlib import Path
from typing import Final

from gateway.errors import Problem
from gateway.files import is_private, read_file
from gateway.routing.tagsigner import TagSigner
from gateway.settings import ServingSettings
from gateway.yaml.reading import Document, Location, dotted

SHORTEST: Final = 32
"""Bytes of a key: what a signature of SHA-256 is worth (RFC 2104 §3)."""
_HEX: Final = re.compile(r"[0-9A-Fa-f]+")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_FORM: Final = f"a key of {SHORTEST} bytes or more in hex or Base64 is needed, as `openssl rand -hex 32` makes it"


def carrier_files(settings: ServingSettings) -> list[str]:
    """Every file that is read here."""
    return [] if settings.carriers.keys is None else [settings.carriers.keys]


def carrier_problems(settings: ServingSettings, document: Document) -> list[Problem]:
    """What is wrong with the file of keys, at the setting that names it."""
    location: Location = ("carriers", "keys")
    file = settings.carriers.keys
    try:
        make_signer(settings)
    except OSError as error:
        message = f"{dotted(location)}: cannot read {file}: {error.strerror or error}"
        return [document.problem(location, message)]
    except ValueError as error:
        return [document.problem(location, f"{dotted(location)}: {error}")]
    return []


def make_signer(settings: ServingSettings) -> TagSigner | None:
    """The signer of a program, None if its tags are not signed. Raises ValueError or OSError if its keys cannot be used.

    An entry gateway takes bare tags from clients in `trusted`, who have no keys.
    """
    carriers = settings.carriers
    if carriers.keys is None:
        return None
    is_required = carriers.signing == "required" and not settings.is_entry
    return TagSigner(read_keys(Path(carriers.keys)), time.time, carriers.lifetime, is_required=is_required)


def read_keys(path: Path) -> list[bytes]:
    """The keys of a file, one or two, each on its own line; `#` begins a comment. Raises ValueError or OSError.

    No message says anything that is in a key.
    """
    content = read_file(path)
    if not is_private(path):
        raise ValueError(f"{path} can be read or written by users other than its owner: chmod 600 {path}")
    keys: list[bytes] = []
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        key = _read_key(text)
        if key is None or len(key) < SHORTEST:
            raise ValueError(f"{path}, line {number}: {_FORM}")
        if key in keys:
            raise ValueError(f"{path}, line {number}: the key is given twice")
        keys.append(key)
        if len(keys) > 2:
            raise ValueError(
                f"{path}, line {number}: at most two keys are accepted: the one that signs, and one beside it"
            )
    if not keys:
        raise ValueError(f"{path} has no key: {_FORM}")
    return keys


def _read_key(text: str) -> bytes | None:
    if _HEX.fullmatch(text) is not None:
        # A key that was cut short is not one in Base64.
        return bytes.fromhex(text) if len(text) % 2 == 0 else None
    if _BASE64.fullmatch(text) is None:
        return None
    bare = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4))
    except ValueError:
        return None
