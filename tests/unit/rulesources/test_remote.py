"""Copies of remote rules: where they are, and what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.rulesources.remote import Names, copy_path, key_path
from gateway.settings import RemoteRules

STATE = Path("/state")


def remote(**values: str) -> RemoteRules:
    return RemoteRules.model_validate({"address": "10.0.0.1:8848", **values})


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (remote(nacos="gray.yaml", group="G"), "nacos://10.0.0.1:8848/G/gray.yaml"),
        (remote(nacos="gray.yaml", namespace="prod"), "nacos://10.0.0.1:8848/prod/DEFAULT_GROUP/gray.yaml"),
        (remote(consul="gray/rules.yaml"), "consul://10.0.0.1:8848/gray/rules.yaml"),
    ],
)
def test_a_document_is_called_by_its_place(source: RemoteRules, name: str) -> None:
    assert source.name == name
    assert Names([source], STATE)(copy_path(source, STATE)) == name


def test_the_documents_below_a_prefix_are_called_by_their_keys() -> None:
    source = remote(consul="gray/")
    named = Names(["rules", source], STATE)
    folder = copy_path(source, STATE)
    assert named(folder) == "consul://10.0.0.1:8848/gray/"
    for key in ("a.yaml", "team one/é.yml", "50%.yaml"):
        assert named(key_path(folder, key)) == f"consul://10.0.0.1:8848/gray/{key}"
    # The file of a key that no file name can hold is called by its beginning.
    long = key_path(folder, "x" * 300 + ".yaml")
    assert len(long.name) <= 200
    assert named(long) == f"consul://10.0.0.1:8848/gray/{'x' * 100}…"


def test_what_is_no_copy_is_called_by_its_path() -> None:
    assert Names([remote(consul="gray/")], STATE)(Path("rules/a.yaml")) == "rules/a.yaml"
    assert Names()(Path("rules/a.yaml")) == "rules/a.yaml"


def test_sources_have_copies_of_their_own() -> None:
    sources = [
        remote(nacos="a.yaml"),
        remote(nacos="a.yaml", namespace="n"),
        remote(nacos="a.yaml", group="n"),
        remote(consul="a.yaml"),
        remote(consul="a.yaml", address="10.0.0.2:8848"),
    ]
    assert len({copy_path(source, STATE) for source in sources}) == len(sources)
