"""Rules that change all the time while requests come: nobody is lost, nobody goes astray."""

from __future__ import annotations

import pytest

from benchmarks.reloads import run


@pytest.mark.parametrize("workers", [1, 2])
async def test_reloads_under_load_lose_and_misroute_nothing(workers: int) -> None:
    """`python -m benchmarks.reloads` does a thousand, and looks at memory."""
    result = await run(reloads=20, workers=workers)
    assert (result["failed"], result["misrouted"]) == (0, 0)
    assert result["requests"] > 20
