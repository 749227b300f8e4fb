"""`gateway doctor --propagation` on a running mesh: how a tag travelled, or where it was lost."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.purity.judge import Judge
from tests.purity.mesh import Mesh
from tests.support.process import run

NO_TAG = "the gateway gave the probe no tag: no open lane takes it"


@pytest.fixture
async def mesh(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Mesh]:
    """A mesh whose applications forward what the parameter says: of A, of B."""
    clock = asyncio.get_running_loop().time
    mesh = Mesh(tmp_path, "embedded", Judge(clock, print), random.Random(1))
    mesh.modes = dict(zip("abc", (*request.param, "nothing"), strict=True))
    await mesh.start()
    yield mesh
    await mesh.close()


async def doctor(mesh: Mesh, target: str = "/A/x?group=gray", *more: str) -> tuple[int, list[tuple[str, str, str]]]:
    """The exit code, and the subject, state and message of each finding, without addresses."""
    url = f"http://127.0.0.1:{mesh.port}{target}"
    code, output, errors = await run(
        "doctor", "--propagation", url, "--server", f"127.0.0.1:{mesh.admin}", "-o", "json", *more
    )
    assert output, errors
    found: list[dict[str, Any]] = json.loads(output)
    assert {item["check"] for item in found} == {"propagation"}
    assert all(bool(item["hint"]) == (item["state"] != "ok") for item in found)
    return code, [(item["subject"], item["state"], item["message"]) for item in found]


ENTRY = ("gateway → a", "ok", "tag gray, given by a rule; served by gray")


@pytest.mark.parametrize("mesh", [("traceparent", "baggage")], ids=["trace-then-baggage"], indirect=True)
async def test_each_hop_says_by_which_carrier_it_got_the_tag(mesh: Mesh) -> None:
    code, found = await doctor(mesh)
    assert found == [
        ENTRY,
        ("a → b", "ok", "tag gray, known by the trace id; served by base (absent)"),
        ("b → c", "ok", "tag gray, carried by `baggage`; served by gray"),
    ]
    assert code == 0
    assert await doctor(mesh, "/A/x") == (1, [("gateway → a", "failed", NO_TAG)])


@pytest.mark.parametrize("mesh", [("header", "nothing")], ids=["header-then-nothing"], indirect=True)
async def test_the_hop_that_loses_it_is_found_though_the_trace_ended_before(mesh: Mesh) -> None:
    code, found = await doctor(mesh)
    assert found == [
        ENTRY,
        ("a → b", "ok", "tag gray, carried by the tag header; served by base (absent)"),
        ("b → c", "failed", "tag gray is lost: the call carries neither a tag nor an id of a request"),
    ]
    assert code == 1


@pytest.mark.parametrize("mesh", [("header", "header")], ids=["header"], indirect=True)
async def test_a_sidecar_that_delivers_nothing_is_named(mesh: Mesh) -> None:
    [silent] = mesh.of("b", "base")
    settings = silent.sidecar.folder / "sidecar.yaml"
    lines = [line for line in settings.read_text().splitlines() if "collector" not in line and line != "records:"]
    silent.sidecar.write("sidecar.yaml", "\n".join(lines) + "\n")
    await silent.sidecar.close()
    await silent.sidecar.start("sidecar", "-c", "sidecar.yaml")
    await silent.sidecar.wait_ok(silent.ports["admin"])
    code, found = await doctor(mesh, "/A/x?group=gray", "--wait", "3s")
    assert found[:2] == [ENTRY, ("a → b", "ok", "tag gray, carried by the tag header; served by base (absent)")]
    assert found[2:] == [
        ("b", "failed", f"{silent.address} has delivered no record of it: what it calls cannot be seen")
    ]
    assert code == 1


async def test_nobody_there_is_said(tmp_path: Path) -> None:
    code, output, _ = await run("doctor", "--propagation", "http://127.0.0.1:1/x", "--server", "127.0.0.1:1")
    assert (code, "the probe got no response" in output) == (1, True)


async def test_what_is_left_out_or_too_much_is_said(tmp_path: Path) -> None:
    for arguments, problem in (
        (["--propagation", "http://x/"], "--propagation needs --server"),
        (["-H", "X: y"], "-H is for the request of --propagation"),
        (["--propagation", "http://x/", "--server", "x:1", "-H", "no"], "'no' is not 'Name: value'"),
    ):
        code, _, errors = await run("doctor", *arguments)
        assert (code, problem in errors) == (2, True), errors
