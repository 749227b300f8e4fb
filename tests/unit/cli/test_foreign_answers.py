"""Every command that asks a program, and gets an answer of another shape: one line says where it differs, nothing is raised.

The answers are made of the shapes that the commands want. So a command that reads what its shape does not name fails here, too.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from gateway.app.doctor.hops import HOP, RECORD, Walk, unresolved
from gateway.cli import client, explain, lanes, main, mirror, tap, top, topology
from gateway.cli.registry import list as listing
from gateway.cli.registry import status, watch
from gateway.cli.release import apps, envs
from gateway.cli.release import history as versions
from gateway.cli.release.tree import ORDER
from gateway.cli.rules import history
from gateway.shapes import COUNT, FLAG, MOMENT, NUMBER, TEXT, Each, Filled, Kind, Maybe, ShapeError, check

EVIL = "\x1b[2J\u202etxt.exe\r\nforged \ud800app"
SERVER = "gateway.example:9900"
SAMPLES: dict[str, Any] = {
    TEXT.name: EVIL, FLAG.name: True, COUNT.name: 1, NUMBER.name: 0.5, MOMENT.name: 1.7e9,
}  # fmt: skip
WRONG: tuple[Any, ...] = (None, [], {}, "\x1b[2Jx", 1e300, 10**400, True, -1, [[{}]])
Answers = dict[str, Any]
"""By a part of the path: the first that fits."""


class Asked(NamedTuple):
    """A command, and the shape of what it is answered."""

    command: list[str]
    wants: Answers


LANE = f"{EVIL}/{EVIL}"
BECAUSE = ["--reason", "because"]
COMMANDS = [
    Asked(["explain", "GET", "/"], {"/explain": explain.EXPLAINED}),
    Asked(["instance", "drain", "a", "127.0.0.1:1"], {"/drain": {"drained": [{}]}}),
    Asked(["instance", "restore", "a", "127.0.0.1:1"], {"/restore": {"drained": [{}]}}),
    Asked(["lanes"], {"/lanes": lanes.LANES, "/trends": lanes.TRENDS}),
    Asked(["lanes", LANE], {"/lanes": lanes.LANES, "/trends": lanes.TRENDS, "/lost-tags": lanes.LOST}),
    Asked(["mirror"], {"/mirrors": mirror.WANTS}),
    Asked(["registry", "list"], {"/services": listing.WANTS}),
    Asked(["registry", "list", EVIL], {"/services": listing.WANTS}),
    Asked(["registry", "status"], {"/status": status.WANTS}),
    Asked(["registry", "watch"], {"/services": watch.WANTS}),
    Asked(["rules", "history"], {"/history": history.LIST}),
    Asked(["rules", "history", "1"], {"/history/1": history.ONE}),
    Asked(["rules", "rollback", "1"], {"/rollback": {"diff": TEXT, "revision": COUNT}}),
    Asked(["tap", "--chain", "1"], {"/chains": tap.CHAIN}),
    Asked(["tap", "--last", "2"], {"/requests?": tap.LATEST, "/stream": tap.RECORD}),
    Asked(["top"], {"/services": top.WANTS}),
    Asked(["topology"], {"/topology": topology.WANTS}),
    Asked(["release", "apps"], {"/apps": apps.WANTS}),
    Asked(["release", "envs"], {"/environments": envs.ENVIRONMENTS}),
    Asked(["release", "lock", "prod", *BECAUSE], {"/lock": envs.ENVIRONMENTS}),
    Asked(["release", "unlock", "prod", *BECAUSE], {"/unlock": envs.ENVIRONMENTS}),
    Asked(["release", "get"], {"/orders?": {"orders": [{"id": COUNT, "state": ORDER["state"]}]}, "/orders": ORDER}),
    Asked(["release", "get", "1", "--watch"], {"/orders": ORDER}),
    Asked(["release", "history"], {"/history": versions.VERSIONS}),
    Asked(["release", "history", "--audit"], {"/audit": versions.AUDIT}),
    Asked(["release", "logs", "a", "prod"], {"logs/": {"text": TEXT, "next": COUNT}, "/logs": {"logs": [TEXT]}}),
    Asked(["release", "pause", "1", *BECAUSE], {"/suspend": ORDER}),
    Asked(["release", "run", "a", *BECAUSE], {"/orders": ORDER}),
    Asked(["release", "status", "1"], {"/orders": ORDER}),
    Asked(["release", "undo", "a", "prod", *BECAUSE], {"/undo": ORDER}),
]
EXACT = ("rules history 1", "rules rollback 1", "release logs a prod")
"""Commands that print texts of files to a pipe as they are."""


def sample(shape: Any, is_full: bool, depth: int = 0) -> Any:
    """A value of a shape: with all that may be there, or with as little as possible."""
    if isinstance(shape, Kind):
        if shape.name.startswith("one of"):
            return "SUCCESS"
        return 0.5 if shape.name not in SAMPLES else SAMPLES[shape.name] if is_full else empty(shape)
    if isinstance(shape, Maybe):
        return sample(shape.shape, is_full, depth) if is_full else None
    if isinstance(shape, Each):
        return {EVIL: sample(shape.shape, is_full, depth)} if is_full else {}
    if isinstance(shape, Filled):
        return [sample(shape.shape, is_full, depth)]
    if isinstance(shape, list):
        return [sample(shape[0], is_full, depth)] if is_full and depth < 2 else []
    if isinstance(shape, dict):
        return {
            key.removesuffix("?"): sample(inner, is_full, depth)
            for key, inner in shape.items()
            if is_full or key[-1] != "?"
        }
    return sample(shape(), is_full, depth + 1)


def empty(kind: Kind) -> Any:
    return {TEXT.name: "", FLAG.name: False}.get(kind.name, 0)


def changed(value: Any, wants: Any) -> Iterator[Any]:
    """The value with one thing at a time left out, or something wrong in its place."""
    for number, (path, is_member) in enumerate(places(value)):
        for wrong in (WRONG[number % len(WRONG)], WRONG[(number + 4) % len(WRONG)], ...):
            other = deepcopy(value)
            holder = other
            for step in path[:-1]:
                holder = holder[step]
            if wrong is not ...:
                holder[path[-1]] = wrong
            elif is_member:
                del holder[path[-1]]
            try:
                check(other, wants)
            except ShapeError:
                yield other


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], bool]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*path, step), isinstance(value, dict)
        yield from places(inner, (*path, step))


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    answers: Answers = {}

    def opened(_server: str, _method: str, path: str, *_: object, **__: object) -> io.BytesIO:
        if path == "/metrics":
            return io.BytesIO(metrics.encode())
        key = next(key for key in answers if key in path)
        content = json.dumps(answers[key])
        return io.BytesIO(
            f"id: 1\nevent: request\ndata: {content}\n\n".encode() if key == "/stream" else content.encode()
        )

    def interrupted(_: float) -> None:
        if not is_counting:
            raise KeyboardInterrupt

    is_counting, metrics = False, ""

    def invoked(command: list[str], given: Answers, counted: str = "") -> Result:
        nonlocal is_counting, metrics
        metrics = counted
        is_counting = command[0] == "top"
        answers.clear()
        answers.update(given)
        server = ["--server", SERVER]
        at = 1 if command[0] not in ("instance", "registry", "rules", "release") else 2
        return CliRunner().invoke(main, [*command[:at], *server, *command[at:]])

    monkeypatch.setattr(client, "_open", opened)
    monkeypatch.setattr("time.sleep", interrupted)
    return invoked


def name_of(asked: Asked) -> str:
    return ascii(" ".join(asked.command))


@pytest.mark.parametrize("asked", COMMANDS, ids=name_of)
@pytest.mark.parametrize("is_full", [True, False], ids=["full", "bare"])
def test_an_answer_of_the_shape_is_shown(invoke: Callable[..., Result], asked: Asked, is_full: bool) -> None:
    given = {key: sample(shape, is_full) for key, shape in asked.wants.items()}
    for more in ([], ["-o", "json"]):
        if more and asked.command[:2] in (["instance", "drain"], ["instance", "restore"], ["rules", "rollback"]):
            continue
        done = invoke([*asked.command, *more], given)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        shown = done.stderr if " ".join(asked.command) in EXACT and not more else done.output
        assert [letter for letter in shown if not letter.isprintable() and letter != "\n"] == []


@pytest.mark.parametrize("asked", COMMANDS, ids=name_of)
def test_an_answer_of_another_shape_is_one_line(invoke: Callable[..., Result], asked: Asked) -> None:
    good = {key: sample(shape, True) for key, shape in asked.wants.items()}
    tried = 0
    for key, shape in asked.wants.items():
        for other in ([], *changed(good[key], shape)):
            done = invoke(asked.command, {**good, key: other})
            assert (done.exit_code, type(done.exception)) == (1, SystemExit), (other, done.exception)
            [line] = done.stderr.splitlines()
            assert SERVER in line, line
            assert line.isprintable()
            assert "expected" in line or " is missing" in line or " is empty" in line or "not a JSON object" in line
            tried += 1
    assert tried > 1


@pytest.mark.parametrize("asked", COMMANDS, ids=name_of)
def test_an_answer_nested_without_end_is_one_line(invoke: Callable[..., Result], asked: Asked) -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    given = {key: {**sample(shape, True), "more": deep} for key, shape in asked.wants.items()}
    done = invoke(asked.command, given)
    assert (done.exit_code, type(done.exception)) == (1, SystemExit), done.exception
    assert done.stderr.startswith(f"cannot query {SERVER}: the JSON is nested too deeply")


@pytest.mark.parametrize(
    "metrics",
    [
        "gateway_requests_total 1",
        "gateway_requests_total{",
        'gateway_upstream_requests_in_flight{address="a"} +Inf\ngateway_requests_total{listener="e",service="",tag=""} 1',
    ],
)
def test_metrics_of_another_program_are_one_line(invoke: Callable[..., Result], metrics: str) -> None:
    done = invoke(["top"], {"/services": {"services": []}}, metrics)
    assert (done.exit_code, type(done.exception)) == (1, SystemExit), (done.output, done.exception)
    assert done.stderr.startswith(f"the metrics of {SERVER} cannot be read: ")


def test_a_walk_reads_nothing_that_its_shapes_do_not_name() -> None:
    for is_full in (True, False):
        walk = Walk(())
        hop = {**sample(HOP, is_full), "listener": "entry", "tag": "gray"}
        walk.follow([hop], [sample(RECORD, is_full), {**sample(RECORD, is_full), "listener": "inbound"}])
        assert list(unresolved(walk))
