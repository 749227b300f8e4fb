"""Work beside requests goes on whatever it raises, and that is told."""

from __future__ import annotations

import asyncio

import pytest

from gateway import daemons
from gateway.daemons import failures, keep_running
from tests.support.wait import until


async def test_work_that_raises_is_begun_anew_logged_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(daemons, "FIRST_PAUSE", 0.001)
    beginnings = 0

    async def work() -> None:
        nonlocal beginnings
        beginnings += 1
        if beginnings < 4:
            raise KeyError("a bug")

    before = failures["a test"]
    await keep_running("a test", work)
    assert (beginnings, failures["a test"] - before) == (4, 3)
    assert [record.getMessage() for record in caplog.records] == [
        f"a test failed unexpectedly; restarting in {pause:g} s" for pause in (0.001, 0.002, 0.004)
    ]
    assert all(record.exc_info for record in caplog.records)


async def test_cancelling_ends_it() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    task = keep_running("a test", work)
    await asyncio.sleep(0)
    task.cancel()
    await until(task.done)
    assert task.cancelled()
