"""Token buckets: what is let through, what clients are told, and that nobody gets around them or fills the memory."""

from __future__ import annotations

import pytest

from gateway.http.head_reader import HeadReader
from gateway.routing import ratelimit
from gateway.routing.ratelimit import RateLimit, RateLimits
from gateway.rules.context import MatchContext


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def context(*fields: str, ip: str = "192.0.2.1") -> MatchContext:
    head = "\r\n".join(["GET /A HTTP/1.1", "Host: x", *fields, "", ""]).encode()
    return MatchContext(HeadReader("x-gray-tag").read(head), ip)


BY_CLIENT = ("client_ip", "")


def limits(clock: Clock, *by: tuple[str, str], rate: int = 2, burst: int = 3) -> RateLimits:
    return RateLimits([RateLimit(f"{key[0]}", rate, 1.0, burst, key, clock) for key in by or (BY_CLIENT,)])


def test_a_burst_and_then_the_rate() -> None:
    clock = Clock()
    bucket = limits(clock)
    client = context()
    assert [bucket.take(client, True)[0] for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    clock.now += 0.5
    assert [bucket.take(client, True)[0] for _ in range(2)] == [0.0, 0.5]
    clock.now += 3600
    assert [bucket.take(client, True)[0] for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_clients_are_told_how_much_is_left() -> None:
    bucket = limits(Clock())
    client = context()
    told = [bucket.take(client, True)[1].decode().split("\r\n")[1:] for _ in range(4)]
    policy = 'RateLimit-Policy: "client_ip";q=3;w=2'
    assert told == [
        [policy, 'RateLimit: "client_ip";r=2;t=1'],
        [policy, 'RateLimit: "client_ip";r=1;t=1'],
        [policy, 'RateLimit: "client_ip";r=0;t=2'],
        [policy, 'RateLimit: "client_ip";r=0;t=2', "Retry-After: 1"],
    ]


def test_who_only_looks_takes_nothing() -> None:
    bucket = limits(Clock(), burst=1)
    client = context()
    assert [bucket.take(client, False)[0] for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(client, True)[0] == 0.0
    # A request that waited for its body, or for an authorization, after it got the last token.
    assert bucket.take(client, False) == (
        0.5,
        b'\r\nRateLimit-Policy: "client_ip";q=1;w=1\r\nRateLimit: "client_ip";r=0;t=1',
    )


def test_a_request_that_one_limit_refuses_costs_nothing_in_the_others() -> None:
    clock = Clock()
    by_user = ("header", "x-user")
    bucket = limits(clock, BY_CLIENT, by_user, burst=1)
    assert bucket.take(context("X-User: a"), True)[0] == 0.0
    assert bucket.take(context("X-User: a", ip="192.0.2.2"), True)[0] == 0.5
    assert bucket.take(context("X-User: b", ip="192.0.2.2"), True)[0] == 0.0


@pytest.mark.parametrize("by", [("header", "x-user"), ("cookie", "u"), ("param", "u")])
def test_who_leaves_out_what_is_counted_is_counted_by_address(by: tuple[str, str]) -> None:
    bucket = limits(Clock(), by, burst=1)
    assert [bucket.take(context(ip=ip), True)[0] for ip in ("192.0.2.1", "192.0.2.1", "192.0.2.2")] == [0.0, 0.5, 0.0]


def test_a_client_with_a_whole_ipv6_network_is_one_client() -> None:
    bucket = limits(Clock(), burst=1)
    waits = [bucket.take(context(ip=ip), True)[0] for ip in ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1")]
    assert waits == [0.0, 0.5, 0.0]


def test_memory_is_bounded_and_the_one_unused_longest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratelimit, "MAX_KEYS", 3)
    limit = RateLimit("header", 1, 60.0, 1, ("header", "x-user"), Clock())
    bucket = RateLimits([limit])

    def wait(user: str) -> float:
        return bucket.take(context(f"X-User: {user}"), True)[0]

    assert [wait(user) for user in "abcdefgh"] == [0.0] * 8
    assert len(limit._full_at) == 3
    assert wait("h") > 0.0
    assert wait("a") == 0.0
    assert all(isinstance(key, int) for key in limit._full_at)


def test_a_reload_goes_on_counting_unless_the_terms_are_others() -> None:
    clock = Clock()
    before = limits(clock, burst=1)
    before.take(context(), True)
    same, other = limits(clock, burst=1), limits(clock, burst=2)
    same.go_on(before)
    other.go_on(before)
    assert (same.take(context(), True)[0], other.take(context(), True)[0]) == (0.5, 0.0)
