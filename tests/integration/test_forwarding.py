"""What services learn of a client through the entry gateway, by itself and behind proxies of the operator's own."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from gateway.routing.routes import Route, RouteTable
from gateway.routing.snapshot import Snapshot
from gateway.rules.match import CompiledRules
from gateway.rules.model import LaneGroup
from tests.support.bounds import Limits
from tests.support.hostile import answering, started
from tests.support.origin import Origin
from tests.support.proxy import Answer, Proxy
from tests.support.rules import compiled


@pytest.fixture
async def trusting(origin: Origin) -> AsyncIterator[Proxy]:
    """A proxy that trusts this machine's clients."""
    proxy = Proxy()
    proxy.trust_loopback()
    async with started(proxy, origin):
        yield proxy


def use(proxy: Proxy, rules: CompiledRules | None = None, routes: list[Route] | None = None) -> None:
    """Other rules, other routes."""
    old = proxy.router.snapshot
    table = old.routes if routes is None else RouteTable(routes)
    proxy.router.snapshot = Snapshot(2, old.rules if rules is None else rules, table, old.services)


def forwarded(origin: Origin) -> dict[str, str | None]:
    """What the last request says of its client."""
    names = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix", "forwarded")
    return {name: value for name in names if (value := origin.header(name)) is not None}


OURS = {
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-proto": "http",
    "x-forwarded-host": "shop.example",
    "x-forwarded-prefix": "/A",
}


@pytest.mark.parametrize(
    ("fields", "continued"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param(["X-Forwarded-For: 6.6.6.6"], {"x-forwarded-for": "6.6.6.6, 127.0.0.1"}, id="For alone"),
        pytest.param(["X-Forwarded-Proto: https"], {"x-forwarded-proto": "https"}, id="Proto alone"),
        pytest.param(["X-Forwarded-Host: www.example"], {"x-forwarded-host": "www.example"}, id="Host alone"),
        pytest.param(
            ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: www.example"],
            {"x-forwarded-for": "6.6.6.6, 127.0.0.1", "x-forwarded-host": "www.example"},
            id="For and Host",
        ),
        pytest.param(
            ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: HTTPS, http", "X-Forwarded-Host: www.example"],
            {"x-forwarded-for": "6.6.6.6, 127.0.0.1", "x-forwarded-proto": "HTTPS, http", "x-forwarded-host": "www.example"},
            id="all three",
        ),
        pytest.param(["X-Forwarded-Prefix: /outer"], {"x-forwarded-prefix": "/outer/A"}, id="Prefix"),
        pytest.param(["X-Forwarded-Prefix: /a/, /b"], {"x-forwarded-prefix": "/a/b/A"}, id="several Prefixes"),
        pytest.param(["X-Forwarded-Prefix: //evil.example"], {"x-forwarded-prefix": "/A"}, id="a Prefix that is no path"),
        pytest.param(
            ["Forwarded: for=6.6.6.6;proto=https"], {"forwarded": "for=6.6.6.6;proto=https, for=127.0.0.1"}, id="RFC 7239"
        ),
    ],
)  # fmt: skip
async def test_each_field_of_a_trusted_proxy_is_continued_by_itself(
    trusting: Proxy, origin: Origin, fields: list[str], continued: dict[str, str]
) -> None:
    await trusting.get("/A/a", *fields)
    assert forwarded(origin) == OURS | continued


async def test_of_anybody_elses_nothing_is_left(proxy: Proxy, origin: Origin) -> None:
    await proxy.get(
        "/A/a",
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Prefix: /evil",
        "Forwarded: for=6.6.6.6;proto=https",
    )
    assert forwarded(origin) == OURS


