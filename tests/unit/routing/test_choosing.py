"""A client stays at its instance by a cookie, within the pool of its requests and as long as that may be picked."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from gateway.http.head_reader import HeadReader
from gateway.instance import Instance
from gateway.routing.balancing import LeastRequest
from gateway.routing.carriers import Carriers
from gateway.routing.choosing import Choosing, StickyCookie
from gateway.routing.entry import EntryRouter
from gateway.routing.health import Health
from gateway.routing.peer import Peer
from gateway.routing.routes import Route, RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.routing.verdict import Forward
from tests.support.rules import compiled

SECRET = "0123456789abcdef"
ONE, TWO, THREE = (Instance(f"10.0.0.{number}", 80) for number in (1, 2, 3))
GRAY, GRAY2 = (Instance(f"10.0.0.{number}", 80, "gray") for number in (8, 9))
ALL = (ONE, TWO, THREE, GRAY, GRAY2)


class Browser:
    """Sends requests for service `a`, with the cookie that it was given last. `?group=gray` is for a lane."""

    def __init__(self, *instances: Instance, secret: str = SECRET, **health: Any) -> None:
        self.turns = Turns()
        self.cookie = ""
        self.given = b""
        self.lane: dict[str, Any] = {"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}]}
        self.choosing = Choosing(None, StickyCookie("at", secret))
        self.know(*instances or ALL, **health)

    def know(self, *instances: Instance, **health: Any) -> None:
        view = ServiceView("a", instances, self.turns, condition=Health(**health), choosing=self.choosing)
        rules = compiled([{"name": "demo", "lanes": [self.lane]}])
        snapshot = Snapshot(1, rules, RouteTable([Route("/", "a")]), {"a": view})
        self.router = EntryRouter(snapshot, Carriers(), random.Random(1))

    def forward(self, target: str = "/", scheme: str = "http") -> Forward:
        fields = f"Cookie: x=1; at={self.cookie}\r\n" if self.cookie else ""
        request = HeadReader("x-gray-tag").read(f"GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())
        assert request is not None
        verdict = self.router.route(request, Peer("192.0.2.1", scheme=scheme), 0.0)
        assert isinstance(verdict, Forward)
        return verdict

    def take(self, forward: Forward) -> Instance:
        """Takes the cookie that the response has."""
        self.given = forward.decision.response_fields
        match = re.search(rb"at=([^;]+)", self.given)
        if match is not None:
            self.cookie = match[1].decode()
        return forward.instance

    def go(self, target: str = "/", scheme: str = "http") -> Instance:
        return self.take(self.forward(target, scheme))


def test_a_client_gets_a_cookie_once_and_stays() -> None:
    browser = Browser()
    first = browser.go()
    assert re.fullmatch(rb"\r\nSet-Cookie: at=[\w-]{20}; Path=/; HttpOnly; SameSite=Lax", browser.given)
    for _ in range(5):
        forward = browser.forward()
        assert (browser.take(forward), browser.given, forward.decision.chosen_by) == (first, b"", "cookie")


def test_over_tls_the_cookie_is_for_tls_alone() -> None:
    browser = Browser()
    browser.go(scheme="https")
    assert browser.given.endswith(b"; HttpOnly; SameSite=Lax; Secure")


def test_the_cookie_says_nothing_of_the_network_and_is_the_same_on_every_gateway_with_the_secret() -> None:
    one, same, other = Browser(ONE), Browser(ONE), Browser(ONE, secret="another secret of mine")
    for browser in (one, same, other):
        browser.go()
    assert one.cookie == same.cookie != other.cookie
    assert "10.0.0.1" not in one.cookie


def test_another_lane_is_another_pool_with_a_cookie_of_its_own() -> None:
    browser = Browser()
    base = browser.go()
    cookie = browser.cookie
    gray = browser.go("/?group=gray")
    assert (base.tag, gray.tag, browser.cookie != cookie) == ("base", "gray", True)
    assert (browser.go("/?group=gray"), browser.given) == (gray, b"")
    assert browser.go().tag == "base"
    assert browser.given


def test_a_cookie_of_the_lane_never_puts_a_request_on_it() -> None:
    browser = Browser()
    browser.go("/?group=gray")
    assert browser.forward().decision.tag == "base"


@pytest.mark.parametrize(
    ("instances", "health"),
    [
        pytest.param(ALL[1:], {}, id="removed"),
        pytest.param((Instance("10.0.0.1", 80, enabled=False), *ALL[1:]), {}, id="drained"),
        pytest.param((Instance("10.0.0.1", 80, healthy=False), *ALL[1:]), {}, id="unhealthy"),
        pytest.param((Instance("10.0.0.1", 80, "gray"), *ALL[1:]), {}, id="of another tag now"),
        pytest.param((Instance("10.0.0.1", 80, metadata={"pod-uid": "2"}), *ALL[1:]), {}, id="somebody else now"),
        pytest.param(ALL, {"ejected": frozenset({ONE.address})}, id="ejected"),
        pytest.param(ALL, {"misdirected": frozenset({ONE.address})}, id="misdirected"),
    ],
)
def test_who_is_not_there_any_more_is_replaced_for_good(
    instances: tuple[Instance, ...], health: dict[str, Any]
) -> None:
    browser = Browser()
    assert browser.go() == ONE
    cookie = browser.cookie
    browser.know(*instances, **health)
    moved = browser.go()
    assert moved.tag == "base"
    assert browser.cookie != cookie
    browser.know(*instances, **health)
    assert [browser.go() for _ in range(4)] == [moved] * 4


def test_a_retry_takes_the_client_along() -> None:
    browser = Browser()
    browser.go()
    forward = browser.forward()
    other = forward.other()
    assert other is not None
    forward.turn_to(other)
    third = forward.other()
    assert third is not None
    forward.turn_to(third)
    assert browser.take(forward) == third not in (ONE, other)
    assert browser.given.count(b"Set-Cookie") == 1
    assert browser.go() == third


def test_falling_back_after_a_fault_pins_to_the_baseline() -> None:
    browser = Browser(ONE, TWO, GRAY)
    forward = browser.forward("/?group=gray")
    other = forward.other_in_baseline()
    assert other is not None
    forward.fall_back_to(other, "connect_error")
    browser.take(forward)
    assert [browser.go() for _ in range(3)] == [other] * 3


def test_a_forged_cookie_is_none() -> None:
    browser = Browser()
    for cookie in ("10.0.0.1:80", "A" * 20, "\xff", "=" * 500):
        browser.cookie = cookie
        browser.go()
        assert browser.given


def test_beside_balancing_the_cookie_goes_first() -> None:
    browser = Browser()
    busy = {ONE.address: 100}
    least = LeastRequest(lambda address: busy.get(address, 0), random.Random(1).random)
    browser.choosing = Choosing(least, StickyCookie("at", SECRET))
    browser.know(ONE, TWO)
    assert browser.go() == TWO
    busy = {TWO.address: 100}
    assert browser.go() == TWO
