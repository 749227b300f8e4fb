"""The console's files: what is served, under which policy, and that the libraries among them are what they say."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import tomllib
from pathlib import Path

import pytest
from aiohttp import web

import gateway.web.pages
from gateway.routing import decision
from gateway.rules.conditions import NAMED_SOURCES, PLAIN_SOURCES
from gateway.rules.operators import OPERATORS
from gateway.web.pages import POLICY, console_files, console_paths, console_routes
from gateway.web.server import WebServer
from tests.support.strangers import ask

HERE = Path(gateway.web.pages.__file__).with_name("console")
VENDOR = HERE / "vendor"
MANIFEST = json.loads((VENDOR / "manifest.json").read_text())
OWN = sorted(path for path in HERE.rglob("*") if path.suffix in (".js", ".html", ".css") and path.parent != VENDOR)


@pytest.mark.parametrize("entry", MANIFEST["files"], ids=lambda entry: str(entry["file"]))
def test_a_library_is_the_published_file_but_for_the_names_of_its_imports(entry: dict[str, str]) -> None:
    """A browser knows no `preact`, and an import map would be a script of the document: so imports name files."""
    text = (VENDOR / entry["file"]).read_text()
    for name, file in MANIFEST["imports"].items():
        text = text.replace(f'from"{file}"', f'from"{name}"')
    assert hashlib.sha256(text.encode()).hexdigest() == entry["sha256"]
    assert entry["license"] in ("MIT", "Apache-2.0")
    assert re.fullmatch(r"\d+\.\d+\.\d+", entry["version"])


def test_every_library_is_in_the_manifest_with_its_license() -> None:
    assert {path.name for path in VENDOR.glob("*.js")} == {entry["file"] for entry in MANIFEST["files"]}
    packages = {entry["package"].removeprefix("@preact/").removesuffix("-core") for entry in MANIFEST["files"]}
    assert {path.name for path in VENDOR.glob("LICENSE-*")} == {f"LICENSE-{name}" for name in packages}


def test_all_that_a_browser_loads_is_small() -> None:
    contents = [file.read_bytes() for file in console_files().values()]
    assert sum(len(gzip.compress(content)) for content in contents) <= 90 << 10
    assert sum(map(len, contents)) <= 240 << 10


@pytest.mark.parametrize("path", OWN, ids=lambda path: str(path.relative_to(HERE)))
def test_nothing_makes_markup_of_texts_or_comes_from_elsewhere(path: Path) -> None:
    text = path.read_text()
    assert (
        re.findall(
            r"innerHTML|outerHTML|insertAdjacent|dangerously|document\.write|eval\(|new Function|DOMParser", text
        )
        == []
    )
    assert [
        url for url in re.findall(r"https?://[\w.]+", text) if url not in ("http://shop.example", "http://127.0.0.1")
    ] == []
    if path.suffix == ".html":
        assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text) == []


def test_the_wheel_has_every_file() -> None:
    patterns = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["gateway"]
    package = HERE.parent.parent
    packed = {path for pattern in patterns for path in package.glob(pattern)}
    assert {package / "web" / "console" / name for name in console_files()} <= packed


async def test_files_are_served_with_their_type_and_policy_and_sent_once() -> None:
    app = web.Application()
    app.add_routes(console_routes("release"))
    server = WebServer(app, "127.0.0.1", 0, "a test")
    await server.start()
    try:
        types = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
        for path in console_paths():
            status, fields, body = await ask(server.port, "GET", path)
            ending = Path(path).suffix or ".html"
            assert (status, fields["content-type"]) == (200, f"{types[ending]}; charset=utf-8"), path
            assert fields["content-security-policy"] == POLICY
            assert fields["cache-control"] == "no-cache"
            assert fields["x-content-type-options"] == "nosniff"
            if path == "/":
                assert b'data-server="release"' in body
            status, _, body = await ask(server.port, "GET", path, (("If-None-Match", fields["etag"]),))
            assert (status, body) == (304, b"")
            status, packed, body = await ask(server.port, "GET", path, (("Accept-Encoding", "gzip, br"),))
            assert (status, packed["content-encoding"], packed["vary"]) == (200, "gzip", "Accept-Encoding")
            assert hashlib.sha256(gzip.decompress(body)).hexdigest()[:16] == fields["etag"].strip('"')
            assert packed["etag"] != fields["etag"]
        for path in (
            "/console/",
            "/console/../pages.py",
            "/console/vendor/manifest.json",
            "/console/index.html",
            "/console/%2e%2e/guard.py",
        ):
            assert (await ask(server.port, "GET", path))[0] == 404
    finally:
        await server.close()


def test_every_source_of_a_tag_has_its_word() -> None:
    words = (HERE / "words.js").read_text()
    sources = [value for name, value in vars(decision).items() if name.startswith("SOURCE_")]
    assert len(sources) > 5
    assert [source for source in sources if f" source_{source}: [" not in words] == []


def test_the_form_of_a_lane_has_every_source_and_every_operator() -> None:
    form = (HERE / "pages" / "laneform.js").read_text()
    named, plain, operators = (
        re.findall(r'"(\w+)"', re.search(rf"const {name} = \[(.*?)\]", form)[1])  # type: ignore[index]
        for name in ("NAMED", "PLAIN", "OPERATORS")
    )
    assert (named, plain, operators) == (list(NAMED_SOURCES), list(PLAIN_SOURCES), list(OPERATORS))
    words = (HERE / "words.js").read_text()
    assert [name for name in operators if f" op_{name}: [" not in words] == []
