"""Requests for which somebody is asked, through sockets: users' passwords, and authorization services that are not all nice."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import bcrypt
import grpc  # type: ignore[import-untyped]
import pytest
import trustme

from gateway.instance import Instance
from gateway.permission.calls import Calls
from gateway.permission.forward import MAX_BODY, MAX_FIELDS
from tests.integration.test_trailers import CLIENTS, ORIGINS, call, served
from tests.support.authorization import AuthorizationService
from tests.support.configured import use
from tests.support.gateway import Gateway
from tests.support.grpcservice import SERVICE, GrpcService
from tests.support.hostile import started
from tests.support.http2 import GET, POST, SocketClient
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
LANE = {"name": "demo", "lanes": [{"name": "gray", "tag": "gray", "match": [{"header": "x-user", "equals": "ann"}]}]}


class Service(AuthorizationService):
    """It keeps what it was asked, and says what the test has it say."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bytes] = []
        self.answer: bytes = OK + b"\r\n"
        self.holds: asyncio.Event | None = None
        self.lost = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            if self.holds is not None:
                waits = asyncio.ensure_future(self.holds.wait())
                gone = asyncio.ensure_future(reader.read(1))
                await asyncio.wait((waits, gone), return_when=asyncio.FIRST_COMPLETED)
                waits.cancel()
                if gone.done():
                    self.lost += 1
                    return
            writer.write(self.answer)
            await writer.drain()

    def fields(self, number: int = -1) -> dict[str, str]:
        lines = self.asked[number].decode().split("\r\n")[1:-2]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    found = Service()
    await found.start()
    yield found
    await found.close()


def forward(service: Service, **settings: Any) -> dict[str, Any]:
    return {"forward_auth": {"url": f"http://127.0.0.1:{service.port}/verify?by=gateway", "timeout": "20s", **settings}}


def basic(text: str) -> str:
    return f"Authorization: Basic {base64.b64encode(text.encode()).decode()}"


