"""Files are read within bounds, and what is private stays so."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.files import PRIVATE, is_private, last_lines, make_private, read_file, write_file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x" * 4096)
    assert read_file(file, 4096) == b"x" * 4096
    file.write_bytes(b"x" * 4097)
    with pytest.raises(OSError, match="it is larger than 4 KiB"):
        read_file(file, 4096)
    file.write_bytes(b"")
    assert read_file(file, 4096) == b""


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/dev/tty", "fifo", "socket", "link", ".", "a\0b"])
def test_what_never_ends_never_begins_or_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    os.mknod(tmp_path / "socket", stat.S_IFSOCK | 0o600)
    (tmp_path / "link").symlink_to("/dev/zero")
    with pytest.raises(
        OSError, match=r"not a regular file|Is a directory|a file cannot have such a name|No such device"
    ):
        read_file(tmp_path / name)


def test_what_the_kernel_makes_up_is_nothing() -> None:
    assert read_file(Path("/proc/self/environ")) == b""


def test_a_private_file_and_its_directories_are_their_owners_alone(tmp_path: Path, umask: None) -> None:
    file = tmp_path / "state" / "history" / "1.json"
    write_file(file, "x", PRIVATE)
    assert (mode(file), mode(file.parent), mode(file.parent.parent)) == (0o600, 0o700, 0o700)
    file.chmod(0o644)
    assert not is_private(file)
    write_file(file, "y", PRIVATE)
    assert (mode(file), is_private(file), file.read_text()) == (0o600, True, "y")


def test_another_file_keeps_its_mode(tmp_path: Path, umask: None) -> None:
    file = tmp_path / "rules.yaml"
    write_file(file, "x")
    assert mode(file) == 0o644
    file.chmod(0o664)
    write_file(file, "y")
    assert mode(file) == 0o664


def test_a_directory_is_taken_from_others_and_links_are_not_followed(tmp_path: Path, umask: None) -> None:
    (tmp_path / "other").mkdir()
    foreign = tmp_path / "other" / "file"
    foreign.write_text("x")
    foreign.chmod(0o644)
    folder = tmp_path / "state"
    (folder / "history").mkdir(parents=True)
    (folder / "history" / "1.json").write_text("{}")
    (folder / "history" / "1.json").chmod(0o664)
    (folder / "link").symlink_to(foreign)
    (folder / "folder").symlink_to(foreign.parent)
    folder.chmod(0o775)
    (folder / "history").chmod(0o777)
    make_private(folder)
    assert (mode(folder), mode(folder / "history"), mode(folder / "history" / "1.json")) == (0o700, 0o700, 0o600)
    assert mode(foreign) == 0o644


def test_a_file_that_goes_meanwhile_keeps_no_directory_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process, whose place this one takes, may be writing there."""
    folder = tmp_path / "data"
    folder.mkdir(0o755)
    monkeypatch.setattr("os.walk", lambda top: [(str(top), [], [".configs.json.x", "configs.json"])])
    (folder / "configs.json").touch(0o644)
    make_private(folder)
    assert (mode(folder), mode(folder / "configs.json")) == (0o700, 0o600)


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["open", "ended"])
@pytest.mark.parametrize("length", [0, 1, 100, 70_000])
def test_the_last_lines_of_a_file_are_found_from_its_end(tmp_path: Path, length: int, end: bytes) -> None:
    lines = [b"%d%s\n" % (number, b"x" * length) for number in range(30)]
    lines[-1] = lines[-1][:-1] + end
    (tmp_path / "log").write_bytes(b"".join(lines))
    for count in (1, 2, 29, 30, 31, 1000):
        assert list(last_lines(tmp_path / "log", count)) == lines[-count:]
    (tmp_path / "log").write_bytes(b"")
    assert list(last_lines(tmp_path / "log", 3)) == []
    with pytest.raises(OSError, match="not a regular file"):
        list(last_lines(Path("/dev/zero"), 1))
