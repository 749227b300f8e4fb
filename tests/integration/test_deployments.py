"""Files are deployed in many ways, all at once where it is done well: each is noticed, again and again, and loaded once."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import RULES, Gateway
from tests.support.origin import Origin
from tests.support.process import get_json

OPEN, CLOSED = RULES, RULES.replace("enabled: true", "enabled: false")


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path, origin)
    yield gateway
    await gateway.close()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def flip(link: Path, target: str) -> None:
    """`ln -sfn`, in one step."""
    new = link.with_name(f"{link.name}.new")
    new.symlink_to(target)
    os.replace(new, link)


class ALinkToADirectory:
    """`current -> rel2`, the rules below it."""

    rules = "current/rules"

    def deploy(self, root: Path, text: str, number: int) -> None:
        write(root / f"rel{number}" / "rules" / "gray.yaml", text)
        flip(root / "current", f"rel{number}")


class ALinkToALink:
    """`current -> stage -> rel2`: the second link is the one that changes."""

    rules = "current"

    def deploy(self, root: Path, text: str, number: int) -> None:
        write(root / "releases" / f"rel{number}" / "gray.yaml", text)
        flip(root / "releases" / "stage", f"rel{number}")
        if number == 1:
            (root / "current").symlink_to("releases/stage")


class AConfigMap:
    """A mounted ConfigMap: `gray.yaml -> ..data/gray.yaml`, and `..data` is swapped."""

    rules = "rules"

    def deploy(self, root: Path, text: str, number: int) -> None:
        write(root / "rules" / f"..{number}" / "gray.yaml", text)
        flip(root / "rules" / "..data", f"..{number}")
        if number == 1:
            (root / "rules" / "gray.yaml").symlink_to("..data/gray.yaml")
        else:
            shutil.rmtree(root / "rules" / f"..{number - 1}")


class ADirectoryRenamed:
    """The directory makes room for another one."""

    rules = "rules"

    def deploy(self, root: Path, text: str, number: int) -> None:
        write(root / "rules.new" / "gray.yaml", text)
        if number > 1:
            (root / "rules").rename(root / f"rules.{number}")
        (root / "rules.new").rename(root / "rules")


class ADirectoryAboveRenamed:
    """A directory two levels above makes room for another one."""

    rules = "app/etc/rules"

    def deploy(self, root: Path, text: str, number: int) -> None:
        write(root / "new" / "etc" / "rules" / "gray.yaml", text)
        if number > 1:
            (root / "app").rename(root / f"app.{number}")
        (root / "new").rename(root / "app")


class ADirectoryMadeAnew:
    """`rm -r` and unpacking again; the inode's number may be the same."""

    rules = "rules"

    def deploy(self, root: Path, text: str, number: int) -> None:
        if number > 1:
            shutil.rmtree(root / "rules")
        write(root / "rules" / "gray.yaml", text)


class AFileRenamedOver:
    """As editors save."""

    rules = "rules/gray.yaml"

    def deploy(self, root: Path, text: str, number: int) -> None:
        write(root / "rules" / ".gray.yaml.swp", text)
        os.replace(root / "rules" / ".gray.yaml.swp", root / "rules" / "gray.yaml")


class AFileMadeAnew:
    """The file is deleted, and written again."""

    rules = "rules/gray.yaml"

    def deploy(self, root: Path, text: str, number: int) -> None:
        (root / "rules" / "gray.yaml").unlink(missing_ok=True)
        write(root / "rules" / "gray.yaml", text)


class AFileLinkedFromElsewhere:
    """The file is a link to another directory, and is written there."""

    rules = "rules"

    def deploy(self, root: Path, text: str, number: int) -> None:
        write(root / "elsewhere" / "real.yaml", text)
        if number == 1:
            (root / "rules").mkdir()
            (root / "rules" / "gray.yaml").symlink_to(root / "elsewhere" / "real.yaml")


