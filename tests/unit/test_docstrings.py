"""What models say of their fields is in their schemas, and nothing else pays for it."""

from __future__ import annotations

import inspect
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field

from gateway import docstrings
from gateway.docstrings import describe_fields
from gateway.rules.model import LaneGroup
from gateway.settings.sidecar import SidecarSettings


class Described(BaseModel):
    """The model."""

    model_config = ConfigDict(json_schema_extra=describe_fields)

    plain: int = 0
    """Of
    two lines."""
    nothing: int = 0
    twice: int = 0
    """What the base says."""
    inner: Inner | None = None
    """Of another model."""
    renamed: Annotated[int, Field(alias="other")] = 0
    """By its alias."""


class Inner(BaseModel):
    """The other model."""


class Derived(Described):
    """Its own fields, and those of its base."""

    twice: int = 1
    own: int = 0
    """Its own."""


def described(model: type[BaseModel]) -> dict[str, str]:
    properties = model.model_json_schema()["properties"]
    return {name: part["description"] for name, part in properties.items() if "description" in part}


def test_a_docstring_below_a_field_is_its_description() -> None:
    base = {"plain": "Of\ntwo lines.", "inner": "Of another model.", "other": "By its alias."}
    assert described(Described) == {**base, "twice": "What the base says."}
    assert described(Derived) == {**base, "own": "Its own."}


def test_a_model_without_source_is_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> str:
        raise OSError("could not get source code")

    docstrings._docstrings.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(inspect, "getsource", fail)
        assert described(Described) == {}
    docstrings._docstrings.cache_clear()


@pytest.mark.parametrize("model", [SidecarSettings, LaneGroup])
def test_docstrings_are_read_when_somebody_wants_a_schema(model: type[BaseModel]) -> None:
    """Reading them as classes are made is half of what models cost a start."""
    assert all(field.description is None for field in model.model_fields.values())
    assert described(model)
