"""A window on a console, and a gateway that has something to show."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import ClientSession
from playwright.async_api import ConsoleMessage, Locator, Page, expect

from tests.support.gateway import Gateway
from tests.support.origin import Origin

RULES = """\
# Kept by the team.
lane_groups:
  - name: shop
    services: [a]
    lanes:
      - name: gray
        tag: gray
        owner: team-shop
        match: [{param: group, equals: gray}]
      - name: share
        tag: gray
        expires: 2099-03-31
        match: [{cookie: uid, percent: 5}]   # a few
      - name: internal
        tag: blue
        enabled: false
        match_mode: any
        match: [{header: X-User, in: [alice]}, {not: {method: {equals: POST}}}]
"""
AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
CHECK = """async (options) => (await axe.run(options)).violations
    .filter((item) => ["serious", "critical"].includes(item.impact))
    .map((item) => `${item.id}: ${item.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`)"""
"""What axe-core finds that keeps people out."""
FOREIGN = """<img src=x onerror="window.hit=1">'"><script>window.hit=2</script>&amp;{{7*7}}${window.hit=3}"""
"""What must stay a text wherever it is shown."""


class Console:
    """A page, and what the browser complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.troubles: list[str] = []
        self.expected: list[str] = []
        """Parts of complaints that a test provokes: a refused request is always told."""
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.set_default_timeout(20_000)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in self.expected):
            self.troubles.append(message.text)

    async def open(self, port: int, target: str = "") -> None:
        """Opens a deep link in a new load of the page."""
        await self.page.goto("about:blank")
        await self.page.goto(f"http://127.0.0.1:{port}/{target}")

    async def follow(self, target: str) -> None:
        """Goes to a deep link within the page."""
        script = """(target) => new Promise((done) => {
            if (location.hash === target) return done();
            addEventListener("hashchange", () => requestAnimationFrame(() => requestAnimationFrame(done)), {once: true});
            location.hash = target;
        })"""
        await self.page.evaluate(script, target)

    async def sees(self, *texts: str) -> None:
        """Waits until the page shows each of the texts."""
        for text in texts:
            await expect(self.page.locator("main")).to_contain_text(text)

    def button(self, name: str) -> Locator:
        """A button by its name: the one of the open dialog, if there is one."""
        return self.page.get_by_role("button", name=name, exact=True)

    async def click(self, name: str) -> None:
        await self.button(name).first.click()

    async def confirm(self, name: str, reason: str = "") -> None:
        """Agrees in the dialog that is open."""
        dialog = self.page.get_by_role("dialog")
        if reason:
            await dialog.get_by_label("Reason").fill(reason)
        await dialog.locator("footer").get_by_role("button", name=name, exact=True).click()
        await expect(dialog).to_have_count(0)

    async def command(self) -> str:
        """The first equivalent command."""
        return await self.page.locator(".command code").first.inner_text()

    async def is_accessible(self, *rules: str) -> None:
        """axe-core finds nothing serious on the page as it is now (https://github.com/dequelabs/axe-core), by some rules or all."""
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(AXE)
        found = await self.page.evaluate(
            CHECK, {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
        )
        assert found == [], self.page.url

    async def is_inert(self) -> None:
        """Nothing of a foreign text has become a part of the page."""
        assert await self.page.evaluate("window.hit") is None
        assert await self.page.locator("img[src=x], main script").count() == 0


class Served(Gateway):
    """A gateway with `RULES`."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        super().__init__(folder, origin)
        self.config["state"] = "state"
        self.config["registry"]["services"]["a"][0]["metadata"] = {"zone": "north", "note": FOREIGN}
        self.rules = RULES

    async def run(self) -> None:
        self.write("gateway.yaml", self.config)
        self.write("rules/gray.yaml", self.rules)
        await self.start("serve", "-c", "gateway.yaml")
        await self.wait_ok(self.admin)

    @property
    def file(self) -> str:
        return (self.folder / "rules" / "gray.yaml").read_text()

    async def api(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON that the admin API responds with."""
        async with ClientSession() as session:
            async with session.request(method, f"http://127.0.0.1:{self.admin}{path}", json=body) as response:
                return await response.json()

    async def has_records(self, count: int) -> bool:
        """Whether so many requests, or more, have their records."""
        return len((await self.api("GET", "/api/v1/requests"))["requests"]) >= count


async def becomes(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits for something outside the browser."""
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)