class ANewFile:
    """A file more in the directory, and one less."""

    rules = "rules"

    def deploy(self, root: Path, text: str, number: int) -> None:
        write(root / "rules" / "always.yaml", "# rules")
        write(root / "rules" / f"{number}.yaml", text)
        (root / "rules" / f"{number - 1}.yaml").unlink(missing_ok=True)


WAYS = [
    ALinkToADirectory,
    ALinkToALink,
    AConfigMap,
    ADirectoryRenamed,
    ADirectoryAboveRenamed,
    ADirectoryMadeAnew,
    AFileRenamedOver,
    AFileMadeAnew,
    AFileLinkedFromElsewhere,
    ANewFile,
]
MADE_ANEW: list[Any] = [ADirectoryMadeAnew, AFileMadeAnew]
"""Deployments in two steps, between which there is nothing."""


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_every_deployment_is_loaded_once(
    gateway: Gateway, tmp_path: Path, way: Callable[[], AFileRenamedOver]
) -> None:
    deploy = way().deploy
    root = tmp_path / "srv"
    root.mkdir()
    deploy(root, OPEN, 1)
    gateway.config["rules"] = f"srv/{way().rules}"
    gateway.write("gateway.yaml", gateway.config)
    await gateway.start("serve", "-c", "gateway.yaml")
    await gateway.wait_ok(gateway.admin)
    for number, (text, answer) in enumerate([(CLOSED, "base"), (OPEN, "gray"), (CLOSED, "base")], start=2):
        deploy(root, text, number)
        status = await gateway.wait_revision(number)
        assert status["reloads"]["success"] == number, gateway.log.read_text()
        # A machine with much to do may stop this process between the two steps for longer than a gateway waits.
        assert way in MADE_ANEW or status["reloads"]["failure"] == 0, gateway.log.read_text()
        assert (await gateway.ask("/A/x?group=gray")).split()[0] == answer


async def test_where_the_system_tells_nothing_the_files_are_looked_at(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network file system that another machine writes to."""
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", "1")
    monkeypatch.setenv("WATCHFILES_POLL_DELAY_MS", "600000")
    await gateway.run()
    gateway.write("rules/gray.yaml", CLOSED)
    await gateway.wait_revision(2)
    assert await gateway.ask("/A/x?group=gray") == "base GET /x?group=gray"


async def test_what_was_missing_is_noticed_when_it_comes(gateway: Gateway) -> None:
    """A configuration that names what is not there yet is refused, and taken once it is there."""
    await gateway.run()
    gateway.config["rules"] = ["rules", "more/rules"]
    gateway.write("gateway.yaml", gateway.config)
    (problem,) = await gateway.wait_reload_error()
    assert problem.endswith("rules: there is no file or directory 'more/rules'")
    gateway.write("more/rules/blue.yaml", OPEN.replace("demo", "more").replace("group,", "other,"))
    await gateway.wait_revision(2)
    assert await gateway.ask("/A/x?other=gray") == "gray GET /x?other=gray"


@pytest.mark.parametrize("what", ["the directory", "its files"])
async def test_rules_that_are_deleted_stay_in_force_and_that_is_said(gateway: Gateway, what: str) -> None:
    await gateway.run()
    if what == "the directory":
        shutil.rmtree(gateway.folder / "rules")
        said = "gateway.yaml:14:8: rules: there is no file or directory 'rules'"
    else:
        (gateway.folder / "rules" / "gray.yaml").unlink()
        said = "rules:1:1: the directory no longer has a *.yaml file; to close every lane, leave a file with only a comment"
    assert await gateway.wait_reload_error() == [said]
    assert await gateway.ask("/A/x?group=gray") == "gray GET /x?group=gray"
    assert f"failed, keeping revision 1: {said}" in gateway.log.read_text()
    gateway.write("rules/gray.yaml", CLOSED)
    status = await gateway.wait_revision(2)
    assert status["last_reload_error"] is None
    (gateway.folder / "rules" / "gray.yaml").write_text("# every lane is closed")
    await gateway.wait_revision(3)
    assert (await get_json(gateway.admin, "/api/v1/lanes"))["lanes"] == []
