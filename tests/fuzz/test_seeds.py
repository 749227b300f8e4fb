"""Every committed seed holds what the fuzzer checks: a finding that was fixed stays fixed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.checks import CHECKS

SEEDS = sorted(path for path in (Path(__file__).parent / "corpus").glob("*/*") if path.is_file())


@pytest.mark.parametrize("seed", SEEDS, ids=[f"{path.parent.name}/{path.name}" for path in SEEDS])
def test_seed(seed: Path) -> None:
    CHECKS[seed.parent.name](seed.read_bytes(), True)


def test_every_target_has_seeds() -> None:
    assert {path.parent.name for path in SEEDS} == set(CHECKS)
