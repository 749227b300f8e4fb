"""What files of rules are called in the history, and which files a name can lead to."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.files import write_file
from gateway.rulesources.places import Places
from gateway.rulesources.remote import copy_path
from gateway.settings import RemoteRules

NACOS = RemoteRules.model_validate({"nacos": "lanes.yaml", "address": "127.0.0.1:8848"})
FOLDER = RemoteRules.model_validate({"consul": "gray/", "address": "127.0.0.1:8500"})


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Two places of the same form: `a` and `b`; `a/link` is `a/rules`."""
    for name in ("a", "b"):
        for folder in ("config", "rules", "state/remote"):
            (tmp_path / name / folder).mkdir(parents=True)
        (tmp_path / name / "link").symlink_to("rules")
    return tmp_path


def places(folder: Path) -> Places:
    sources: list[str | RemoteRules] = ["../rules", "../link/", "../one.yaml", NACOS, FOLDER]
    copy_path(FOLDER, folder / "state").mkdir(exist_ok=True)
    return Places.of(sources, folder / "config" / "gw.yaml", folder / "state")


def test_a_name_leads_to_the_same_file_of_another_place(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base / "a" / "config")
    there, here = places(Path("..")), places(base / "b")
    for path, name in (
        (Path("../rules/gray.yaml"), "../rules/gray.yaml"),
        (Path("../config/../rules/gray.yaml"), "../rules/gray.yaml"),
        (base / "a" / "rules" / "gray.yml", "../rules/gray.yml"),
        (Path("../one.yaml"), "../one.yaml"),
        (copy_path(NACOS, Path("../state")), "nacos:DEFAULT_GROUP/lanes.yaml"),
        (copy_path(FOLDER, Path("../state")) / "a%2Fb.yaml", "consul:gray/a%2Fb.yaml"),
    ):
        assert there.name(path) == name
        found = here.find(name, [])
        assert found is not None
        assert found.resolve() == (base / "b" / "config" / path).resolve() or name.startswith(
            ("nacos", "consul", "../rules")
        )
        assert found.resolve().is_relative_to(base / "b")


def test_a_file_that_is_loaded_is_found_as_it_is_spelled(base: Path) -> None:
    known = [base / "b" / "rules" / "gray.yaml"]
    assert places(base / "b").find("../rules/gray.yaml", known) is known[0]
    assert places(base / "b").find("../link/gray.yaml", known) is known[0]


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "/", "/etc/cron.d/x.yaml", "../rules", "../rules/", "../rules/..", "../rules/../config/gw.yaml", "../rules/.x.yaml",
        "../rules/a/b.yaml", "../rules//b.yaml", "../rules/x.sh", "../rules/x.yaml\0", "../rules/x.yaml/", "../config/gw.yaml", "gw.yaml",
        "../one.yaml/x.yaml", "../two.yaml", "rules/gray.yaml", "nacos:DEFAULT_GROUP/other.yaml", "nacos:DEFAULT_GROUP/lanes.yaml/x.yaml",
        "consul:gray/", "consul:gray/../x.yaml", "consul:gray/a/b.yaml", "../rules/" + "x" * 300 + ".yaml", "../rules/link.yaml",
        "../rules/dangling.yaml",
    ],
)  # fmt: skip
def test_no_name_leads_anywhere_else(base: Path, name: str) -> None:
    rules = base / "b" / "rules"
    (base / "outside.yaml").write_text("x")
    (rules / "link.yaml").symlink_to(base / "outside.yaml")
    (rules / "dangling.yaml").symlink_to(base / "nowhere.yaml")
    assert places(base / "b").find(name, []) is None


def test_a_link_of_the_operator_is_followed_where_it_is_loaded(base: Path) -> None:
    """A lane in it can be edited; so it can be rolled back."""
    (base / "shared.yaml").write_text("x")
    link = base / "b" / "rules" / "shared.yaml"
    link.symlink_to(base / "shared.yaml")
    assert places(base / "b").find("../rules/shared.yaml", [link]) == link


def test_a_directory_that_is_a_link_is_where_it_leads(base: Path) -> None:
    """`current -> release-2`."""
    (base / "b" / "rules-2").mkdir()
    (base / "b" / "link").unlink()
    (base / "b" / "link").symlink_to("rules-2")
    found = places(base / "b").find("../link/gray.yaml", [])
    assert found is not None
    assert found.resolve() == base / "b" / "rules-2" / "gray.yaml"


def test_a_link_that_leads_to_itself_is_replaced(base: Path) -> None:
    circle = base / "b" / "rules" / "circle.yaml"
    circle.symlink_to("circle.yaml")
    assert places(base / "b").find("../rules/circle.yaml", []) == circle
    write_file(circle, "x")
    assert circle.read_text() == "x"


def test_what_the_configuration_names_itself_is_a_source(base: Path) -> None:
    there = places(base / "b")
    assert there.is_source(base / "b" / "one.yaml")
    assert not there.is_source(base / "b" / "rules" / "gray.yaml")


def test_two_documents_of_one_name_are_told_apart(base: Path) -> None:
    other = NACOS.model_copy(update={"address": FOLDER.address})
    there = Places.of([NACOS, other], base / "gw.yaml", base)
    names = [there.name(copy_path(source, base)) for source in (NACOS, other)]
    assert names == ["nacos:DEFAULT_GROUP/lanes.yaml", "nacos://127.0.0.1:8500/DEFAULT_GROUP/lanes.yaml"]
    assert [there.find(name, []) for name in names] == [copy_path(source, base) for source in (NACOS, other)]
