"""Routes of the configuration through sockets: what clients and services see of matches, rewrites, redirects and edits."""

from __future__ import annotations

from tests.support.configured import use
from tests.support.hostile import answering
from tests.support.origin import Origin
from tests.support.proxy import Proxy


async def test_a_service_sees_a_rewritten_path(proxy: Proxy, origin: Origin) -> None:
    use(proxy, {"rewrite": {"prefix": "/v2"}})
    assert (await proxy.get("/A/x?y=1")).body == b"base GET /v2/x?y=1"


async def test_places_of_a_rewritten_path_come_back(proxy: Proxy, origin: Origin) -> None:
    use(proxy, {"rewrite": {"prefix": "/v2"}})
    places = (b"Location: /v2/login", b"Set-Cookie: s=1; Path=/v2; HttpOnly", b"Content-Location: /other")
    head = b"".join(field + b"\r\n" for field in places)
    origin.script = answering(b"HTTP/1.1 302 Found\r\nContent-Length: 2\r\n" + head + b"\r\nok", closes=False)
    answer = await proxy.get("/A/x?y=1")
    assert (answer.status, answer.body) == (302, b"ok")
    assert [answer.header(name) for name in ("location", "set-cookie", "content-location")] == [
        "/A/login",
        "s=1; Path=/A; HttpOnly",
        "/other",
    ]


async def test_fields_of_responses_are_replaced_added_and_removed(proxy: Proxy, origin: Origin) -> None:
    use(proxy, {"response_headers": {"set": {"Server": "shop"}, "add": {"X-Seen": "2"}, "remove": ["X-Secret"]}})
    origin.script = answering(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nserver: Tomcat/9\r\nx-seen: 1\r\nX-Secret: 1\r\n\r\nok", closes=False
    )
    for _ in range(4):
        answer = await proxy.get("/A/x")
        assert answer.head.split(b"\r\n")[1:] == [
            b"Content-Length: 2",
            b"x-seen: 1",
            b"Server: shop",
            b"X-Seen: 2",
        ]
        assert answer.body == b"ok"
    # The gateway remembers heads that come again: without what other routes do to them.
    use(proxy, {})
    for _ in range(4):
        assert (await proxy.get("/A/x")).header("x-secret") == "1"
    use(proxy, {"response_headers": {"remove": ["X-Secret"]}})
    assert (await proxy.get("/A/x")).header("x-secret") is None
    use(proxy, {})
    assert (await proxy.get("/A/x")).header("x-secret") == "1"


async def test_a_redirect_needs_no_service(proxy: Proxy, origin: Origin) -> None:
    use(proxy, {"service": None, "redirect": {"prefix": "/B"}})
    answer = await proxy.get("/A/x?y=1")
    assert (answer.status, answer.header("location")) == (302, "/B/x?y=1")
    assert origin.connections == 0


async def test_a_client_over_its_rate_learns_when_to_come_again(proxy: Proxy, origin: Origin) -> None:
    use(proxy, {"rate_limits": [{"rate": 1, "per": "1h"}]})
    served = await proxy.get("/A/x")
    assert (served.status, served.header("ratelimit-policy")) == (200, '"client_ip";q=1;w=3600')
    refused = await proxy.get("/A/x")
    assert (refused.status, refused.header("retry-after"), refused.header("ratelimit")) == (
        429,
        "3600",
        '"client_ip";r=0;t=3600',
    )
    assert (len(origin.requests), proxy.traffic.refused) == (1, {"rate_limited": 1})


async def test_the_entry_answers_for_the_service_what_pages_may_do(proxy: Proxy, origin: Origin) -> None:
    use(proxy, {"cors": {"origins": ["https://shop.example"]}})
    asks = ("Origin: https://shop.example", "Access-Control-Request-Method: GET")
    client = await proxy.connect()
    await client.send("\r\n".join(["OPTIONS /A/x HTTP/1.1", "Host: x", *asks, "", ""]).encode())
    answer = await client.answer()
    assert (answer.status, answer.header("access-control-allow-origin")) == (204, "https://shop.example")
    assert origin.connections == 0
    origin.script = answering(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: *\r\n\r\nok", closes=False
    )
    await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.example\r\n\r\n")
    answer = await client.answer()
    assert answer.head.split(b"\r\n")[1:] == [
        b"Content-Length: 2",
        b"Vary: Origin",
        b"Access-Control-Allow-Origin: https://shop.example",
    ]
