"""`gateway rules test`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.output import echo, echo_json, output_option

if TYPE_CHECKING:
    from gateway.rules.explain import ConditionEvidence, LaneEvidence
    from gateway.ruletools.ruletests import Outcome


@click.command("test", short_help="Match the requests in rules/tests/*.yaml and compare their lanes.")
@click.argument("tests", metavar="[TESTS]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--rules", type=click.Path(path_type=Path), default=Path("rules"), show_default=True, help="Rules to test."
)
@click.option(
    "--entry", default="gateway", show_default=True, metavar="NAME", help="Name of the entry gateway, or of a service."
)
@click.option("--sidecar", is_flag=True, help="Match as the sidecar of the service in --entry.")
@output_option("text")
def command(tests: tuple[Path, ...], rules: Path, entry: str, sidecar: bool, output: str) -> None:
    """Match the requests in test files and compare their lanes with the expected ones.

    TESTS are files or directories [default: the directory `tests` beside the rules]. Exits with 1 if a test fails.
    """
    import time

    from gateway.cli.failing import counted, failing
    from gateway.errors import GatewayError
    from gateway.rules.environment import MatchEnvironment, Place
    from gateway.rulesources.files import load_rules
    from gateway.ruletools.ruletests import load_tests, run_tests

    with failing(output):
        loaded = load_rules([rules])
        folder = (rules if rules.is_dir() else rules.parent) / "tests"
        if not tests and not folder.is_dir():
            raise GatewayError(f"there is no directory {folder}; name the tests: gateway rules test PATH")
        found = load_tests(tests or (folder,))
        # The claims of tokens are in the tests themselves.
        environment = MatchEnvironment(time.time, lambda context: context.claims or {}, place=Place(entry, not sidecar))
        outcomes = run_tests(loaded.rules, found, environment)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if output == "json":
        echo_json([_as_dict(outcome) for outcome in outcomes])
    else:
        for outcome in failed:
            _show(outcome)
    echo(f"{counted(len(outcomes), 'test')}: {len(outcomes) - len(failed)} passed, {len(failed)} failed", err=True)
    if failed or not outcomes:
        sys.exit(1)


def _as_dict(outcome: Outcome) -> dict[str, object]:
    placed = outcome.placed
    return {
        "name": placed.test.name,
        "file": placed.file,
        "line": placed.line,
        "passed": outcome.passed,
        "expected": placed.test.lane,
        "lane": outcome.lane,
        "lanes": [evidence.as_dict() for evidence in outcome.evidence],
    }


def _show(outcome: Outcome) -> None:
    """A failed test: the expected and the actual lane, and how the conditions of both evaluated."""
    placed = outcome.placed
    request = placed.test.request
    echo(f"{placed.file}:{placed.line}: {placed.test.name}")
    echo(f"    {request.method} {request.url}")
    echo(f"  - {placed.test.lane}")
    echo(f"  + {outcome.lane}")
    names = {placed.test.lane, outcome.lane}
    lanes = [lane for lane in outcome.evidence if f"{lane.group}/{lane.lane}" in names]
    if placed.test.lane not in {"none", *(f"{lane.group}/{lane.lane}" for lane in outcome.evidence)}:
        echo(f"    there is no lane {placed.test.lane}")
    for lane in lanes:
        echo(f"    {lane.group}/{lane.lane}: {_verdict(lane)}")
        for condition in lane.conditions:
            _show_condition(condition, "      ")
    echo()


def _verdict(lane: LaneEvidence) -> str:
    if lane.winner:
        return "takes the request"
    if lane.state != "open":
        return lane.state
    return "matches too, but an earlier lane wins" if lane.matched else "does not match"


def _show_condition(condition: ConditionEvidence, indent: str) -> None:
    mark = "yes" if condition.held else "no "
    value = "" if condition.members else " (absent)" if condition.value is None else f" (value: {condition.value!r})"
    echo(f"{indent}{mark} {condition.text}{value}")
    for member in condition.members:
        _show_condition(member, indent + "    ")
