"""A tag on its way through message queues."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.propagation import MAX_VALUE, Propagator, takes

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
GRAY = {"x-gray-tag": "gray", "baggage": "x-gray-tag=gray"}


@pytest.fixture
def carriers() -> Propagator:
    return Propagator()


@pytest.mark.parametrize(
    ("headers", "tag", "fields"),
    [
        ({"x-gray-tag": "gray"}, "gray", GRAY),
        ({"X-Gray-Tag": b"gray"}, "gray", GRAY),
        ([("x-gray-tag", b"gray"), ("n", 7)], "gray", GRAY),
        (
            {"baggage": "user=1, x-gray-tag=gray;p=1"},
            "gray",
            {"x-gray-tag": "gray", "baggage": "user=1,x-gray-tag=gray"},
        ),
        ({"x-gray-tag": "no tag", "baggage": "x-gray-tag=gray"}, "gray", GRAY),
        ({"baggage": "user=1"}, "base", {"baggage": "user=1"}),
        ({"traceparent": TRACEPARENT, "tracestate": "a=1"}, "base", {"traceparent": TRACEPARENT, "tracestate": "a=1"}),
        ({"tracestate": "a=1"}, "base", {}),
        ({"x-gray-tag": "base"}, "base", {}),
        ({"x-gray-tag": "gray\r\nx: y"}, "base", {}),
        ({"baggage": "a=1\r\nx: y"}, "base", {}),
        ({"baggage": b"\xff\xfe"}, "base", {}),
        ({"baggage": "a" * (MAX_VALUE + 1)}, "base", {}),
        ({"x-gray-tag": None, "baggage": 3}, "base", {}),
        (None, "base", {}),
        ([], "base", {}),
    ],
)
def test_what_is_carried_on(carriers: Propagator, headers: Any, tag: str, fields: dict[str, str]) -> None:
    """From one survivor all carriers are made again; what is no tag, or could break a header, is left out."""
    assert carriers.extract(headers) == tag
    with carriers.carrying(headers) as carried:
        assert (carried, carriers.tag, carriers.fields()) == (tag, tag, fields)
        assert carriers.pairs() == [(name, value.encode()) for name, value in fields.items()]
    assert (carriers.tag, carriers.fields()) == ("base", {})


def test_other_names(carriers: Propagator) -> None:
    other = Propagator(header="Gray_Tag", baggage="lane")
    with other.carrying({"gray_tag": "gray"}):
        assert other.fields() == {"gray_tag": "gray", "baggage": "lane=gray"}
        assert carriers.tag == "base"


def test_an_agents_trace_stays(carriers: Propagator) -> None:
    headers = {"Traceparent": "of an agent", "X-Gray-Tag": "stale", "Baggage": "stale", "n": "1"}
    with carriers.carrying({"x-gray-tag": "gray", "traceparent": TRACEPARENT}):
        carriers.inject(headers)
        without: dict[str, str] = {}
        carriers.inject(without)
    assert headers == {"Traceparent": "of an agent", "n": "1", **GRAY}
    assert without == {"traceparent": TRACEPARENT, **GRAY}


def test_a_message_without_a_tag_leaves_none_behind(carriers: Propagator) -> None:
    headers = {"x-gray-tag": "stale"}
    with carriers.carrying({}):
        carriers.inject(headers)
    assert headers == {}


def test_messages_inside_each_other(carriers: Propagator) -> None:
    def fail() -> None:
        with carriers.carrying({"x-gray-tag": "blue"}):
            raise RuntimeError(carriers.tag)

    with carriers.carrying(GRAY):
        with pytest.raises(RuntimeError, match="blue"):
            fail()
        assert carriers.tag == "gray"


async def test_tasks_have_their_own(carriers: Propagator) -> None:
    async def consume(tag: str) -> str:
        with carriers.carrying({"x-gray-tag": tag}):
            await asyncio.sleep(0)
            return await asyncio.create_task(inner())

    async def inner() -> str:
        await asyncio.sleep(0)
        return carriers.tag

    assert await asyncio.gather(*(consume(tag) for tag in ("gray", "blue", "base"))) == ["gray", "blue", "base"]


def test_threads_of_a_pool_are_given_the_context(carriers: Propagator) -> None:
    with ThreadPoolExecutor(1) as pool, carriers.carrying(GRAY):
        assert pool.submit(lambda: carriers.tag).result() == "base"
        assert pool.submit(contextvars.copy_context().run, lambda: carriers.tag).result() == "gray"


@pytest.mark.parametrize(
    ("tag", "own", "is_taken"),
    [
        ("base", "base", True),
        ("gray", "base", False),
        ("gray", "gray", True),
        ("base", "gray", False),
        ("blue", "base", True),
        ("blue", "gray", False),
    ],
)
def test_who_takes_a_message_while_gray_has_a_consumer(tag: str, own: str, is_taken: bool) -> None:
    assert takes(tag, own, ["gray"]) is is_taken


def test_nothing_but_the_standard_library_is_needed() -> None:
    program = (
        "import sys; before = set(sys.modules); import gateway.propagation;"
        "print({name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "{'gateway'}"


@pytest.mark.parametrize("name", ["x-gray-tag", "baggage"])
def test_a_signed_tag_is_read_and_carried_on_as_it_is(name: str) -> None:
    """Who has no keys cannot sign it again."""
    signed = "_1.v1.2.4f2a90c81b7e.6a2a9c10.Zx3nT0kq7mV1cJ8sWb5r2A"
    carriers = Propagator()
    value = signed if name == "x-gray-tag" else f"a=b,x-gray-tag={signed}"
    with carriers.carrying({name: value}) as tag:
        assert tag == carriers.tag == "v1.2"
        fields = carriers.fields()
    assert fields["x-gray-tag"] == signed
    assert fields["baggage"].split(",")[-1] == f"x-gray-tag={signed}"
