"""What is kept of rules apart from where they come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app.copies import RuleCopies
from gateway.config.load import Loaded, RulesFrom, load_gateway
from gateway.control.reload import ReloadState
from gateway.errors import ConfigError, Problem
from gateway.settings.gateway import GatewaySettings
from tests.support.roles import gateway_settings, lanes, put_gateway

REMOTE = {"nacos": "lanes", "address": "127.0.0.1:9"}


async def changed(cause: str) -> None:
    raise AssertionError("nothing has changed")


@pytest.fixture
def copies() -> RuleCopies:
    return RuleCopies(changed)


def load(folder: Path, **settings: object) -> Loaded[GatewaySettings]:
    return load_gateway(put_gateway(folder, lanes("gray"), state=str(folder / "state"), **settings))


async def test_rules_of_this_machine_alone_need_no_copies(copies: RuleCopies) -> None:
    await copies.open(gateway_settings(rules=["rules.yaml"]))
    assert (copies.folder, list(copies.mirrors), copies.kept_revision) == (None, [], 0)
    assert copies.build_old(lambda rules_from: rules_from) is None
    await copies.close()


async def test_without_state_copies_are_gone_at_the_end(copies: RuleCopies) -> None:
    await copies.open(gateway_settings(rules=[REMOTE]))
    folder = copies.folder
    assert folder is not None
    assert folder.is_dir()
    assert [mirror.name for mirror in copies.mirrors] == ["nacos://127.0.0.1:9/DEFAULT_GROUP/lanes"]
    assert copies.from_now() == RulesFrom(folder, set(), None)
    await copies.close()
    assert not folder.exists()


async def test_the_last_rules_in_force_are_there_after_a_restart(tmp_path: Path, copies: RuleCopies) -> None:
    loaded = load(tmp_path)
    await copies.open(loaded.settings)
    assert copies.kept_revision == 0
    await copies.applied(loaded.settings, loaded.lanes, 7)
    assert copies.from_now().in_force == {tmp_path / "rules.yaml"}
    await copies.close()
    again = RuleCopies(changed)
    await again.open(loaded.settings)
    assert again.kept_revision == 7
    kept = again.build_old(lambda rules_from: rules_from.kept)
    assert kept is not None
    assert kept.files == {tmp_path / "rules.yaml": lanes("gray")}
    assert again.from_now().in_force == {tmp_path / "rules.yaml"}
    # Deleted on purpose: it is no surprise that it is gone.
    again.deleted(tmp_path / "rules.yaml")
    assert again.from_now().in_force == set()
    await again.close()


async def test_rules_of_which_a_part_is_not_known_are_not_kept(tmp_path: Path, copies: RuleCopies) -> None:
    """They are no better than those that were kept before."""
    loaded = load(tmp_path, rules=["rules.yaml", REMOTE])
    await copies.open(loaded.settings)
    await copies.applied(loaded.settings, loaded.lanes, 7)
    await copies.close()
    again = RuleCopies(changed)
    await again.open(loaded.settings)
    assert again.kept_revision == 0
    await again.close()


async def test_old_rules_are_no_way_out_of_other_problems(tmp_path: Path, copies: RuleCopies) -> None:
    loaded = load(tmp_path)
    await copies.open(loaded.settings)
    await copies.applied(loaded.settings, loaded.lanes, 7)
    await copies.close()
    again = RuleCopies(changed)
    await again.open(loaded.settings)

    def fail(_: RulesFrom) -> object:
        raise ConfigError([Problem("gateway.yaml", 1, 1, "not the rules")])

    assert again.build_old(fail) is None
    await again.close()


@pytest.mark.parametrize(
    ("rules", "is_allowed", "runs_old", "reasons"),
    [
        ([], True, True, []),
        ([], False, False, []),
        ([], False, True, ["the rules have problems; those of revision 4 are in force"]),
        ([REMOTE], True, False, ["rules of nacos://127.0.0.1:9/DEFAULT_GROUP/lanes: the server has not responded yet"]),
    ],
)
async def test_why_a_program_should_get_no_traffic(
    copies: RuleCopies, rules: list[object], is_allowed: bool, runs_old: bool, reasons: list[str]
) -> None:
    settings = gateway_settings(rules=rules, ready_with_old_rules=is_allowed)
    await copies.open(settings)
    assert copies.not_ready(settings, ReloadState(4, 0.0, 0, 1, ("bad",), runs_old)) == reasons
    await copies.close()