@pytest.fixture
def users(tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "users"
    file.write_text(f"alice:{bcrypt.hashpw(b'wonder', bcrypt.gensalt(4)).decode()}\n")
    return {"basic_auth": {"users": str(file), "realm": "shop"}}


def sent(origin: Origin) -> dict[str, str]:
    """The fields of the last request that the service got."""
    return {name.decode(): value.decode() for name, value in origin.requests[-1][1].headers}


# --- users with passwords


async def test_only_users_pass_and_the_service_learns_who_not_the_password(
    proxy: Proxy, origin: Origin, users: dict[str, Any]
) -> None:
    use(proxy, users)
    for headers in ((), (basic("alice:x"),), (basic("eve:wonder"),), ("Authorization: Basic !",)):
        refused = await proxy.get("/A/x", *headers)
        assert (refused.status, refused.header("www-authenticate")) == (401, 'Basic realm="shop", charset="UTF-8"')
    assert origin.requests == []
    for _ in range(2):
        assert (await proxy.get("/A/x", basic("alice:wonder"), "X-Forwarded-User: root", "X-A: 1")).status == 200
        fields = sent(origin)
        assert (fields["x-forwarded-user"], fields.get("authorization"), fields["x-a"]) == ("alice", None, "1")
    assert proxy.traffic.questions == {("basic_auth", "denied"): 2, ("basic_auth", "granted"): 1}
    assert proxy.traffic.refused == {"credentials_required": 4}


async def test_a_body_waits_for_the_answer_and_arrives_whole(
    proxy: Proxy, origin: Origin, users: dict[str, Any]
) -> None:
    use(proxy, users)
    body = b"x" * 300_000
    head = f"POST /A/x HTTP/1.1\r\nHost: x\r\n{basic('alice:wonder')}\r\n"
    for framing, coded in (
        (f"Content-Length: {len(body)}", body),
        ("Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)),
    ):
        client = await proxy.connect()
        await client.send(f"{head}{framing}\r\n\r\n".encode() + coded)
        assert (await client.answer("POST")).status == 200
        assert origin.requests[-1][2] == body


async def test_one_connection_goes_on_after_a_refusal(proxy: Proxy, origin: Origin, users: dict[str, Any]) -> None:
    use(proxy, users)
    client = await proxy.connect()
    for text, status in (("alice:x", 401), ("alice:wonder", 200), ("alice:wonder", 200), ("alice:x", 401)):
        await client.send(f"GET /A/x HTTP/1.1\r\nHost: x\r\n{basic(text)}\r\n\r\n".encode())
        assert (await client.answer()).status == status


async def test_streams_of_http2_are_asked_about_each_by_itself(origin: Origin, users: dict[str, Any]) -> None:
    proxy = Proxy()
    async with started(proxy, origin):
        use(proxy, users)
        client = await SocketClient().connect(proxy.listener.port)
        fields = [(b"authorization", basic(text)[15:].encode()) for text in ("alice:wonder", "alice:x", "alice:wonder")]
        found = await asyncio.gather(
            *[client.ask([*GET, field]) for field in fields],
            client.ask(GET),
            client.ask([*POST, fields[0]], b"y" * 200_000),
        )
        assert [response.status for response in found] == [200, 401, 200, 401, 200]
        assert b"y" * 200_000 in [body for _, _, body in origin.requests]
        client.close()


# --- an authorization service


async def test_the_service_is_asked_about_the_request_without_its_body(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls
) -> None:
    use(proxy, forward(service), calls=calls)
    lines = ("Cookie: a=1", "Authorization: Bearer t", "X-Secret: 1", "X-Forwarded-Uri: /public", "X-Real-IP: 1.1.1.1")
    answer = await proxy.ask(
        "\r\n".join(
            ["POST /A/%61dmin?q=%2F1 HTTP/1.1", "Host: Shop.example:80", *lines, "Content-Length: 4", "", "body"]
        ).encode()
    )
    assert (answer.status, origin.requests[-1][2]) == (200, b"body")
    assert service.asked[0].startswith(b"GET /verify?by=gateway HTTP/1.1\r\n")
    assert service.fields() == {
        "host": f"127.0.0.1:{service.port}",
        "x-forwarded-method": "POST",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "Shop.example:80",
        "x-forwarded-uri": "/A/admin?q=%2F1",
        "x-forwarded-for": "127.0.0.1",
        "accept-encoding": "identity",
        "via": "1.1 gray-gateway (asks)",
        "cookie": "a=1",
        "authorization": "Bearer t",
    }
    for _ in range(5):
        await proxy.get("/A/x")
    assert service.connections == 1


async def test_what_it_says_of_the_client_reaches_the_service_and_chooses_the_lane(
    origin: Origin, service: Service, calls: Calls
) -> None:
    proxy = Proxy()
    proxy.group = LANE
    async with started(proxy, origin):
        settings = forward(service, response_headers=["X-User", "X-Role"], client_headers=["set-cookie"])
        use(proxy, settings, calls=calls)
        service.answer = OK + b"x-user: ann\r\nX-Role: a\r\nX-Role: b\r\nX-Other: 1\r\nSet-Cookie: s=2\r\n\r\n"
        answer = await proxy.get("/A/x", "X-User: root", "x-role: admin", "X-Other: mine")
        assert (answer.status, answer.body[:4], answer.header("set-cookie")) == (200, b"gray", "s=2")
        fields = [(name, value) for name, value in origin.requests[-1][1].headers if name in (b"x-user", b"x-role")]
        assert fields == [(b"x-user", b"ann"), (b"x-role", b"a"), (b"x-role", b"b")]
        assert sent(origin)["x-other"] == "mine"
        # What it does not say, nobody does.
        service.answer = OK + b"\r\n"
        answer = await proxy.get("/A/x", "X-User: ann", "x_user: ann")
        assert (answer.body[:4], sent(origin).keys() & {"x-user", "x_user"}) == (b"base", set())
        assert answer.header("set-cookie") is None


@pytest.mark.parametrize("inspects", [False, True], ids=["streamed", "kept for rules"])
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("client", CLIENTS)
async def test_no_trailer_says_what_only_the_answer_may(
    client: str, origin: str, inspects: bool, service: Service, calls: Calls
) -> None:
    """Nor does it in another spelling, which some programs take for the same."""
    async with served(origin, inspects=inspects) as (proxy, server):
        inspected = {"inspect_body": 1000} if inspects else {}
        use(proxy, {**forward(service, response_headers=["X-User", "X-Role"]), **inspected}, calls=calls)
        service.answer = OK + b"X-User: ann\r\n\r\n"
        claims = [("x-user", "root"), ("x-role", "admin"), ("x_user", "root"), ("x-other", "1")]
        await call(client, proxy.listener.port, claims)
        assert server.got == [(b"hello", [("x-other", "1")])]
        assert len(service.asked) == 1


async def test_other_responses_are_the_clients(proxy: Proxy, origin: Origin, service: Service, calls: Calls) -> None:
    use(proxy, forward(service), calls=calls)
    service.answer = (
        b"HTTP/1.1 302 Found\r\nLocation: https://login.example/?to=%2FA\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nServer: x\r\n"
        b"Connection: keep-alive, X-Own\r\nKeep-Alive: 5\r\nX-Gray-Tag: gray\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nlogin"
    )
    answer = await proxy.get("/A/x")
    assert (answer.status, answer.body, origin.requests) == (302, b"login", [])
    assert answer.head.split(b"\r\n")[1:] == [
        b"Content-Length: 5", b"Connection: keep-alive", b"Location: https://login.example/?to=%2FA", b"Set-Cookie: a=1",
        b"set-cookie: b=2", b"Content-Type: text/plain",
    ]  # fmt: skip
    service.answer = (
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
    )
    answer = await proxy.get("/A/x")
    assert (answer.status, answer.header("www-authenticate"), answer.body) == (401, "Bearer", b"no")
    head = await proxy.ask(b"HEAD /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (head.status, head.header("content-length"), head.body) == (401, "2", b"")
    upload = await proxy.connect()
    await upload.send(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000)
    assert (await upload.answer()).status == 401
    assert proxy.traffic.replies == {("/A", 302): 1, ("/A", 401): 3}


BAD = {
    "an error": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
    "a bare CR in a field": OK + b"X-User: ann\rX-Admin: 1\r\n\r\n",
    "a NUL in a field": OK + b"X-User: ann\0\r\n\r\n",
    "a field without end": OK + b"X-User: " + b"a" * 20_000 + b"\r\n\r\n",
    "many long fields": OK + b"X-User: %b\r\n" % (b"a" * 4000) * (MAX_FIELDS // 4000 + 1) + b"\r\n",
    "a body that is too long": b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1)
    + b"x" * (MAX_BODY + 1),
    "a body that is cut off": b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "lengths that differ": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD)
async def test_what_is_no_answer_lets_nobody_pass(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls, name: str
) -> None:
    use(proxy, forward(service, response_headers=["X-User"]), calls=calls)
    service.answer = BAD[name]
    answer = await proxy.get("/A/x")
    assert (answer.status, json.loads(answer.body)["code"], origin.requests) == (503, "permission_unknown", [])
    assert proxy.traffic.questions == {("forward_auth", "failed"): 1}
    assert proxy.traffic.internal_errors == 0
    service.answer = OK + b"\r\n"
    assert (await proxy.get("/A/x")).status == 200


async def test_a_fold_in_a_field_makes_no_other_field(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls
) -> None:
    use(proxy, forward(service, response_headers=["X-User"]), calls=calls)
    service.answer = OK + b"X-User: ann\r\n\tX-Admin: 1\r\n\r\n"
    assert (await proxy.get("/A/x")).status == 200
    assert "x-admin" not in sent(origin)
    assert sent(origin)["x-user"].startswith("ann")


async def test_a_long_body_of_who_lets_pass_is_of_no_interest(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls
) -> None:
    use(proxy, forward(service), calls=calls)
    service.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY * 3) + b"x" * (MAX_BODY * 3)
    assert (await proxy.get("/A/x")).status == 200


async def test_one_that_is_not_there_or_too_slow_lets_nobody_pass(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls
) -> None:
    service.holds = asyncio.Event()
    use(proxy, forward(service, timeout="50ms"), calls=calls)
    assert (await proxy.get("/A/x")).status == 503
    await service.close()
    assert (await proxy.get("/A/x")).status == 503
    assert origin.requests == []


async def test_others_are_served_while_it_thinks_and_who_leaves_is_not_waited_for(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls
) -> None:
    service.holds = asyncio.Event()
    use(proxy, {**forward(service, timeout="1h"), "path": "/A/asked"}, {"path": "/A"}, calls=calls)
    client = await proxy.connect()
    await client.send(b"GET /A/asked HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: len(service.asked) == 1)
    assert (await proxy.get("/A/x")).status == 200
    client.close()
    await until(lambda: service.lost == 1)
    await until(lambda: proxy.traffic.in_flight == 0)
    assert calls.under_way == 0
    assert proxy.traffic.refused == {"client_gone": 1} or not proxy.traffic.refused


async def test_a_stop_does_not_wait_for_it(origin: Origin, service: Service, calls: Calls) -> None:
    service.holds = asyncio.Event()
    proxy = Proxy()
    async with started(proxy, origin):
        use(proxy, forward(service), calls=calls)
        client = await proxy.connect()
        await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: len(service.asked) == 1)
    await until(lambda: calls.under_way == 0)


async def test_a_cookie_of_one_client_never_goes_along_with_another(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls
) -> None:
    # By name: of an address, the usual jar would remember none.
    use(proxy, {"forward_auth": {"url": f"http://localhost:{service.port}/verify"}}, calls=calls)
    service.answer = OK + b"Set-Cookie: session=ann; Path=/\r\n\r\n"
    await proxy.get("/A/x")
    await proxy.get("/A/x")
    assert "cookie" not in service.fields()


async def test_what_pages_may_do_is_said_once(proxy: Proxy, origin: Origin, service: Service, calls: Calls) -> None:
    service.answer = b"HTTP/1.1 403 No\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 0\r\n\r\n"
    for settings, allowed in (
        ({}, [b"*"]),
        ({"cors": {"origins": ["https://shop.example"]}}, [b"https://shop.example"]),
    ):
        use(proxy, {**forward(service), **settings}, calls=calls)
        answer = await proxy.get("/A/x", "Origin: https://shop.example")
        lines = [line.split(b": ") for line in answer.head.split(b"\r\n")]
        assert [line[1] for line in lines if line[0] == b"Access-Control-Allow-Origin"] == allowed


async def test_it_is_not_asked_about_its_own_questions(proxy: Proxy, origin: Origin, calls: Calls) -> None:
    """A url that leads back here would ask about the question, and so on."""
    url = f"http://127.0.0.1:{proxy.listener.port}/A/verify"
    use(proxy, {"forward_auth": {"url": url}}, calls=calls)
    answer = await proxy.get("/A/x")
    assert (answer.status, origin.requests) == (503, [])
    assert proxy.traffic.refused == {"loop_detected": 1, "permission_unknown": 1}


async def test_a_new_configuration_asks_again(proxy: Proxy, origin: Origin, service: Service, calls: Calls) -> None:
    """What the old one has let pass, the new one may not."""
    service.holds = asyncio.Event()
    use(proxy, forward(service), calls=calls)
    client = await proxy.connect()
    await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: len(service.asked) == 1)
    use(proxy, forward(service, request_headers=["x-new"]), calls=calls)
    service.holds.set()
    assert (await client.answer()).status == 200
    assert len(service.asked) == 2


async def test_a_new_configuration_asks_again_with_all_that_the_client_has_sent(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls, users: dict[str, Any]
) -> None:
    """The password was taken out of what the service gets, not out of what the next one is asked."""
    service.holds = asyncio.Event()
    use(proxy, {**users, **forward(service, response_headers=["X-User"])}, calls=calls)
    client = await proxy.connect()
    await client.send(f"GET /A/x HTTP/1.1\r\nHost: x\r\n{basic('alice:wonder')}\r\nX-User: eve\r\n\r\n".encode())
    await until(lambda: len(service.asked) == 1)
    use(proxy, {**users, **forward(service)}, calls=calls)
    service.holds.set()
    assert (await client.answer()).status == 200
    fields = sent(origin)
    assert (fields["x-forwarded-user"], fields["x-user"], fields.get("authorization")) == ("alice", "eve", None)
    assert len(service.asked) == 2


async def test_twins_of_what_it_says_are_not_there_either(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls
) -> None:
    """A service that gets fields the CGI way reads X_User as X-User."""
    use(proxy, forward(service, response_headers=["X-User", "X_Role"]), calls=calls)
    service.answer = OK + b"X-User: ann\r\n\r\n"
    assert (await proxy.get("/A/x", "X_User: root", "x.user: root", "X-Role: root", "X_Role: root")).status == 200
    assert [value for _, value in origin.requests[-1][1].headers if value in (b"root", b"ann")] == [b"ann"]


async def test_who_may_not_pass_is_told_before_the_body_comes(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls
) -> None:
    use(proxy, forward(service), calls=calls)
    head = b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    service.answer = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
    for more in (b"", b"Expect: 100-continue\r\n"):
        client = await proxy.connect()
        await client.send(head + more + b"\r\n")
        answer = await client.answer()
        assert (answer.status, answer.header("connection"), origin.requests) == (403, "close", [])
    service.answer = OK + b"\r\n"
    client = await proxy.connect()
    await client.send(head + b"Expect: 100-continue\r\n\r\n")
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert len(service.asked) == 3
    await client.send(b"hello")
    assert (await client.answer()).status == 200


async def test_a_route_is_found_by_what_the_client_has_sent(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls, users: dict[str, Any]
) -> None:
    """Who asks is of the route: what is said then leads to no other one."""
    service.answer = OK + b"X-User: ann\r\n\r\n"
    ann = {"match": {"headers": {"x-user": "ann"}}, "service": "other"}
    use(proxy, ann, forward(service, response_headers=["X-User"]), calls=calls)
    assert (await proxy.get("/A/x")).status == 200
    asked = {**users, "match": {"headers": {"authorization": {"regex": "Basic .*"}}}}
    use(proxy, asked, {"service": "other"})
    assert (await proxy.get("/A/x", basic("alice:wonder"))).status == 200


async def test_rates_count_a_request_once_and_before_anybody_is_asked(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls
) -> None:
    use(proxy, {**forward(service), "rate_limits": [{"rate": 2, "per": "1h"}]}, calls=calls)
    assert [(await proxy.get("/A/x")).status for _ in range(3)] == [200, 200, 429]
    assert len(service.asked) == 2


async def test_tls_verifies_the_service(proxy: Proxy, origin: Origin, calls: Calls, tmp_path: Path) -> None:
    ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("auth.example").configure_cert(context)
    service = Service()
    await service.start(ssl=context)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    url = f"https://127.0.0.1:{service.port}/verify"
    try:
        for settings, status in (
            ({"server_name": "auth.example"}, 200),
            ({"server_name": "other.example"}, 503),
            ({}, 503),
        ):
            use(proxy, {"forward_auth": {"url": url, "ca": str(tmp_path / "ca.pem"), **settings}}, calls=calls)
            assert (await proxy.get("/A/x")).status == status
        use(proxy, {"forward_auth": {"url": url, "server_name": "auth.example"}}, calls=calls)
        assert (await proxy.get("/A/x")).status == 503
    finally:
        await service.close()


async def test_both_have_to_let_it_pass_passwords_first(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls, users: dict[str, Any]
) -> None:
    use(proxy, {**users, **forward(service, request_headers=["X-Forwarded-User", "Authorization"])}, calls=calls)
    assert (await proxy.get("/A/x", basic("alice:x"))).status == 401
    assert service.asked == []
    assert (await proxy.get("/A/x", basic("alice:wonder"), "X-Forwarded-User: eve")).status == 200
    assert (service.fields()["x-forwarded-user"], service.fields().get("authorization")) == ("alice", None)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", grpc.StatusCode.UNAUTHENTICATED),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", grpc.StatusCode.PERMISSION_DENIED),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", grpc.StatusCode.PERMISSION_DENIED),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", grpc.StatusCode.UNAVAILABLE),
        (OK + b"\r\n", grpc.StatusCode.OK),
    ],
)
async def test_calls_of_grpc_get_a_status(service: Service, calls: Calls, answer: bytes, status: Any) -> None:
    called = GrpcService()
    await called.start()
    proxy = Proxy()
    await proxy.serve(Instance("127.0.0.1", called.port))
    try:
        use(proxy, {"path": "/", **forward(service)}, calls=calls)
        service.answer = answer
        async with grpc.aio.insecure_channel(f"127.0.0.1:{proxy.listener.port}") as channel:
            call = channel.unary_unary(f"/{SERVICE}/Get")(b"hello", timeout=30)
            assert await call.code() is status
        assert service.fields()["x-forwarded-uri"] == f"/{SERVICE}/Get"
    finally:
        await proxy.close()
        await called.close()


