"""A kind of registry is one entry of a table: its settings, what the program does with it, and its documentation go by it."""

from __future__ import annotations

import re
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

from gateway.registry.kinds import KINDS
from gateway.settings.gateway import GatewaySettings
from gateway.settings.registry import RegistrySettings, SidecarRegistrySettings
from gateway.settings.sidecar import SidecarSettings

DOCUMENT = (Path(__file__).parents[3] / "docs" / "registries.md").read_text()


def models(union: Any) -> dict[str, type]:
    """The settings of a discriminated union, by kind."""
    found = typing.get_args(typing.get_args(union)[0])
    return {typing.get_args(model.model_fields["kind"].annotation)[0]: model for model in found}


def test_every_kind_has_settings_and_an_entry() -> None:
    assert list(models(RegistrySettings)) == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_is_for_the_settings_of_its_kind(kind: str) -> None:
    entry = type(KINDS[kind])
    [base] = typing.cast("Any", entry).__orig_bases__
    assert typing.get_args(base) == (models(RegistrySettings)[kind],)


def test_the_documents_table_is_that_of_the_entries() -> None:
    sidecars = models(SidecarRegistrySettings)
    rows = [
        (
            kind,
            entry.summary,
            ("yes" if entry.registers else "no") if kind in sidecars else "not available for sidecars",
        )
        for kind, entry in KINDS.items()
    ]
    assert re.findall(r"^\| \[`(\w+)`\]\(#\1\) \| (.+?) \| .+? \| (.+) \|$", DOCUMENT, re.MULTILINE) == rows
    assert [title for title in re.findall(r"^## (\w+)$", DOCUMENT, re.MULTILINE) if title in KINDS] == list(KINDS)


def test_settings_name_every_kind_that_they_may_have() -> None:
    for model, union in ((GatewaySettings, RegistrySettings), (SidecarSettings, SidecarRegistrySettings)):
        mapping = model.model_json_schema()["properties"]["registry"]["anyOf"][0]["discriminator"]["mapping"]
        assert set(mapping) == set(models(union))


@pytest.mark.parametrize("role", ["entry", "sidecar", "worker"])
def test_a_role_loads_what_its_configuration_uses_and_no_more(role: str) -> None:
    """Adapters of registries, readers of tokens and of certificates are loaded for those who have some."""
    code = f"import sys, gateway.app.{role}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(found.stdout.split())
    assert "gateway.settings" in loaded
    optional = {
        "consul",
        "requests",
        "jwt",
        "cryptography",
        "gateway.registry.nacos.adapter",
        "gateway.registry.consul.adapter",
    }
    assert loaded & (optional | {"gateway.ruletools.lint", "gateway.ruletools.formats"}) == set()