@pytest.mark.parametrize(
    ("fields", "client"),
    [
        (["X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
        (["X-Forwarded-For: 203.0.113.9:4711"], "203.0.113.9"),
        (["X-Forwarded-For: ::ffff:203.0.113.9"], "203.0.113.9"),
        (["X-Forwarded-For: [::ffff:203.0.113.9]:4711"], "203.0.113.9"),
        (["X-Forwarded-For: [2001:DB8::9]:4711"], "2001:db8::9"),
        (["X-Forwarded-For:  203.0.113.9\t,, 127.0.0.7 ,"], "203.0.113.9"),
        (["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 127.0.0.7:80"], "203.0.113.9"),
        (["X-Forwarded-For: 6.6.6.6, unknown"], "127.0.0.1"),
        (["X-Forwarded-For: 6.6.6.6, _hidden, 127.0.0.7"], "127.0.0.7"),
        (["X-Forwarded-For: 6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        (["X-Forwarded-For: ,"], "127.0.0.1"),
        (['Forwarded: for=6.6.6.6, For="203.0.113.9:4711";by=x, for=127.0.0.7'], "203.0.113.9"),
        (['Forwarded: for="[2001:db8::9]:4711"'], "2001:db8::9"),
        (["Forwarded: for=6.6.6.6, for=_hidden"], "127.0.0.1"),
        (["Forwarded: for=6.6.6.6, proto=https"], "127.0.0.1"),
        (["Forwarded: for=6.6.6.6, for=203.0.113.9", "X-Forwarded-For: 203.0.113.8"], "203.0.113.8"),
    ],
)  # fmt: skip
async def test_the_client_is_the_nearest_address_that_is_no_trusted_proxys(
    trusting: Proxy, origin: Origin, fields: list[str], client: str
) -> None:
    lane = {"name": "l", "tag": "gray", "match": [{"client_ip": {"equals": client}}]}
    use(trusting, compiled([LaneGroup.model_validate({"name": "g", "lanes": [lane]})]))
    for _ in range(2):  # the second time from memory
        assert (await trusting.get("/A/a", *fields)).body.startswith(b"gray")


SHARE = {"name": "l", "tag": "gray", "match": [{"cookie": "uid", "percent": 50, "issue": "30d"}]}


@pytest.mark.parametrize(
    ("scheme", "fields", "secure"),
    [
        ("http", [], False),
        ("http", ["X-Forwarded-Proto: HTTPS"], True),
        ("http", ["X-Forwarded-Proto: https, http"], True),
        ("http", ["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"], True),
        ("http", ["Forwarded: for=6.6.6.6;proto=https"], True),
        ("http", ["X-Forwarded-For: 6.6.6.6"], False),
        ("https", [], True),
        ("https", ["X-Forwarded-For: 6.6.6.6"], True),
        ("https", ["X-Forwarded-Proto: http"], False),  # a browser would not take the cookie
    ],
)
async def test_a_cookie_is_secure_where_the_client_speaks_tls(
    origin: Origin, scheme: str, fields: list[str], secure: bool
) -> None:
    proxy = Proxy()
    proxy.trust_loopback()
    proxy.scheme = scheme
    async with started(proxy, origin):
        group = {"name": "g", "lanes": [SHARE]}
        use(proxy, compiled([LaneGroup.model_validate(group)]))
        cookie = (await proxy.get("/A/a", *fields)).header("set-cookie")
        assert cookie is not None
        assert cookie.endswith("; Secure") is secure


# --- listeners on both families


@pytest.fixture
async def dual(origin: Origin) -> AsyncIterator[Proxy]:
    """A proxy on `[::]`, which IPv4 clients reach as well."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    proxy = Proxy()
    proxy.host = "::"
    proxy.limits = Limits(connections_per_client=2)
    async with started(proxy, origin):
        yield proxy


async def test_an_ipv4_client_of_an_ipv6_listener_has_its_ipv4_address(dual: Proxy, origin: Origin) -> None:
    lane = {"name": "l", "tag": "gray", "match": [{"client_ip": {"in": ["127.0.0.0/8"]}}]}
    use(dual, compiled([LaneGroup.model_validate({"name": "g", "lanes": [lane]})]))
    assert (await dual.get("/A/a", "X-Forwarded-For: 6.6.6.6")).body.startswith(b"gray")
    assert origin.header("x-forwarded-for") == "127.0.0.1"
    assert list(dual.listener.clients.by_ip) == ["127.0.0.1"]


async def test_it_may_be_trusted_by_that_address(dual: Proxy, origin: Origin) -> None:
    dual.router._trusted = (ip_network("127.0.0.0/8"),)
    await dual.get("/A/a", "X-Forwarded-For: 6.6.6.6")
    assert origin.header("x-forwarded-for") == "6.6.6.6, 127.0.0.1"


# --- stripped prefixes


async def redirected(proxy: Proxy, origin: Origin, target: str, *fields: str) -> Answer:
    """The answer of a service that redirects."""
    head = b"".join(field.encode() + b"\r\n" for field in fields)
    origin.script = answering(b"HTTP/1.1 302 Found\r\nContent-Length: 2\r\n" + head + b"\r\nok", closes=False)
    return await proxy.get(target)


PLACES = ("Location: /login", "Content-Location: http://shop.example/x", "Set-Cookie: s=1; Path=/; HttpOnly")


async def test_places_of_a_service_behind_a_stripped_prefix_are_under_it(proxy: Proxy, origin: Origin) -> None:
    answer = await redirected(proxy, origin, "/A/a", *PLACES)
    assert (answer.status, answer.body) == (302, b"ok")
    assert answer.header("location") == "/A/login"
    assert answer.header("content-location") == "http://shop.example/A/x"
    assert answer.header("set-cookie") == "s=1; Path=/A; HttpOnly"


@pytest.mark.parametrize(
    "route",
    [
        pytest.param(Route("/A", "a", strip_prefix=True, restore_prefix=False), id="switched off"),
        pytest.param(Route("/A", "a"), id="nothing stripped"),
        pytest.param(Route("/", "a", strip_prefix=True), id="nothing to strip"),
    ],
)
async def test_elsewhere_they_are_passed_on_as_they_came(proxy: Proxy, origin: Origin, route: Route) -> None:
    use(proxy, routes=[route])
    answer = await redirected(proxy, origin, "/A/a", *PLACES)
    assert answer.head.split(b"\r\n")[2:] == [field.encode() for field in PLACES]


async def test_a_service_is_told_of_a_prefix_that_was_taken_off(proxy: Proxy, origin: Origin) -> None:
    use(proxy, routes=[Route("/A/deep", "a", strip_prefix=True, restore_prefix=False), Route("/A", "a")])
    await proxy.get("//A/%64eep/x", "X-Forwarded-Prefix: /evil")
    assert (origin.header("x-forwarded-prefix"), origin.requests[-1][1].target) == ("/A/deep", b"/x")
    await proxy.get("/A/x", "X-Forwarded-Prefix: /evil")
    assert origin.header("x-forwarded-prefix") is None
