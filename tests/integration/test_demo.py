"""`gateway demo` as a person runs it: the two answers, the cycle's table, and nothing left behind by Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
from pathlib import Path

from aiohttp import ClientSession

from tests.support.process import Program
from tests.support.wait import until

GRAY = r"Agray\[127\.0\.0\.1:\d+\]\[config=base\] -> B\[127\.0\.0\.1:\d+\] -> Cgray\[127\.0\.0\.1:\d+\]"
BASE = r"A\[127\.0\.0\.1:\d+\]\[config=base\] -> B\[127\.0\.0\.1:\d+\] -> C\[127\.0\.0\.1:\d+\]"


def processes_of(folder: Path) -> list[str]:
    """Where running processes write that write below a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/fd/1"):
        with contextlib.suppress(OSError):
            if (target := os.readlink(path)).startswith(f"{folder}/"):
                found.append(target)
    return found


async def test_the_whole_cycle_the_release_server_killed_in_it_and_then_ctrl_c(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    demo = Program(tmp_path)
    await demo.start("demo", "--keep", str(folder), "--kill-release-server")
    try:
        await until(
            lambda: "Press Ctrl-C to stop everything." in demo.log.read_text() or demo.has_ended, "the end", timeout=120
        )
        output = demo.log.read_text()
        steps = re.split(r"^\d\. ", output.partition("The lane is open again")[0], flags=re.MULTILINE)[1:]
        # For each step the answers to its curl lines.
        marked = [re.findall(r"\$ curl '\S+group=gray'\n +(.+)", step) for step in steps]
        unmarked = [re.findall(r"\$ curl '\S+A/a'\n +(.+)", step) for step in steps]
        assert all(re.fullmatch(BASE, answer) for answers in unmarked for answer in answers), output
        expected = [None, BASE, GRAY, None, GRAY, BASE, BASE, GRAY]
        for answers, pattern in zip(marked, expected, strict=True):
            assert bool(answers) == bool(pattern)
            assert all(re.fullmatch(pattern or "", answer) for answer in answers), output
        assert re.search(r"^    lane +demo/gray$", steps[3], re.MULTILINE), output
        assert re.search(
            r"^    demo/gray +param group equals 'gray' +'gray' +yes +takes the request$", steps[3], re.MULTILINE
        )
        table = re.search(r"requests +marked +failed.*\n(\d+) +(\d+) +(\d+) +(\d+) +(\d+)", output)
        assert table is not None, output
        requests, some_marked, *problems = (int(number) for number in table.groups())
        assert requests > some_marked > 20
        assert problems == [0, 0, 0]
        pages = re.findall(r"^    (http://\S+/)(?:#\S+)?    \(", output, re.MULTILINE)
        assert len(pages) == 3
        async with ClientSession() as session:
            for page in pages:
                async with session.get(page) as response:
                    assert response.content_type == "text/html"
        assert len(processes_of(folder)) > 5
        demo.send(signal.SIGINT)
        assert await demo.wait() == 0
        assert processes_of(folder) == []
    finally:
        await demo.close()


async def test_a_demo_that_cannot_start_says_why_and_exits_1(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "demo", "--once", "--keep", str(tmp_path), "--port", str(port),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(90):
            _, errors = await process.communicate()
    assert process.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in errors.decode()
    assert "Traceback" not in errors.decode()
