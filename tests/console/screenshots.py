"""Makes the screenshots of the README: `python -m tests.console.screenshots`, with Chromium installed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import async_playwright

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
      - {name: five-percent, tag: gray, owner: team-shop, expires: 2027-03-31, match: [{cookie: uid, percent: 5}]}
      - {name: partners, tag: blue, enabled: false, match: [{header: X-Partner, in: [acme, globex]}]}
"""
PAGES = {"lanes": "#/lanes", "explain": "#/explain?url=%2FA%2Fa%3Fgroup%3Dgray"}


async def main() -> None:
    """Starts a gateway, sends it some requests, and takes a picture of each page."""
    FOLDER.mkdir(exist_ok=True)
    origin = Origin()
    await origin.start()
    with TemporaryDirectory() as folder:
        gateway = Served(Path(folder), origin)
        gateway.rules = RULES
        gateway.config["registry"]["services"]["a"][0]["metadata"] = {"version": "1.4.1"}
        gateway.config["registry"]["services"]["a"][1]["metadata"] = {"version": "1.5.0"}
        await gateway.run()
        for number in range(400):
            await gateway.ask("/A/a" if number % 9 else "/A/a?group=gray")
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = await browser.new_page(viewport={"width": 1200, "height": 600}, locale="en-US", color_scheme="light")
            for name, target in PAGES.items():
                await page.goto("about:blank")
                await page.goto(f"http://127.0.0.1:{gateway.admin}/{target}")
                await page.get_by_text("five-percent").first.wait_for()
                await page.screenshot(path=FOLDER / f"console-{name}.png", full_page=True)
            await browser.close()
        await gateway.close()
    await origin.close()


if __name__ == "__main__":
    asyncio.run(main())
