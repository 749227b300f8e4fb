"""The console of a release server: orders as they go on, and everything that a person may do to them, with a reason."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import expect

from gateway.release.api.server import ReleaseServer
from gateway.release.states import State
from tests.console.support import FOREIGN, Console
from tests.support.release import WORKFLOW
from tests.support.releases import Bench

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Desk:
    """A release server over fakes that goes on only when a test says so."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.server = ReleaseServer(bench.server)
        self.server._server.port = 0

    @property
    def port(self) -> int:
        return self.server.port

    async def waiting(self, reason: str = "new prices") -> int:
        """An order that waits for somebody."""
        from gateway.release.plan import Wish

        order = await self.bench.server.run(Wish({"a": None}, "alice", reason, images={(None, "backend"): "shop:1"}))
        await self.bench.drive(order.id)
        return order.id


@pytest_asyncio.fixture(loop_scope="session")
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with Bench(tmp_path) as bench:
        desk = Desk(bench)
        await desk.server.start()
        yield desk
        await desk.server.close()


@pytest_asyncio.fixture(loop_scope="session")
async def signed(desk: Desk, console: Console) -> Console:
    """A console whose reader has said who she is."""
    await console.open(desk.port)
    await console.page.evaluate("localStorage.setItem('author', 'alice')")
    return console


async def act(console: Console, name: str) -> None:
    await console.click(name)
    await console.confirm(name, reason="because of a test")


async def audit(desk: Desk) -> list[tuple[str, str, str]]:
    lines: list[Any] = await desk.bench.store.audit()
    return [(line.actor, line.action, line.reason) for line in lines]


async def test_every_page_loads_and_fits_in_every_look(desk: Desk, signed: Console) -> None:
    number = await desk.waiting()
    for width, language, theme in ((1440, "en", "light"), (360, "zh", "dark")):
        await signed.page.set_viewport_size({"width": width, "height": 800})
        await signed.page.evaluate(
            f"localStorage.setItem('language', '{language}'); localStorage.setItem('theme', '{theme}')"
        )
        await signed.page.reload()
        for target in ("#/releases", f"#/releases/{number}", "#/environments", "#/audit"):
            await signed.follow(target)
            await expect(signed.page.locator(".command").first).to_be_visible()
            await expect(signed.page.locator("main .panel").first).to_be_visible()
            assert await signed.page.evaluate("document.documentElement.scrollWidth") <= width, (target, width)
            await signed.is_accessible(*(["color-contrast"] if theme == "dark" else []))


async def test_an_order_is_approved_and_seen_to_go_on(desk: Desk, signed: Console) -> None:
    number = await desk.waiting()
    await signed.open(desk.port, "#/releases")
    await signed.sees("new prices", "alice")
    await signed.page.get_by_role("link", name=str(number), exact=True).click()
    await signed.sees("approve", "waits")
    await expect(signed.page.locator(".badge", has_text="live")).to_be_visible()
    await act(signed, "Approve")
    assert ("alice", "order.approve", "because of a test") in await audit(desk)
    await desk.bench.settle(number)
    await expect(signed.page.locator(".panel").first).to_contain_text("done")
    await expect(signed.button("Abort")).to_have_count(0)
    await signed.open(desk.port, "#/audit")
    await signed.sees("because of a test", "approve")
    await signed.open(desk.port, "#/environments")
    await signed.sees("prod", "running")


async def test_the_probes_of_a_step_are_shown(tmp_path: Path, console: Console) -> None:
    probe = "{path: /A/x?group=gray, count: 3, headers: {X-User: '<b>alice</b>'}, body: 'gray'}"
    verified = WORKFLOW.replace("      - approve", f"      - verify: {{probes: [{probe}]}}\n      - approve")
    async with Bench(tmp_path, {"workflows/release.yaml": verified}) as bench:
        desk = Desk(bench)
        await desk.server.start()
        number = await desk.waiting()
        await console.open(desk.port, f"#/releases/{number}")
        await console.page.get_by_text("What is checked").click()
        await console.sees("3 × GET /A/x?group=gray X-User: <b>alice</b> → 200, gray")
        await desk.server.close()


async def test_an_order_is_paused_resumed_and_aborted(desk: Desk, signed: Console) -> None:
    number = await desk.waiting()
    await signed.open(desk.port, f"#/releases/{number}")
    for name in ("Pause", "Resume", "Abort"):
        await act(signed, name)
    order = desk.bench.server.ledger.active.get(number) or await desk.bench.store.order(number)
    assert order is not None
    assert order.state in (State.STOPPING, State.CANCELED)
    assert [line for line in await audit(desk) if line[2] == "because of a test"] != []


async def test_an_order_is_refused_and_retried(desk: Desk, signed: Console) -> None:
    number = await desk.waiting()
    await signed.open(desk.port, f"#/releases/{number}")
    await act(signed, "Refuse")
    await desk.bench.server.engine.look(number)
    await signed.sees("failed")
    await act(signed, "Retry")
    await expect(signed.button("Retry")).to_have_count(0)


async def test_a_reason_is_wanted_and_the_command_has_it(desk: Desk, signed: Console) -> None:
    number = await desk.waiting()
    await signed.open(desk.port, f"#/releases/{number}")
    await signed.click("Approve")
    dialog = signed.page.get_by_role("dialog")
    await dialog.locator("footer").get_by_role("button", name="Approve").click()
    await expect(dialog).to_be_visible()
    box = await dialog.bounding_box()
    assert box is not None
    assert abs(box["x"] * 2 + box["width"] - 1440) < 20  # in the middle, whatever it was opened from
    await dialog.get_by_label("Reason").fill("it's fine")
    await expect(dialog.locator(".command code")).to_have_text(
        f"gateway release approve {number} --reason 'it'\\''s fine' --server 127.0.0.1:{desk.port} --as alice"
    )
    await signed.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)


async def test_an_environment_is_locked_and_unlocked(desk: Desk, signed: Console) -> None:
    await signed.open(desk.port, "#/environments")
    await act(signed, "Lock")
    await signed.sees("alice: because of a test")
    await act(signed, "Unlock")
    await expect(signed.page.locator("main")).not_to_contain_text("because of a test")


async def test_an_earlier_version_comes_back(desk: Desk, signed: Console) -> None:
    for _ in range(2):
        await desk.bench.settle(await desk.waiting())
    await signed.open(desk.port, "#/environments")
    await act(signed, "Undo")
    await expect(signed.page).to_have_url(f"http://127.0.0.1:{desk.port}/#/releases/3")
    await signed.sees("undo", "because of a test")


async def test_foreign_texts_stay_texts(desk: Desk, signed: Console) -> None:
    await signed.page.evaluate("localStorage.setItem('author', 'alice')")
    number = await desk.waiting(FOREIGN)
    for target in ("#/releases", f"#/releases/{number}", "#/audit"):
        await signed.open(desk.port, target)
        await signed.sees(FOREIGN)
        await signed.is_inert()
