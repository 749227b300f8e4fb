"""The console in a real Chromium. Skipped loudly where there is none: `apt-get install chromium`."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.console.support import Console, Served
from tests.support.origin import Origin

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests."""
    if CHROMIUM is None:
        pytest.skip("THE CONSOLE IS NOT TESTED: there is no chromium (apt-get install chromium, or set CHROMIUM)")
    async with async_playwright() as playwright:
        playwright.selectors.set_test_id_attribute("data-test")
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def console(browser: Browser) -> AsyncIterator[Console]:
    """A window of its own. Whatever the console of the browser has said by the end is a failure."""
    context = await browser.new_context(locale="en-US", viewport={"width": 1440, "height": 900})
    console = Console(await context.new_page())
    yield console
    await context.close()
    assert console.troubles == []


@pytest_asyncio.fixture(loop_scope="session")
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """A running gateway in front of an origin, with lanes of every kind."""
    async with _served(tmp_path) as gateway:
        yield gateway


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """The same for all tests that leave it as it was."""
    async with _served(tmp_path_factory.mktemp("shared")) as gateway:
        yield gateway


@asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[Served]:
    origin = Origin()
    await origin.start()
    gateway = Served(folder, origin)
    await gateway.run()
    yield gateway
    await gateway.close()
    await origin.close()
