"""The definition of LaneGroup objects is made from the model."""

from __future__ import annotations

from pathlib import Path

import yaml

from gateway.rules.model import Lane, LaneGroup
from gateway.ruletools.crd import crd

FILE = Path(__file__).parents[3] / "config" / "kubernetes" / "lanegroups.yaml"


def test_the_committed_definition_is_the_one_written() -> None:
    """Otherwise: python -m gateway.ruletools.crd config/kubernetes/lanegroups.yaml."""
    assert yaml.safe_load(FILE.read_text()) == crd()


def test_everything_that_a_group_can_say_is_there_and_its_name_is_the_objects() -> None:
    (version,) = crd()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert set(spec) == set(LaneGroup.model_fields) - {"name"}
    assert set(spec["lanes"]["items"]["properties"]) == {item.alias or name for name, item in Lane.model_fields.items()}
