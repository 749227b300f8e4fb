"""Makes the screenshots of the README: `python -m tests.console.screenshots`, with Chromium installed."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import async_playwright, expect

from tests.console.conftest import ARGUMENTS, CHROMIUM
from tests.console.support import Served
from tests.support.origin import Origin

FOLDER = Path(__file__).parents[2] / "docs" / "images"
RULES = """\
lane_groups:
  - name: demo
    services: [a]
    lanes:
      - {name: testers, tag: gray, owner: team-shop, match: [{param: group, equals: gray}]}
      - name: five-percent
        tag: gray
        owner: team-shop
        expires: 2099-03-31
        schedule: {start: START, steps: [1, 2], over: 6h}
        guard: {errors: +2%, window: 10s, min_requests: 20, then: close}
        mirror: {percent: 40, compare: {body: json}}
        match: [{cookie: uid, percent: 5}]
      - {name: partners, tag: blue, enabled: false, match: [{header: X-Partner, in: [acme, globex]}]}
"""
PAGES = {"lanes": "#/lanes", "lane": "#/lanes/demo/five-percent", "explain": "#/explain?url=%2FA%2Fa%3Fgroup%3Dgray"}


async def answer(origin: Origin, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sells tea; the gray version has a new price for every sixth customer."""
    is_gray = writer.get_extra_info("sockname")[1] == origin.ports["gray"]
    for number in count():
        await reader.readuntil(b"\r\n\r\n")
        price = 4.75 if is_gray and number % 6 == 0 else 4.5
        body = json.dumps({"item": "tea", "price": price, "stock": 12}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)


async def main() -> None:
    """Starts a gateway, sends it some requests, and takes a picture of each page."""
    FOLDER.mkdir(exist_ok=True)
    origin = Origin()
    await origin.start()
    origin.script = partial(answer, origin)
    with TemporaryDirectory() as folder:
        gateway = Served(Path(folder), origin)
        start = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(time.time() - 7200))
        gateway.rules = RULES.replace("START", start)
        gateway.config["registry"]["services"]["a"][0]["metadata"] = {"version": "1.4.1"}
        gateway.config["registry"]["services"]["a"][1]["metadata"] = {"version": "1.5.0"}
        await gateway.run()
        # As long as lines of the last minutes need to be lines.
        for number in range(600):
            await gateway.ask("/A/a" if number % 9 else "/A/a?group=gray")
            await asyncio.sleep(0.05 + 0.03 * (number // 100 % 2))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = await browser.new_page(viewport={"width": 1200, "height": 600}, locale="en-US", color_scheme="light")
            for name, target in PAGES.items():
                await page.goto("about:blank")
                await page.goto(f"http://127.0.0.1:{gateway.admin}/{target}")
                await page.get_by_text("five-percent").first.wait_for()
                await expect(page.get_by_text("Loading")).to_have_count(0)
                await page.screenshot(path=FOLDER / f"console-{name}.png", full_page=True)
            await browser.close()
        await gateway.close()
    await origin.close()


if __name__ == "__main__":
    asyncio.run(main())
