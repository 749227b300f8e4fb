"""Records of registries: what is no text in them never becomes a word of Python."""

from __future__ import annotations

from gateway.instance import Instance
from gateway.registry.records import Records
from gateway.registry.tags import TagReader
from gateway.tags import BASE


def test_metadata_that_is_no_text_is_written_as_json_has_it() -> None:
    records = Records(TagReader())
    records.add("10.0.0.1", 80, 1, {"a": True, "b": 1, "c": None, "gray.tag": None, "d": [1, None]}, True, True)
    assert records.listing().instances == (
        Instance("10.0.0.1", 80, BASE, metadata={"a": "true", "b": "1", "d": "[1, null]"}),
    )


def test_a_label_that_is_no_text_is_no_label() -> None:
    records = Records(TagReader(("gray.tag",), bare=("None", "True", "gray")))
    for port, labels in ((1, [None]), (2, [True, 3, {}]), (3, ["gray"]), (4, None), (5, "gray")):
        records.add("10.0.0.1", port, 1, {}, True, True, labels=labels)
    assert [instance.tag for instance in records.listing().instances] == [BASE, BASE, "gray", BASE]
    assert records.listing().skipped == {"bad_tags": 1}
