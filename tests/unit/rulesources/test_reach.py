"""Rules that somebody else has written read no file and no variable of this machine but what is for rules."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.config.load import load_gateway
from gateway.errors import ConfigError
from gateway.rulesources.files import load_rules
from gateway.rulesources.reach import Reach
from gateway.rulesources.remote import copy_path
from gateway.settings import RemoteRules

RULES = """\
segments:
  - {name: vips, file: "%s"}
lane_groups:
  - name: demo
    lanes: [{name: gray, tag: gray, match: [{param: user, segment: vips}]}]
"""
ADDRESSES = RULES.replace("param: user, segment: vips", "client_ip: {segment: vips}")


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """`rules` with a list of users in it; a secret beside it, and links that lead there."""
    (tmp_path / "rules" / "segments").mkdir(parents=True)
    (tmp_path / "rules" / "segments" / "vips.txt").write_text("alice\nbob\n")
    (tmp_path / "secret.txt").write_text("hunter2\n")
    (tmp_path / "rules" / "link.txt").symlink_to("../secret.txt")
    (tmp_path / "rules" / "dir").symlink_to("..")
    (tmp_path / "rules" / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "rules" / "fifo")
    return tmp_path


def problems_of(there: Path, name: str, rules: str = RULES) -> list[str]:
    """What is wrong with a draft that names a file."""
    draft, roots = Path("draft.yaml"), [there / "rules"]
    try:
        loaded = load_rules([draft], {}, {draft: rules % name}, reach=Reach((draft,), roots, there / "rules"))
    except ConfigError as error:
        return [problem.message for problem in error.problems]
    assert dict(loaded.rules.segments) == {"vips": frozenset({"alice", "bob"})}
    return []


def test_a_draft_reaches_the_files_of_the_rules(there: Path) -> None:
    assert problems_of(there, "segments/vips.txt") == []
    assert problems_of(there, str(there / "rules" / "segments" / "vips.txt")) == []
    assert problems_of(there, "../rules/segments/vips.txt") == []


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "/etc/shadow", "/nowhere", "/dev/zero", "/proc/self/environ", "../secret.txt", "../nowhere.txt", "link.txt", "dir/secret.txt",
     "segments/../../secret.txt", "..", "a\\0b", "//etc/passwd", "../rules-2/x.txt"],
)  # fmt: skip
def test_and_no_other_and_does_not_learn_whether_it_is_there(there: Path, name: str) -> None:
    (there / "rules-2").mkdir()
    (there / "rules-2" / "x.txt").write_text("x")
    shown = name.replace("\\0", "\0")
    assert problems_of(there, name) == [f"segments.0.file: '{shown}' is not below the directories of rules"]


@pytest.mark.parametrize("name", ["fifo", "segments", "circle", "nowhere.txt"])
def test_what_is_no_list_there_is_told(there: Path, name: str) -> None:
    [message] = problems_of(there, name)
    assert message.startswith(f"segments.0.file: cannot read {there / 'rules' / name}: ")


def test_no_problem_tells_what_is_in_a_file(there: Path) -> None:
    """Neither of one that is no list for what it is compared with, nor of one that is no list at all."""
    assert problems_of(there, "segments/vips.txt", ADDRESSES) == [
        "lane demo/gray: segment 'vips' has a value that can never be a client_ip"
    ]
    (there / "rules" / "segments" / "vips.txt").write_text("alice\n'bob\n")
    assert problems_of(there, "segments/vips.txt") == ["segments.0.file: line 2 of 'segments/vips.txt' is not a value"]


def test_a_problem_of_ones_own_rules_quotes_the_value(there: Path) -> None:
    """Whoever writes them may read the list."""
    file = there / "rules" / "gray.yaml"
    file.write_text(ADDRESSES % "segments/vips.txt")
    with pytest.raises(ConfigError, match="'alice' is neither an address nor a network"):
        load_rules([there / "rules"])


def test_a_list_is_bounded(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.rulesources.reader.MAX_DATA", 1024)
    (there / "rules" / "long.txt").write_text("x" * 1025)
    [message] = problems_of(there, "long.txt")
    assert message.endswith("long.txt: it is larger than 1 KiB")


def test_the_rules_of_this_machine_may_name_any_file_that_is_one(there: Path) -> None:
    file = there / "rules" / "own.yaml"
    file.write_text(RULES % "../secret.txt")
    assert load_rules([file]).rules.segments["vips"] == {"hunter2"}
    for name in ("/dev/zero", "fifo", "/"):
        file.write_text(RULES % name)
        with pytest.raises(ConfigError, match=r"segments\.0\.file: cannot read .*(not a regular file|Is a directory)"):
            load_rules([file])
    file.write_text(RULES % "/proc/self/environ")
    with pytest.raises(ConfigError, match="the file is empty"):
        load_rules([file])
    file.write_text(RULES % "a\\0b")
    with pytest.raises(ConfigError, match="a file cannot have such a name"):
        load_rules([file])


@pytest.mark.parametrize("kind", ["document", "folder"])
def test_a_remote_document_reaches_the_same(there: Path, kind: str) -> None:
    source = {"address": "127.0.0.1:8848", **({"nacos": "lanes"} if kind == "document" else {"consul": "lanes/"})}
    copy = copy_path(RemoteRules.model_validate(source), there / "state")
    file = copy if kind == "document" else copy / "a.yaml"
    file.parent.mkdir(parents=True)
    (there / "gw.yaml").write_text(f"registry: {{kind: static}}\nstate: state\nrules: [rules, {source}]\n")
    (file.parent / "own.txt").write_text("carol\n")
    for name, found in (("own.txt", "carol"), (str(there / "rules" / "segments" / "vips.txt"), "alice")):
        file.write_text(RULES % name)
        assert found in load_gateway(there / "gw.yaml", environ={}).rules.segments["vips"]
    for name in (
        "/etc/passwd",
        str(there / "secret.txt"),
        str(there / "gw.yaml"),
        "../../secret.txt",
        "../history/x",
        "/dev/zero",
    ):
        file.write_text(RULES % name)
        with pytest.raises(ConfigError, match="is not below the directories of rules"):
            load_gateway(there / "gw.yaml", environ={})


def test_a_variable_is_for_the_rules_of_this_machine(there: Path) -> None:
    rules = "lane_groups: [{name: '${SECRET}', lanes: []}]\n"
    (there / "rules" / "own.yaml").write_text(rules)
    environ = {"SECRET": "hunter2"}
    assert [group.name for group in load_rules([there / "rules"], environ).rules.groups] == ["hunter2"]
    draft = Path("draft.yaml")
    with pytest.raises(ConfigError) as caught:
        load_rules([draft], environ, {draft: rules}, reach=Reach((draft,)))
    assert "environment variable SECRET is not set" in str(caught.value)
    assert "rules from servers and drafts cannot read variables" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    given = rules.replace("SECRET", "SECRET:-plain")
    assert load_rules([draft], environ, {draft: given}, reach=Reach((draft,))).rules.groups[0].name == "plain"
