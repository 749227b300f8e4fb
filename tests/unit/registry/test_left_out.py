"""Records of one answer: those left out can be told apart, and what names them hurts nobody who reads it."""

from __future__ import annotations

from gateway.registry.base import MOST_LEFT_OUT
from gateway.registry.records import Records
from gateway.registry.tags import TagReader


def test_a_record_left_out_is_called_as_the_registry_calls_it_or_by_its_address() -> None:
    records = Records(TagReader())
    records.add("10.0.0.1", 0, 1, {}, True, True, record_id="orders-7")
    records.add("10.0.0.1", 0, 1, {}, True, True, record_id="")
    records.add("", 80, 1, {}, True, True)
    records.add("10.0.0.2", 80, -1, {}, True, True, record_id=7)
    records.skip("no_object", ["what"])
    assert records.listing().left_out == {
        "bad_port": ("orders-7", "10.0.0.1:0"),
        "bad_host": (":80",),
        "bad_weight": ("10.0.0.2:80",),
        "no_object": ('["what"]',),
    }


def test_names_are_short_few_and_printable() -> None:
    records = Records(TagReader())
    for number in range(MOST_LEFT_OUT + 5):
        records.skip("bad_host", f"{number}\x1b[2J\n" + "x" * 1000)
    names = records.listing().left_out["bad_host"]
    assert (records.skipped["bad_host"], len(names)) == (MOST_LEFT_OUT + 5, MOST_LEFT_OUT)
    assert all(name.isprintable() and len(name) <= 80 for name in names)
