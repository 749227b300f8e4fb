"""What a web page of somebody else makes a browser send, and listeners that must not obey it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp import web

EVIL = "http://evil.example"


@dataclass(frozen=True)
class Attack:
    """Fields and body of a request, beside method and path; `Host` is the listener's own unless it is among the fields."""

    name: str
    fields: tuple[tuple[str, str], ...]
    body: bytes = b""
    methods: tuple[str, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def attacks(origin: str) -> Iterator[Attack]:
    """Every way in which a page reaches a listener whose own origin this is."""
    form = ("Content-Type", "application/x-www-form-urlencoded")
    cross = ("Sec-Fetch-Site", "cross-site")
    yield Attack(
        "form",
        (("Origin", EVIL), cross, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"), form),
        b"a=1",
        ("POST",),
    )
    yield Attack("form over plain http to the network", (("Origin", EVIL), form), b"a=1", ("POST",))
    yield Attack("form in a sandboxed frame", (("Origin", "null"), form), b"a=1", ("POST",))
    yield Attack("form without a field", (("Origin", "null"), form), b"", ("POST",))
    yield Attack(
        "form of files",
        (("Origin", EVIL), ("Content-Type", "multipart/form-data; boundary=x")),
        b"--x--\r\n",
        ("POST",),
    )
    yield Attack(
        "form as text/plain", (("Origin", "null"), ("Content-Type", "text/plain")), b'{"name": "x"}', ("POST",)
    )
    yield Attack(
        "fetch no-cors",
        (("Origin", EVIL), cross, ("Sec-Fetch-Mode", "no-cors"), ("Content-Type", "text/plain")),
        b"{}",
        ("POST",),
    )
    yield Attack("fetch no-cors of a blob", (("Origin", EVIL), cross, ("Sec-Fetch-Mode", "no-cors")), b"{}", ("POST",))
    yield Attack(
        "sendBeacon",
        (("Origin", EVIL), cross, ("Sec-Fetch-Mode", "no-cors"), ("Content-Type", "text/plain;charset=UTF-8")),
        b"{}",
        ("POST",),
    )
    yield Attack("fetch with a type of its own", (("Origin", EVIL), ("Content-Type", "application/json")), b"{}")
    yield Attack("fetch from another port", (("Origin", "http://127.0.0.1:1"), ("Sec-Fetch-Site", "same-site")), b"")
    yield Attack("fetch metadata alone", (cross, ("Content-Type", "application/json")), b"{}")
    yield Attack(
        "image",
        (cross, ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image"), ("Referer", EVIL + "/")),
        b"",
        ("GET",),
    )
    yield Attack("frame", (cross, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")), b"", ("GET",))
    yield Attack("old browser", (("Referer", EVIL + "/page"), form), b"a=1", ("POST",))
    yield Attack("two origins", (("Origin", origin), ("Origin", EVIL)))
    for name in ("evil.example", "127.0.0.1.evil.example:9900", "localhost.evil.example"):
        yield Attack(
            f"rebound {name}",
            (
                ("Host", name),
                ("Origin", f"http://{name}"),
                ("Sec-Fetch-Site", "same-origin"),
                ("Content-Type", "application/json"),
            ),
            b"{}",
        )
        yield Attack(f"rebound {name} by GET", (("Host", name), ("Sec-Fetch-Site", "same-origin")), b"", ("GET",))
    yield Attack("preflight", (("Origin", EVIL), ("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "content-type")), b"", ("OPTIONS",))  # fmt: skip


PLACES = {
    "group": "demo",
    "lane": "gray",
    "segment": "vips",
    "revision": "1",
    "id": "1",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "service": "a",
    "address": "127.0.0.1:1",
}


def routes(app: web.Application) -> list[tuple[str, str]]:
    """Every method and path of an application, the places in paths filled in."""
    found = set()
    for route in app.router.routes():
        resource = route.resource
        assert resource is not None
        path = resource.canonical
        for name, value in PLACES.items():
            path = path.replace(f"{{{name}}}", value)
        assert "{" not in path
        found.add((route.method, path))
    return sorted(found)


async def ask(
    port: int, method: str, target: str, fields: tuple[tuple[str, str], ...] = (), body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    """Status, fields (names in lower case) and body of the answer to exactly this request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    names = {name for name, _ in fields}
    lines = [f"{method} {target} HTTP/1.1", *([] if "Host" in names else [f"Host: 127.0.0.1:{port}"])]
    lines += [f"{name}: {value}" for name, value in fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body)
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
        first, *rest = head.decode("latin-1").split("\r\n")
        found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        content = b"" if method == "HEAD" else await reader.readexactly(int(found.get("content-length", 0)))
    writer.close()
    return int(first.split()[1]), found, content
