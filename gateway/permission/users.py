"""Files of users and the hashes of their passwords, as `htpasswd -B` writes them: a line for each user.

alice:$2y$12$…                             bcrypt
bob:$argon2id$v=19$m=65536,t=3,p=4$…$…     Argon2 (RFC 9106)
carol:scrypt$14$…$…                        scrypt (RFC 7914), as `gateway registry user` writes it
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gateway import scrypt
from gateway.files import read_file

MAX_FILE: Final = 1 << 20
MAX_NAME: Final = 255
BCRYPT_BYTES: Final = 72
"""Bytes of a password that bcrypt looks at; `htpasswd` leaves the others out, and so does this program."""
_BCRYPT: Final = re.compile(r"\$2[aby]\$([0-9]{2})\$[./0-9A-Za-z]{53}")
_ARGON2: Final = re.compile(
    r"\$argon2(?:id|i|d)\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,3}),p=([0-9]{1,3})\$[0-9A-Za-z+/]{11,88}\$[0-9A-Za-z+/]{16,88}"
)
_SCRYPT: Final = re.compile(r"scrypt\$([0-9]{2})\$([\w-]{2,88})\$([\w-]{22,88})", re.ASCII)
_WEAK: Final = {"$apr1$": "MD5", "{SHA}": "SHA-1", "$1$": "MD5"}
ACCEPTED: Final = "NAME:HASH is accepted, with a hash of bcrypt (`htpasswd -B`), Argon2 or scrypt"


def read_users(file: Path) -> dict[str, str]:
    """The hashes in a file, by user. Raises OSError, or ValueError for what is no such file, naming the line."""
    try:
        text = read_file(file, MAX_FILE).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8") from error
    users: dict[str, str] = {}
    # Not `splitlines`: other systems' idea of a line is not an editor's.
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, hashed = line.partition(":")
        problem = _problem(name, hashed) if colon else f"there is no colon: {ACCEPTED}"
        if not problem and name in users:
            problem = f"user {name!r} is given twice"
        if problem:
            # Never the line: it may be a password.
            raise ValueError(f"{file}:{number}: {problem}")
        users[name] = hashed
    if not users:
        raise ValueError(f"{file} has no users: nobody would pass")
    return users


def _problem(name: str, hashed: str) -> str:
    """What is wrong with a line, empty if nothing is."""
    if not name or len(name) > MAX_NAME or not name.isprintable() or name != name.strip():
        return f"a name of 1 to {MAX_NAME} printable characters is accepted"
    for prefix, kind in _WEAK.items():
        if hashed.startswith(prefix):
            return f"user {name!r} has a hash of {kind}, which is guessed too easily: use `htpasswd -B`"
    bcrypt, argon2, found = _BCRYPT.fullmatch(hashed), _ARGON2.fullmatch(hashed), _SCRYPT.fullmatch(hashed)
    if bcrypt is not None and not 4 <= int(bcrypt[1]) <= 15:
        return f"the cost of bcrypt is 4 to 15; user {name!r} has {int(bcrypt[1])}"
    if argon2 is not None:
        memory, rounds, lanes = (int(argon2[i]) for i in (1, 2, 3))
        if not (8 * lanes <= memory <= 262_144 and 1 <= rounds <= 20 and 1 <= lanes <= 16):
            return f"Argon2 may take m up to 262144 (KiB), t up to 20, p up to 16; user {name!r} has more"
    if found is not None and not 10 <= int(found[1]) <= 17:
        return f"the cost of scrypt is 10 to 17; user {name!r} has {int(found[1])}"
    if bcrypt is None and argon2 is None and found is None:
        return f"what follows user {name!r} is not such a hash: {ACCEPTED}"
    return ""


def is_password(password: bytes, hashed: str) -> bool:
    """Whether a password is the one of a hash that was read here. Takes a while: for a thread."""
    if b"\0" in password:
        return False  # to scrypt, one at the end is none: HMAC fills its key up with them
    if hashed.startswith("$2"):
        import bcrypt

        return bcrypt.checkpw(password[:BCRYPT_BYTES], hashed.encode("ascii"))
    if hashed.startswith("$argon2"):
        from argon2.exceptions import VerifyMismatchError
        from argon2.low_level import Type, verify_secret

        kind = {"id": Type.ID, "i": Type.I, "d": Type.D}[hashed[7 : hashed.index("$", 7)]]
        try:
            return verify_secret(hashed.encode("ascii"), password, kind)
        except VerifyMismatchError:
            return False
    return scrypt.is_password(password, hashed)
