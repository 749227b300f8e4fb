"""Files of users: what is a line of one, which hashes are taken, and that no message quotes what may be a password."""

from __future__ import annotations

from pathlib import Path

import argon2
import bcrypt
import pytest

from gateway.permission.users import is_password, read_users
from gateway.scrypt import hashed

BCRYPT = bcrypt.hashpw(b"wonder", bcrypt.gensalt(4)).decode()
ARGON2 = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("wonder")
SCRYPT = hashed("wonder")


def users(tmp_path: Path, text: str) -> dict[str, str]:
    file = tmp_path / "users"
    file.write_bytes(text.encode())
    return read_users(file)


def test_a_line_for_each_user_comments_and_blank_lines(tmp_path: Path) -> None:
    text = f"# the shop\n\nalice:{BCRYPT}\r\n  bob:{ARGON2}  \nJörg Ä:{SCRYPT}"
    assert users(tmp_path, text) == {"alice": BCRYPT, "bob": ARGON2, "Jörg Ä": SCRYPT}


@pytest.mark.parametrize(
    "hash_", [BCRYPT, BCRYPT.replace("$2b$", "$2y$"), ARGON2, SCRYPT], ids=["2b", "2y", "argon2", "scrypt"]
)
def test_each_kind_of_hash_knows_its_password(hash_: str) -> None:
    assert is_password(b"wonder", hash_)
    for wrong in (b"", b"wonde", b"wonder ", b"Wonder", b"wonder\0", b"wonder\xff", b"x" * 2000):
        assert not is_password(wrong, hash_)


def test_bcrypt_looks_at_as_much_of_a_password_as_htpasswd_does() -> None:
    long = bcrypt.hashpw(b"p" * 72, bcrypt.gensalt(4)).decode()
    assert is_password(b"p" * 100, long)
    assert not is_password(b"p" * 71, long)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("hunter2", "there is no colon"),
        ("alice:hunter2", "what follows user 'alice' is not such a hash"),
        ("alice:$apr1$abcdefgh$hunter2hunter2hunter2", "user 'alice' has a hash of MD5, which is guessed too easily"),
        ("alice:{SHA}hunter2hunter2hunter2hunter=", "user 'alice' has a hash of SHA-1"),
        (f"alice:{BCRYPT}hunter2", "is not such a hash"),
        (f"alice:{BCRYPT.replace('$04$', '$16$')}", "the cost of bcrypt is 4 to 15; user 'alice' has 16"),
        (f"alice:{ARGON2.replace('m=64', 'm=9999999')}", "Argon2 may take m up to 262144"),
        (f"alice:{ARGON2.replace('m=64', 'm=1')}", "Argon2 may take m up to 262144"),
        (f"alice:{SCRYPT.replace('$14$', '$20$')}", "the cost of scrypt is 10 to 17; user 'alice' has 20"),
        (f":{BCRYPT}", "a name of 1 to 255 printable characters"),
        (f"a\tb:{BCRYPT}", "a name of 1 to 255 printable characters"),
        (f"a\u2028b:{BCRYPT}", "a name of 1 to 255 printable characters"),
        (f"ok:{BCRYPT}", "user 'ok' is given twice"),
    ],
    ids=map(str, range(13)),  # hashes are others every time, and processes that share the tests need the same names
)
def test_a_bad_line_is_named_and_not_quoted(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(ValueError, match="users:3: ") as error:
        users(tmp_path, f"ok:{BCRYPT}\n\n{line}\n")
    assert why in str(error.value)
    assert "hunter2" not in str(error.value)
    assert "\t" not in str(error.value)


def test_a_file_without_users_lets_nobody_in_and_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no users"):
        users(tmp_path, "# nobody\n")
    (tmp_path / "users").write_bytes(b"\xff\n")
    with pytest.raises(ValueError, match="is not UTF-8"):
        read_users(tmp_path / "users")
