"""The watch over the application beside a sidecar."""

from __future__ import annotations

import pytest

from gateway.health.application import ApplicationWatch
from gateway.instance import Instance
from gateway.settings import AppCheckSettings
from tests.support.wait import until


@pytest.mark.parametrize("host", ["a..b", "x" * 64], ids=["an empty label", "a label too long"])
async def test_an_application_whose_host_cannot_be_looked_up_does_not_end_the_watch(host: str) -> None:
    watch = ApplicationWatch(
        "a", Instance(host, 80), AppCheckSettings.model_validate({"interval": "10ms"}), lambda is_up: None
    )
    watch.start()
    await until(lambda: "does not accept connections" in watch.reason)
    assert not watch.is_up
    await watch.close()


async def test_one_that_is_not_to_be_asked_is_taken_for_up() -> None:
    """A service that only calls others listens nowhere."""
    settings = AppCheckSettings.model_validate({"enabled": False})
    watch = ApplicationWatch("a", Instance("127.0.0.1", 1), settings, lambda is_up: None)
    watch.start()
    assert (watch.is_up, watch.was_checked, watch.reason) == (True, True, "")
    await watch.close()
