"""The units of `config/systemd` and what stands beside them: systemd accepts them, the program takes their options."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gateway.app.entry import SOCKETS as ENTRY_SOCKETS
from gateway.cli import main

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "config" / "systemd"
UNITS = sorted([*FOLDER.glob("*.service"), *FOLDER.glob("*.socket")])
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
GUIDE = (ROOT / "docs" / "deployment.md").read_text()


def settings(unit: Path) -> dict[str, list[str]]:
    """The values of each setting, in order. Fails for a line that is none."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            name, equals, value = line.partition("=")
            assert equals, line
            assert re.fullmatch(r"[A-Z]\w+", name), line
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_explained(unit: Path) -> None:
    assert f"`{unit.name}`" in GUIDE or unit.name.replace("@", "@VERSION") in GUIDE


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_a_unit(unit: Path, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        settings(unit)  # that they are settings at all is what can be said without systemd
        return
    for other in UNITS:
        # The program is not installed where the units say; everything else they name has to be there.
        text = re.sub(r"/opt/gray-gateway/\S*bin/gateway", sys.executable, other.read_text())
        (tmp_path / other.name).write_text(text)
    answer = subprocess.run([analyze, "verify", tmp_path / unit.name], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_the_program_takes_the_options_of_a_service(unit: Path) -> None:
    [line] = settings(unit)["ExecStart"]
    program, name, *arguments = shlex.split(line)
    assert program.endswith("/bin/gateway")
    context = click.Context(main)
    command = main.get_command(context, name)
    if isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.get_command(context, name)
    assert command is not None
    command.make_context(name, arguments)


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_tells_when_it_is_ready_and_can_keep_state_and_logs(unit: Path) -> None:
    found = settings(unit)
    assert found["Type"] == ["notify"]
    assert found["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert len(found["StateDirectory"]) == len(found["LogsDirectory"]) == len(found["WantedBy"]) == 1
    assert found["User"] == ["gray-gateway"]
    assert "u gray-gateway " in (FOLDER / "sysusers.conf").read_text()
    assert "#LoadCredential=" in unit.read_text()


def test_all_services_are_shut_in_alike() -> None:
    def walls(unit: Path) -> list[str]:
        lines = unit.read_text().partition("# Hardening.\n")[2].partition("\n\n")[0].splitlines()
        return [line for line in lines if not line.startswith("#") and "Capabilit" not in line]

    first, *others = (walls(unit) for unit in SERVICES)
    assert len(first) > 20
    assert all(other == first for other in others)


def test_a_socket_has_the_name_of_a_setting() -> None:
    for unit in UNITS:
        if unit.suffix == ".socket":
            assert settings(unit)["FileDescriptorName"][0] in ENTRY_SOCKETS


def test_versions_meet_in_a_directory_that_outlives_each_of_them() -> None:
    for unit in SERVICES:
        found = settings(unit)
        for path in re.findall(r"--takeover (\S+)", found["ExecStart"][0]):
            assert path == f"/run/{found['RuntimeDirectory'][0]}/takeover.sock"
            assert (found["RuntimeDirectoryPreserve"], found["RuntimeDirectoryMode"]) == (["yes"], ["0700"])
            assert found["Restart"] == ["on-failure"]  # one that was replaced must not come back


def test_logs_are_rotated_where_the_units_have_them() -> None:
    """The release server has no access log: only its instances have logs."""
    text = (ROOT / "config" / "logrotate" / "gray-gateway").read_text()
    assert "/var/lib/gray-release/" in text
    for unit in SERVICES:
        if unit.name == "gray-release.service":
            continue
        assert f"/var/log/{settings(unit)['LogsDirectory'][0]}/*.log" in text
        assert f"'{unit.name.replace('@', '@*')}'" in text
    assert "--signal=SIGUSR1" in text
