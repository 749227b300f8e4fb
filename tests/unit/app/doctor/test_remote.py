"""Checks of programs that run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.admin.server import AdminServer
from gateway.app.doctor.finding import FAILED, OK, SKIPPED, WARNING, Finding
from gateway.app.doctor.remote import (
    Running,
    ask_all,
    check_beside,
    check_in_step,
    check_lost_tags,
    check_running,
    check_signatures,
    find_sidecars,
)
from tests.support.admin import ShownRole

LANES = [{"lane": "gray"}]


def running(**values: Any) -> Running:
    plain: dict[str, Any] = {"is_there": True, "status": {"role": "entry", "revision": 3}, "lanes": LANES, "skew": 0.4}
    return Running("g:1", **plain | values)


def states(running: Running) -> list[tuple[str, str, str]]:
    findings = list(check_running([running]))
    assert all(bool(finding.hint) == (finding.state != OK) for finding in findings)
    return [(finding.check, finding.state, finding.message) for finding in findings]


CLOCK = ("clock", OK, "agrees with this machine's")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, [("programs", OK, "entry, ready, revision 3"), CLOCK]),
        ({"error": "refused"}, [("programs", FAILED, "cannot be asked: refused")]),
        ({"reasons": ["not ready: draining"]}, [("programs", FAILED, "not ready: draining"), CLOCK]),
        (
            {"status": {"last_reload_error": ["a.yaml:1:1: bad"]}},
            [("programs", FAILED, "the last reload failed: a.yaml:1:1: bad"), CLOCK],
        ),
        (
            {"status": {"role": "entry", "revision": 3, "runs_old_rules": True}},
            [
                ("programs", FAILED, "the rules present at its start had problems"),
                ("programs", OK, "entry, ready, revision 3"),
                CLOCK,
            ],
        ),
        (
            {"skew": 61.0},
            [
                ("programs", OK, "entry, ready, revision 3"),
                ("clock", FAILED, "its clock is 61 s ahead of this machine's"),
            ],
        ),
        (
            {"skew": -6.0},
            [("programs", OK, "entry, ready, revision 3"), ("clock", FAILED, "its clock is 6 s behind this machine's")],
        ),
    ],
)
def test_what_a_program_says_of_itself(values: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    assert states(running(**values)) == expected


@pytest.mark.parametrize(
    ("lanes", "error", "state"),
    [
        (LANES, "", OK),
        ([{**LANES[0], "hits": 9, "last_hit": 1.0, "guard": {}}], "", OK),
        ([{"lane": "blue"}], "", FAILED),
        ([], "", WARNING),
        (LANES, "away", None),
    ],
)
def test_sidecars_have_the_lanes_of_the_gateway(lanes: list[Any], error: str, state: str | None) -> None:
    sidecar = Running("s:1", lanes=lanes, error=error)
    assert [finding.state for finding in check_in_step(running(), [sidecar])] == ([] if state is None else [state])
    assert list(check_in_step(running(error="away"), [sidecar])) == []


def test_a_sidecar_tells_which_calls_lost_a_tag_and_what_to_do() -> None:
    lost = [
        {"to": "c", "tag": "gray", "why": "no_id", "count": 2},
        {"to": "d", "tag": "gray", "why": "new", "count": 1},
    ]
    sidecars = [
        Running("s:1", status={"service": "b", "lost_tags": lost}),
        Running("s:2", status={"service": "a", "lost_tags": []}),
        running(),
    ]
    named, unknown, none = check_lost_tags(sidecars)
    assert (named.subject, named.state) == ("b → c", WARNING)
    assert named.message == "calls lost tag gray, 2 so far: they carry neither a tag nor an id of a request"
    assert named.hint.startswith("have the application pass on the `traceparent`")
    assert (unknown.subject, unknown.message) == ("b → d", "calls lost tag gray, 1 so far: new"), "of a later version"
    assert (none.subject, none.state) == ("a", OK)


def test_tags_that_are_not_signed_as_they_should_be_are_named_with_what_to_do() -> None:
    found = [
        {"listener": "inbound", "why": "forged", "accepted": False, "count": 2},
        {"listener": "outbound", "why": "unsigned", "accepted": True, "count": 1},
        {"listener": "outbound", "why": "new", "accepted": False, "count": 3},
    ]
    forged, unsigned, unknown = check_signatures([Running("s:1", status={"signatures": found}), running()])
    assert (forged.subject, forged.state, forged.message) == ("s:1", WARNING, "inbound: dropped 2 tags so far: forged")
    assert forged.hint.startswith("give all gateways and sidecars the same `carriers.keys`")
    assert unsigned.message == "outbound: accepted 1 tags so far: unsigned"
    assert (unknown.message, unknown.hint) == ("outbound: dropped 3 tags so far: new", "see its log"), (
        "of a later version"
    )


class Role(ShownRole):
    def status(self) -> dict[str, object]:
        return {"role": "entry", "revision": 3}


@pytest.fixture
async def server() -> AsyncIterator[tuple[Role, AdminServer]]:
    role = Role()
    server = AdminServer("127.0.0.1", 0, role, token="t" * 16)
    await server.start()
    yield role, server
    await server.close()


async def test_programs_are_asked(server: tuple[Role, AdminServer]) -> None:
    role, admin = server
    address = f"127.0.0.1:{admin.port}"
    [found, away] = await ask_all([address, "127.0.0.1:9"], "t" * 16, 0.0)
    assert found.skew is not None
    assert found.skew > 1e9  # this machine's time was said to be 0
    found.skew = None
    assert found == Running(address, "", True, [], {"role": "entry", "revision": 3}, LANES, [{"service": "a"}])
    assert (away.is_there, bool(away.error)) == (False, True)
    role.reasons = ["draining"]
    [found] = await ask_all([address], "t" * 16, 0.0)
    assert (found.reasons, found.error) == (["not ready: draining"], "")


async def test_without_the_token_it_is_there_and_says_why_not_more(server: tuple[Role, AdminServer]) -> None:
    _, admin = server
    [found] = await ask_all([f"127.0.0.1:{admin.port}"], None, 0.0)
    assert (found.is_there, found.error) == (True, "the admin API needs `Authorization: Bearer TOKEN`")


def test_a_finding_says_what_to_do() -> None:
    [found] = check_running([running(error="refused")])
    assert found == Finding(
        "programs",
        "g:1",
        FAILED,
        "cannot be asked: refused",
        "check the address (`admin` of its settings), the token, and that it runs",
    )


def test_an_application_that_is_registered_beside_its_sidecar_is_warned_of() -> None:
    status = {"service": "b", "registered_beside": ["10.0.0.7:8080\x1b"]}
    [finding] = check_beside([running(status=status), running(error="refused"), running()])
    assert (finding.check, finding.subject, finding.state) == ("bypass", "g:1", WARNING)
    assert (
        finding.message == "b is registered at 10.0.0.7:8080\\x1b as well as its sidecar: requests bypass the sidecar"
    )


def instance(address: str, **metadata: str) -> dict[str, Any]:
    return {"address": address, "metadata": metadata}


def knowing(*instances: dict[str, Any]) -> Running:
    return running(services=[{"pools": [{"instances": instances[:1]}, {"instances": instances[1:]}]}])


def test_sidecars_are_found_by_what_they_register() -> None:
    sidecar = {"gray-sidecar": "b"}
    asked, findings = find_sidecars(
        knowing(
            instance("10.0.0.7:80", **sidecar, **{"gray-sidecar-admin": "9901"}),
            instance("[2001:db8::1]:80", **sidecar, **{"gray-sidecar-admin": "9902"}),
            instance("10.0.0.7:81", **sidecar, **{"gray-sidecar-admin": "9901"}),
            instance("10.0.0.9:80"),
        )
    )
    assert (asked, findings) == (["10.0.0.7:9901", "[2001:db8::1]:9902"], [])


@pytest.mark.parametrize("port", [None, "", "0", "http://x", "9901/../", "123456", "٣"])
def test_those_that_cannot_be_asked_are_counted(port: str | None) -> None:
    more = {} if port is None else {"gray-sidecar-admin": port}
    many = [instance(f"10.0.0.{number}:80", **{"gray-sidecar": "b"}, **more) for number in range(7)]
    asked, [finding] = find_sidecars(knowing(*many))
    assert (asked, finding.state) == ([], SKIPPED)
    assert finding.message == (
        "7 sidecars have their admin API on loopback: those at "
        "10.0.0.0:80, 10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80, 10.0.0.4:80, …"
    )


async def test_one_that_wants_a_token_is_asked_as_far_as_it_says_something() -> None:
    server = AdminServer("127.0.0.1", 0, ShownRole(), token="secret")
    await server.start()
    [found] = await ask_all([f"127.0.0.1:{server.port}"], None, 0.0, may_refuse=True)
    [refused] = await ask_all([f"127.0.0.1:{server.port}"], None, 0.0)
    await server.close()
    assert (found.wants_token, found.error, refused.wants_token, bool(refused.error)) == (True, "", False, True)
    [finding] = check_in_step(running(), [found])
    assert (finding.state, finding.hint) == (SKIPPED, f"name it yourself: --sidecar {found.address}")
    assert next(item.message for item in check_running([found])) == "ready"


@pytest.mark.parametrize(
    "services",
    [
        [1],
        ["a"],
        [{"pools": None}],
        [{"pools": [1]}],
        [{"pools": [{"instances": [1, {}, {"address": 1, "metadata": 2}]}]}],
    ],
)
def test_services_that_are_none_are_passed_over(services: list[Any]) -> None:
    assert find_sidecars(running(services=services)) == ([], [])
