"""Events of guards on their way to a webhook: in order, with the token, a few tries each, and nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from gateway.control.guard import webhook
from gateway.control.guard.webhook import MOST, Webhook
from gateway.settings.guard import GuardSettings
from tests.support.wait import until

TOKEN = "a-secret-of-the-operators"


class Receiver:
    """Keeps what is posted, with its authorization, and responds with the statuses that it is given, then with 204."""

    def __init__(self) -> None:
        self.got: list[tuple[Any, str | None]] = []
        self.statuses: list[int] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.got.append((await request.json(), request.headers.get("Authorization")))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"{site.name}/hook"  # type: ignore[attr-defined]
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def hook(receiver: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Webhook]:
    monkeypatch.setattr(webhook, "PAUSES", (0.0, 0.0))
    settings = GuardSettings(webhook=receiver.url, token=TOKEN)
    hook = Webhook(lambda: settings)
    task = asyncio.get_running_loop().create_task(hook.run())
    yield hook
    task.cancel()


async def test_events_are_posted_in_their_order_with_the_token(receiver: Receiver, hook: Webhook) -> None:
    hook.tell({"n": 1})
    hook.tell({"n": 2})
    await until(lambda: hook.counts["delivered"] == 2)
    assert receiver.got == [({"n": number}, f"Bearer {TOKEN}") for number in (1, 2)]


async def test_an_event_is_tried_again_a_few_times_and_then_given_up(
    receiver: Receiver, hook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.statuses = [500, 503, 429, 500]
    hook.tell({"n": 1})
    hook.tell({"n": 2})
    await until(lambda: sum(hook.counts.values()) == 2)
    assert [body["n"] for body, _ in receiver.got] == [1, 1, 1, 2, 2]
    assert hook.counts == {"delivered": 1, "lost": 1}
    assert [item.getMessage() for item in caplog.records if item.name == "gateway.guard"] == [
        "an event of a guard was not delivered to its webhook: status 429"
    ]


async def test_an_event_that_is_refused_is_not_tried_again(receiver: Receiver, hook: Webhook) -> None:
    receiver.statuses = [401]
    hook.tell({"n": 1})
    await until(lambda: hook.counts["lost"])
    assert len(receiver.got) == 1


async def test_nobody_to_be_told() -> None:
    hook = Webhook(lambda: None)
    hook.tell({"n": 1})
    assert hook.counts == {"delivered": 0, "lost": 0}


async def test_events_that_nobody_takes_make_room() -> None:
    hook = Webhook(lambda: GuardSettings(webhook="http://127.0.0.1:9/"))
    for number in range(MOST + 3):
        hook.tell({"n": number})
    assert hook.counts["lost"] == 3


@pytest.mark.parametrize(
    "url",
    [
        "ops.example/hook",
        "ftp://ops.example/",
        "https://",
        "http://a:0/",
        "http://a b/",
        "http://u:p@a/",
        "http://a..b/",
    ],
)
def test_what_is_no_webhook_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="webhook"):
        GuardSettings(webhook=url)


@pytest.mark.parametrize(
    "url", ["http://u:hunter2@a/", "http://u:hunter2@a..b/", "ftp://hunter2@a/", "http://u:hunter2@ a/"]
)
def test_a_password_in_it_is_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="use `token`") as error:
        GuardSettings(webhook=url)
    assert "hunter2" not in error.value.errors()[0]["msg"]  # type: ignore[attr-defined]
