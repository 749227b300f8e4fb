"""Runs what a document shows, as a newcomer would: files, commands, programs that go on running, and what is to be seen.

Every port that a document names is replaced by a free one, in files, commands and expected output alike.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from gateway.release.ports import free_port
from tests.support.forks import Forked, fork

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"`([\w./]+\.yaml)`")
_TITLE = re.compile(r"# ([\w./]+\.yaml)\n")
_PORT = re.compile(r"(?<=:)\d{4,5}\b")
_INSTALLING = ("python3 -m venv", ". .venv", "pip install")
_SHELL = re.compile(r"[|&;<>$`*~]")
"""What asks for a shell."""
_MODULES = {("gateway",): "gateway", ("python", "-m", "gateway.demo.service"): "gateway.demo.service"}
"""Commands that are forked instead of loaded again, and what each of them runs."""
_PATIENCE = 60.0
"""Seconds that something may take to be seen: the documents say "after about two seconds"."""


@dataclass(frozen=True)
class File:
    """A file that is shown."""

    path: str
    text: str


@dataclass(frozen=True)
class Run:
    """A command. It goes on running, or has to end well."""

    command: str


@dataclass(frozen=True)
class Show:
    """A command, and what it prints; `…` stands for anything."""

    command: str
    expected: str


@dataclass(frozen=True)
class Prose:
    """What is said between the blocks."""

    text: str


Step = File | Run | Show | Prose


def steps(document: str) -> Iterator[Step]:
    """What a document has, in order."""
    end = 0
    for block in _BLOCK.finditer(document):
        prose = document[end : block.start()]
        end = block.end()
        yield Prose(prose)
        language, text = block.groups()
        names = _NAME.findall(prose.strip().rpartition("\n\n")[2])
        title = _TITLE.match(text)
        if language == "yaml":
            if title or names:
                yield File(title[1] if title else names[-1], text)
        elif text.startswith("$ "):
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, expected = part.partition("\n")
                yield Show(command, expected)
        elif language in ("", "sh"):
            yield from (Run(line) for line in text.replace("\\\n", " ").splitlines())
    yield Prose(document[end:])


class Newcomer:
    """Somebody in an empty folder, with the program installed and active; `environment` is what else is set there."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.running: dict[str, asyncio.subprocess.Process | Forked] = {}
        """Programs that go on, by their commands as the document has them."""
        self._started: list[asyncio.subprocess.Process | Forked] = []
        self._ports: dict[str, str] = {}
        programs = Path(sys.executable).parent
        self._environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            **environment,
        }

    def own(self, text: str) -> str:
        """Text with the ports of this run."""
        return _PORT.sub(lambda match: self._ports.setdefault(match[0], str(free_port())), text)

    async def follow(self, document: str, act: Callable[[str], Awaitable[None]] | None = None) -> None:
        """Does everything that a document shows; `act` is given what is said before each block."""
        for step in steps(document):
            if isinstance(step, File):
                path = self.folder / step.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.own(step.text))
            elif isinstance(step, Prose):
                if act is not None:
                    await act(step.text)
            elif isinstance(step, Show):
                await self.sees(step)
            elif step.command and not step.command.startswith(_INSTALLING):
                await self.run(step.command)

    async def run(self, command: str) -> None:
        """Runs a command, to its good end unless it goes on running."""
        if self._listens(shlex.split(command)) is not None:
            self.running[command] = await self._start(command, "log")
            return
        await self.settled()
        process = await self._start(command, "log")
        assert await process.wait() == 0, (command, (self.folder / "log").read_text())

    async def settled(self) -> None:
        """Waits until all programs that go on running take connections."""
        for command, process in self.running.items():
            address = self._listens(shlex.split(command))
            assert address is not None
            async with asyncio.timeout(_PATIENCE):
                while not await _accepts(address):
                    assert process.returncode is None, (command, (self.folder / "log").read_text())
                    await asyncio.sleep(0.05)

    async def sees(self, step: Show) -> None:
        """Runs a command until it prints what is to be seen."""
        await self.settled()
        wanted = ".*".join(map(re.escape, _squeezed(self.own(step.expected)).split("…")))
        output = ""
        try:
            async with asyncio.timeout(_PATIENCE):
                while re.fullmatch(wanted, _squeezed(output), re.DOTALL) is None:
                    process = await self._start(step.command, "output")
                    await process.wait()
                    output = (self.folder / "output").read_text()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            message = f"$ {step.command}\nprints\n{output}\nnot\n{self.own(step.expected)}"
            raise AssertionError(message) from None

    async def stop(self, command: str) -> None:
        """Ctrl-C in the terminal of a program."""
        process = self.running.pop(command)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(_PATIENCE):
            await process.wait()

    async def close(self) -> None:
        """Ends everything at once."""
        left = [process for process in self._started if process.returncode is None]
        for process in left:
            process.kill()
        await asyncio.gather(*(process.wait() for process in left))

    async def _start(self, command: str, output: str) -> asyncio.subprocess.Process | Forked:
        command = self.own(command)
        words = shlex.split(command)
        module = _MODULES.get(tuple(words[:1])) or _MODULES.get(tuple(words[:3]))
        with (
            (self.folder / output).open("ab" if output == "log" else "wb") as file,
            open(os.devnull, "r+b", 0) as nothing,
        ):
            errors = file if output == "log" else nothing
            process: asyncio.subprocess.Process | Forked
            if module is not None and not _SHELL.search(command):
                files = {0: nothing.fileno(), 1: file.fileno(), 2: errors.fileno()}
                arguments = words[1:] if words[0] == "gateway" else words[3:]
                process = await fork([module, *arguments], files, cwd=self.folder, env=self._environment)
            else:
                process = await asyncio.create_subprocess_exec(
                    *("bash", "-c", f"exec {command}" if "|" not in command else command),
                    stdout=file,
                    stderr=errors,
                    cwd=self.folder,
                    env=self._environment,
                )
        self._started.append(process)
        return process

    def _listens(self, words: list[str]) -> str | None:
        """Where a program is reached that goes on running; None for one that ends."""
        if "--listen" in words:
            return self.own(words[words.index("--listen") + 1])
        if words[:3] == ["gateway", "release", "serve"]:
            return str(yaml.safe_load((self.folder / words[words.index("-c") + 1]).read_text())["listen"])
        if words[:2] in (["gateway", "serve"], ["gateway", "sidecar"]):
            config = yaml.safe_load((self.folder / words[words.index("-c") + 1]).read_text())
            return str(config["listen" if words[1] == "serve" else "inbound"])
        return None


def _squeezed(text: str) -> str:
    """Documents fold long lines."""
    return re.sub(r"\s", "", text)


async def _accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True
