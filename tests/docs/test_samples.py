"""What README and tutorial show can be typed in, in that order, and does what stands there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.samples import ROOT, Newcomer


@pytest.fixture
async def newcomer(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Newcomer]:
    newcomer = Newcomer(tmp_path, **getattr(request, "param", {}))
    yield newcomer
    await newcomer.close()


def section(document: str, title: str) -> str:
    """A section, without its title."""
    return (ROOT / document).read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


# A human waits longer for the end of a sidecar than for anything else.
@pytest.mark.parametrize("newcomer", [{"GATEWAY_DRAIN__DELAY": "300ms"}], indirect=True)
async def test_the_tutorial_from_beginning_to_end(newcomer: Newcomer) -> None:
    rules = newcomer.folder / "tutorial" / "rules" / "gray.yaml"

    async def act(prose: str) -> None:
        """What is to be done by hand: the lane's switch, and Ctrl-C."""
        for state in re.findall(r"`enabled: (true|false)` and save", prose.replace("\n", " ")):
            rules.write_text(re.sub(r"enabled: \w+", f"enabled: {state}", rules.read_text()))
        if "Then stop the gray sidecars with Ctrl-C" in prose.replace("\n", " "):
            sidecars = (f"gateway sidecar -c tutorial/{name}.yaml" for name in ("agray", "cgray"))
            await asyncio.gather(*map(newcomer.stop, sidecars))

    await newcomer.follow((ROOT / "docs" / "tutorial.md").read_text(), act)
    assert len(newcomer.running) == 10  # registry, gateway, five services, three sidecars
    assert "enabled: false" in rules.read_text()
    assert "Traceback" not in (newcomer.folder / "log").read_text()


# Its configuration leaves the admin API where it is by default, which may be somebody else's.
@pytest.mark.parametrize("newcomer", [{"GATEWAY_ADMIN": "127.0.0.1:0"}], indirect=True)
async def test_the_readmes_first_gateway(newcomer: Newcomer) -> None:
    await newcomer.follow(section("README.md", "In front of your own services"))
    assert len(newcomer.running) == 3
