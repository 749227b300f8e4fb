"""Large documents are read as small ones are, in pieces, and the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.registry import largejson
from gateway.registry.largejson import _read, items, off_loop, read_json

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
documents = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


@given(documents, st.sampled_from([None, 0, 2]))
def test_a_document_in_pieces_is_the_document(document: Any, indent: int | None) -> None:
    text = json.dumps(document, indent=indent)
    assert _read(f" {text}\n") == document


@given(st.lists(documents))
def test_the_items_of_a_list(document: list[Any]) -> None:
    assert list(items(json.dumps(document))) == document


@given(st.text(alphabet='[]{},:"1 n'))
def test_what_is_no_json_is_refused_as_json_refuses_it(text: str) -> None:
    try:
        wanted = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r".*"):
            _read(text)
    else:
        assert _read(text) == wanted


@pytest.mark.parametrize("text", ["", "{}", "1", "[1", "[1 2]", "[1,]", "[1] 2", '"["'])
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        list(items(text))


async def test_a_large_document_is_read_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a small one without a thread, which costs more than it."""
    threads: list[Any] = []

    async def to_thread(make: Any, text: str) -> Any:
        threads.append(text)
        return make(text)

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    small, large = json.dumps([1]), json.dumps(["x" * largejson.LARGE])
    for text in (small, large):
        assert await read_json(text) == json.loads(text)
        assert await off_loop(text, json.loads) == json.loads(text)
    assert threads == [large, large]
