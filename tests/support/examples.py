"""How many examples a property is tried with."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import settings

PROFILE: Final = os.environ.get("HYPOTHESIS_PROFILE", "quick")
"""`quick`: the same few examples on every run, so that a failure in CI is one at the desk. `deep`: many others each time."""
_TIMES: Final = 10

# Slow machines are not failures.
settings.register_profile("quick", derandomize=True, deadline=None)
settings.register_profile("deep", deadline=None, max_examples=100 * _TIMES, print_blob=True)


def examples(count: int) -> settings:
    """So many examples, and many times more in the deep profile."""
    return settings(max_examples=count * _TIMES if PROFILE == "deep" else count)