# --- as a program


async def test_a_file_of_users_is_read_again_when_it_changes_and_not_when_it_is_broken(
    tmp_path: Path, origin: Origin
) -> None:
    """By each worker. What is wrong is said with the line, and not with what is in it."""
    file = tmp_path / "users"

    def write(*names: str) -> None:
        lines = [f"{name}:{bcrypt.hashpw(b'pass-' + name.encode(), bcrypt.gensalt(4)).decode()}\n" for name in names]
        file.write_text("".join(lines))

    write("alice")
    gateway = Gateway(tmp_path, origin)
    gateway.config["workers"] = 2
    gateway.config["routes"] = [{"path": "/A", "service": "a", "basic_auth": {"users": "users"}}]
    await gateway.run()

    async def status(name: str) -> set[int]:
        """What several connections get, which reach both workers."""
        found = set()
        for _ in range(8):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(f"GET /A/x HTTP/1.0\r\n{basic(f'{name}:pass-{name}')}\r\n\r\n".encode())
            found.add(int((await reader.read()).split(b" ", 2)[1]))
            writer.close()
        return found

    try:
        assert (await status("alice"), await status("bob")) == ({200}, {401})
        write("bob")
        await gateway.wait_revision(2)
        async with asyncio.timeout(30):
            while await status("bob") != {200}:
                await asyncio.sleep(0.02)
        assert await status("alice") == {401}
        file.write_text("bob:hunter2\n")
        (problem,) = await gateway.wait_reload_error()
        assert f"routes.0.basic_auth.users: {file}:1: what follows user 'bob' is not such a hash" in problem
        assert "hunter2" not in problem
        assert await status("bob") == {200}
    finally:
        await gateway.close()
