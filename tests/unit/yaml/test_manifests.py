"""Kubernetes objects in YAML mean what they mean to `kubectl`."""

from __future__ import annotations

import pytest
import yaml

from gateway.yaml.manifests import documents


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("12:30:00", "12:30:00"), ("-1:2", "-1:2"), ("1:2.5", "1:2.5"), ("2026-01-01", "2026-01-01"), ("=", "="), ("1e3", "1e3"),
        ("0o17", "0o17"), ("017", 15), ("0x1F", 31), ("0b11", 3), ("1_000", 1000), ("-7", -7), ("0", 0), ("1.50", 1.5),
        ("-.5", -0.5), ("1.5e+3", 1500.0), ("on", True), ("No", False), ("~", None), ("", None), ("'on'", "on"),
    ],
)  # fmt: skip
def test_a_scalar(written: str, value: object) -> None:
    ((found, _),) = documents(f"a: {written}\n")
    assert found == {"a": value}


def test_documents_are_where_they_are_and_empty_ones_are_none() -> None:
    found = [(item, node.start_mark.line) for item, node in documents("a: 1\n---\n---\n# nothing\n---\nb: 2\n")]
    assert found == [({"a": 1}, 0), ({"b": 2}, 5)]


def test_merged_keys_are_not_given_twice() -> None:
    ((found, _),) = documents("x: &x {a: 1}\ny: {<<: *x, a: 2}\n")
    assert found["y"] == {"a": 2}


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "- {a: 1, 'a': 2}\n"])
def test_a_key_that_is_given_twice(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="the key 'a' is given twice"):
        list(documents(text))
