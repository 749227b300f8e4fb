"""HTTP/2 as others speak it: h2spec, curl, nghttp, h2load and Chromium. What is not on the machine is skipped, loudly."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import shutil
import ssl
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from playwright.async_api import async_playwright

from gateway.demo.registries import find_server
from gateway.tls.certificates import Certificate, ListenerTLS
from tests.support.hostile import started
from tests.support.origin import Origin
from tests.support.proxy import Proxy

pytestmark = pytest.mark.real

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
CA = trustme.CA()

NOT_OURS = {
    "Sends a dynamic table size update": (
        "it makes the table larger than the 0 bytes that we have announced, which RFC 7541 §4.2 does not allow"
    ),
    "Sends multiple dynamic table size update": "the same",
    "Sends invalid connection preface": "without TLS, what is no preface is HTTP/1.1, and gets a 400 of that",
}
"""Cases of h2spec that fail, and why they are to."""


def needs(program: str) -> str:
    found = find_server(program) or shutil.which(program)
    if not found:
        pytest.skip(
            f"HTTP/2 IS NOT TESTED with {program}: it is not on this machine (make servers, or the package manager)"
        )
    return str(found)


async def run(*command: str) -> str:
    """What a program says, which must succeed or be one that counts its failures."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(240):
        said, _ = await process.communicate()
    return said.decode()


@pytest.fixture(params=["plain", "tls"])
async def proxy(request: pytest.FixtureRequest, origin: Origin, tmp_path: Path) -> AsyncIterator[Proxy]:
    proxy = Proxy()
    if request.param == "tls":
        issued = CA.issue_cert("localhost", "127.0.0.1")
        (tmp_path / "cert").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(tmp_path / "key"))
        CA.cert_pem.write_to_path(str(tmp_path / "ca"))
        proxy.scheme = "https"
        proxy.tls = ListenerTLS([Certificate(str(tmp_path / "cert"), str(tmp_path / "key"))], alpn=["h2", "http/1.1"])
    async with started(proxy, origin):
        yield proxy


async def test_h2spec(proxy: Proxy, tmp_path: Path) -> None:
    h2spec = needs("h2spec")
    options = ["-t", "-k"] if proxy.tls is not None else []
    report = tmp_path / "report.xml"
    said = await run(
        h2spec, *options, "-h", "127.0.0.1", "-p", str(proxy.listener.port), "-P", "/A/x", "-o", "5", "-j", str(report)
    )
    cases = list(ET.parse(report).iter("testcase"))
    assert len(cases) > 140, said
    failed = {
        case.get("classname") or ""
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }
    assert failed <= set(NOT_OURS), said
    assert ("Sends invalid connection preface" in failed) is (proxy.tls is None)
    assert proxy.traffic.internal_errors == 0


async def test_curl(proxy: Proxy, tmp_path: Path) -> None:
    curl = needs("curl")
    if "HTTP2" not in await run(curl, "--version"):
        pytest.skip("HTTP/2 IS NOT TESTED with curl: this one has none")
    scheme, way = (
        ("https", ["--http2", "--cacert", str(tmp_path / "ca")]) if proxy.tls else ("http", ["--http2-prior-knowledge"])
    )
    url = f"{scheme}://127.0.0.1:{proxy.listener.port}/A/x?group=gray"
    (tmp_path / "body").write_bytes(b"x" * 300_000)
    # One URL each: curl 7.88 cannot use a connection of prior knowledge twice.
    said = await run(curl, "-s", *way, "-w", " %{http_version}", url)
    assert said == "gray GET /x?group=gray 2"
    said = await run(curl, "-s", *way, "-w", " %{http_version}", url, "-d", f"@{tmp_path / 'body'}")
    assert said == "gray POST /x?group=gray 2"


async def test_nghttp_and_h2load(proxy: Proxy) -> None:
    scheme = "https" if proxy.tls else "http"
    url = f"{scheme}://127.0.0.1:{proxy.listener.port}/A/x"
    said = await run(needs("nghttp"), "-v", "-m", "5", url)
    assert said.count(":status: 200") == 5
    assert "error_code" not in said.replace("error_code=NO_ERROR", "")
    said = await run(needs("h2load"), "-n", "300", "-c", "3", "-m", "10", url)
    assert "300 succeeded, 0 failed, 0 errored" in said


@pytest.mark.parametrize("proxy", ["tls"], indirect=True)
async def test_chromium(proxy: Proxy, origin: Origin) -> None:
    """Over TLS: pages, and a WebSocket, for which it uses the connection of the page (RFC 8441)."""
    if CHROMIUM is None:
        pytest.skip("HTTP/2 IS NOT TESTED with Chromium: it is not on this machine (apt-get install chromium)")
    url = f"https://localhost:{proxy.listener.port}"
    origin.script = serve
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--ignore-certificate-errors"]
        )
        page = await (await browser.new_context(ignore_https_errors=True)).new_page()
        response = await page.goto(f"{url}/A/x?group=gray")
        assert response is not None
        assert (response.status, await response.text()) == (200, "/x?group=gray")
        protocol = await page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol")
        bodies = await page.evaluate(
            "Promise.all([...Array(20).keys()].map(n => fetch(`/A/${n}`).then(response => response.text())))"
        )
        said = await page.evaluate(
            """url => new Promise((resolve, reject) => {
                const socket = new WebSocket(url)
                socket.onopen = () => socket.send('hello')
                socket.onmessage = event => { socket.close(); resolve(event.data) }
                socket.onerror = () => reject(new Error('it failed'))
            })""",
            f"wss://localhost:{proxy.listener.port}/A/socket",
        )
        await browser.close()
    assert (protocol, said) == ("h2", "hello")
    assert bodies == [f"/{number}" for number in range(20)]
    assert proxy.traffic.http2_started >= 22


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says which path it was asked for; a WebSocket (RFC 6455) says what it hears."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        if fields.get(b"upgrade") == b"websocket":
            break
        path = head.split(b" ")[1]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(path) + path)
    key = re.search(rb"(?i)\r\nsec-websocket-key: (\S+)", head)
    assert key is not None
    accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
    writer.write(switch + accept + b"\r\n\r\n")
    while True:
        first, length = await reader.readexactly(2)
        mask = await reader.readexactly(4)
        data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(await reader.readexactly(length & 0x7F)))
        writer.write(bytes((first, len(data))) + data)
        if first & 0x0F == 8:
            return


def test_tls_is_good_enough_for_http_2() -> None:
    """RFC 9113 §9.2: at least 1.2, and no renegotiation and compression."""
    context = ListenerTLS([]).context
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
