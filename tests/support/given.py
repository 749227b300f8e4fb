"""Registries that an operator has, for the tests marked `real`: GRAY_NACOS_ADDR and GRAY_CONSUL_ADDR, each HOST:PORT."""

from __future__ import annotations

import os
from typing import Final


class Given:
    """A server that runs already. It is not ours to stop."""

    def __init__(self, kind: str, address: str) -> None:
        self.kind = kind
        self.address = address

    async def start(self, fresh: bool = False) -> None:
        """Nothing: it is there."""

    async def stop(self) -> None:
        """Nothing: it stays."""


_GIVEN = {"nacos": os.environ.get("GRAY_NACOS_ADDR"), "consul": os.environ.get("GRAY_CONSUL_ADDR")}
GIVEN: Final = {f"given-{kind}": Given(kind, address) for kind, address in _GIVEN.items() if address}
"""By what tests call them."""
