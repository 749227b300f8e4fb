"""The command line's frame: which commands there are, what starting them costs, how failing to start looks."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import pkgutil
import re
import socket
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import gateway.cli
from gateway import __version__
from gateway.cli import COMMANDS, main
from gateway.cli.output import print_table

README = Path(__file__).parents[3] / "README.md"
HEAVY = ("aiohttp", "asyncio", "prometheus_client", "pydantic", "re2", "rich", "uvloop", "yaml")
"""What only a command that is called may load."""


async def run(*arguments: str, cwd: Path | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a Python process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=cwd
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def test_help_lists_every_command_in_order_with_its_line() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    listed = result.stdout.partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines() if line[2:3].strip()] == list(COMMANDS)
    unwrapped = " ".join(listed.split())
    assert unwrapped == " ".join(f"{name} {line}" for name, line in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_in_the_module_of_its_name(name: str) -> None:
    """The group repeats each command's line, so that `--help` need not load it; the two must say the same."""
    command: click.Command = importlib.import_module(f"gateway.cli.{name}").command
    assert (command.name, command.short_help) == (name, COMMANDS[name])
    result = CliRunner().invoke(main, [name, "-h"])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: main {name} ")


def test_no_command_is_left_out_of_the_group() -> None:
    modules = {module.name for module in pkgutil.iter_modules(gateway.cli.__path__)}
    with_command = {name for name in modules if hasattr(importlib.import_module(f"gateway.cli.{name}"), "command")}
    assert with_command == set(COMMANDS)


def test_examples_in_help_stand_on_lines_of_their_own() -> None:
    result = CliRunner().invoke(main, ["explain", "--help"])
    assert "\n  gateway explain GET '/A/a?group=gray'\n  gateway explain GET http://" in result.stdout
    assert "\\b" not in result.stdout


@pytest.mark.parametrize("argument", ["--help", "--version", "version"])
async def test_help_and_version_load_nothing_heavy(argument: str) -> None:
    program = (
        "import sys; from gateway.cli import main\n"
        f"main([{argument!r}], standalone_mode=False)\n"
        f"sys.exit(' '.join(name for name in {HEAVY!r} if name in sys.modules) or 0)"
    )
    code, _, err = await run("-c", program)
    assert (code, err) == (0, "")


async def test_the_package_runs_as_a_module_under_the_programs_name() -> None:
    (code, out, _), (missing, _, usage) = await asyncio.gather(
        run("-m", "gateway", "version"), run("-m", "gateway", "srve")
    )
    assert code == 0
    assert out.startswith(f"gateway {__version__} (")
    assert missing == 2
    assert usage.startswith("Usage: gateway ")
    assert "No such command 'srve'. Did you mean 'serve'?" in usage


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["sidcar"], "No such command 'sidcar'. Did you mean 'sidecar'?"),
        (["rules", "lnit"], "No such command 'lnit'. Did you mean 'lint'?"),
        (["rules", "imprt"], "No such command 'imprt'. Did you mean 'import'?"),
        (["registry", "satus"], "No such command 'satus'. Did you mean 'status'?"),
        (["nothing-like-it"], "No such command 'nothing-like-it'."),
        (["serve", "--confg", "x"], "No such option '--confg'. Did you mean '--config'?"),
    ],
)
def test_a_mistyped_command_or_option_is_named(arguments: list[str], hint: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    # click 8.1 has no quotes there
    assert result.stderr.splitlines()[-1].replace("--confg.", "'--confg'.").endswith(hint)


def test_the_version_is_an_option_too() -> None:
    asked, command = (CliRunner().invoke(main, [argument]) for argument in ("--version", "version"))
    assert (asked.exit_code, asked.stdout) == (0, command.stdout)


@pytest.mark.parametrize(("words", "completed"), [("ser", "serve"), ("rules im", "import"), ("registry st", "status")])
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_shells_complete_commands(shell: str, words: str, completed: str) -> None:
    first, *rest = words.split()
    environment = {
        **os.environ,
        "_GATEWAY_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": f"gateway {words}",
        "COMP_CWORD": rest[-1] if shell == "fish" and rest else first if shell == "fish" else str(1 + len(rest)),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", stdout=asyncio.subprocess.PIPE, env=environment
    )
    out, _ = await process.communicate()
    assert completed in out.decode().replace(",", "\n").replace("\t", "\n").splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_shells_get_what_they_evaluate(shell: str) -> None:
    """What the README puts into a shell's start file."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway",
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "_GATEWAY_COMPLETE": f"{shell}_source"},
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert f"_GATEWAY_COMPLETE={shell}_complete" in out.decode()


async def test_bash_completes_after_what_the_readme_says() -> None:
    """The whole way: the script evaluated, its function asked."""
    [line] = re.findall(r"^eval .*_GATEWAY_COMPLETE=bash_source.*$", README.read_text(), re.MULTILINE)
    script = f"{line}\nCOMP_WORDS=(gateway side); COMP_CWORD=1; _gateway_completion gateway; echo ${{COMPREPLY[*]}}"
    programs = Path(sys.executable).parent
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script,
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
    )  # fmt: skip
    out, _ = await process.communicate()
    assert out.decode().split() == ["sidecar"]


def test_version_says_whether_the_hot_modules_are_compiled() -> None:
    hot = importlib.import_module("gateway.http.request")
    result = CliRunner().invoke(main, ["version", "-o", "json"])
    facts = json.loads(result.stdout)
    assert list(facts) == ["version", "build", "python", "platform"]
    assert facts["version"] == __version__
    assert facts["build"] == ("plain" if str(hot.__file__).endswith(".py") else "compiled")


async def test_what_cannot_start_says_why_and_exits_3(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        results = await asyncio.gather(
            run("-m", "gateway", "serve", "-c", "none.yaml", cwd=tmp_path),
            run("-m", "gateway", "sidecar", "-c", "none.yaml", cwd=tmp_path),
            run("-m", "gateway", "registry", "serve", "--listen", address, cwd=tmp_path),
        )
    for (code, out, err), reason in zip(results, ("none.yaml", "none.yaml", address), strict=True):
        assert (code, out) == (3, "")
        assert reason in err
        assert "could not start" in err
        assert "Traceback" not in err


@pytest.mark.parametrize("address", ["8848", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536"])
def test_an_address_that_is_none_is_a_usage_error(address: str) -> None:
    result = CliRunner().invoke(main, ["registry", "serve", "--listen", address])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{address!r} is not HOST:PORT" in result.stderr


def test_a_piped_table_is_plain_text_without_colour_and_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 250
    print_table(["pool", "instances"], [["base", 1], ["gray", None], ["[red]", long]])
    shown = capsys.readouterr()
    assert shown.err == ""
    assert [line.rstrip() for line in shown.out.splitlines()] == [
        "pool    instances",
        "base    1",
        "gray",
        f"[red]   {long}",
    ]


@pytest.mark.parametrize("command", ["serve", "sidecar", "registry serve", "release serve", "inject serve"])
def test_every_program_that_runs_until_a_signal_logs_alike(command: str) -> None:
    """The same options, and by them the same fields: whoever collects logs need not know which program wrote one."""
    found: Any = main
    for name in command.split():
        found = found.get_command(click.Context(found), name)
    options = {parameter.name: parameter for parameter in found.params}
    assert list(options["log_format"].type.choices) == ["text", "json"]
    assert list(options["log_level"].type.choices) == ["debug", "info", "warning", "error"]
    assert (options["log_format"].envvar, options["log_level"].envvar) == ("GATEWAY_LOG_FORMAT", "GATEWAY_LOG_LEVEL")
