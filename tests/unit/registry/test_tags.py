"""What metadata says of a tag: ecosystems' conventions, first key present decides, the unreadable is never baseline."""

from __future__ import annotations

import pytest

from gateway.registry.records import Records
from gateway.registry.tags import TagReader
from gateway.settings.registry import DEFAULT_TAG_KEYS
from gateway.tags import BASE, INVALID


@pytest.mark.parametrize(
    ("metadata", "tag"),
    [
        ({}, BASE),
        ({"version": "1.4.2"}, BASE),
        ({"gray.tag": "gray"}, "gray"),
        ({"gray.tag": ""}, BASE),
        ({"gray.tag": " gray "}, "gray"),
        ({"gray.tag": "gr ay"}, INVALID),
        ({"tag": "blue"}, "blue"),
        ({"lane": "blue", "tag": "gray"}, "blue"),
        ({"alicloud.service.tag": "gray", "tag": "blue"}, "gray"),
        ({"opensergo.io/canary-gray": "gray"}, "gray"),
        ({"opensergo.io/canary-gray": ""}, "gray"),
        ({"opensergo.io/canary": "", "tag": "x"}, BASE),
        ({"__micro.service.env__": '[{"desc":"x","tag":"gray"}]'}, "gray"),
        ({"__micro.service.env__": "[]"}, BASE),
        ({"__micro.service.env__": "{broken"}, INVALID),
        ({"__micro.service.env__": '["gray"]'}, INVALID),
        ({"__micro.service.env__": "3"}, INVALID),
        ({"dubbo.tag": "gray"}, "gray"),
    ],
)
def test_tag_of(metadata: dict[str, str], tag: str) -> None:
    assert TagReader().tag_of(metadata) == tag


def test_the_chain_can_be_told() -> None:
    rules = TagReader(["version", "lane"])
    assert rules.tag_of({"version": "2", "lane": "gray", "tag": "blue"}) == "2"
    assert rules.tag_of({"lane": "gray", "tag": "blue"}) == "gray"
    assert rules.tag_of({"tag": "blue"}) == BASE


def test_words_are_metadata_behind_metadata_and_some_are_tags_by_themselves() -> None:
    rules = TagReader(bare=["gray"])
    assert rules.tag_of({}, ["primary", "lane=blue"]) == "blue"
    assert rules.tag_of({"lane": "green"}, ["lane=blue"]) == "green"
    assert rules.tag_of({}, ["primary", "gray"]) == "gray"
    assert rules.tag_of({}, ["primary", "purple"]) == BASE
    assert rules.tag_of({"lane": ""}, ["gray"]) == BASE
    assert rules.tag_of({}, ["lane=b lue"]) == INVALID


SPELLINGS = {
    "alicloud.service.tag": ["alicloud_service_tag", "alicloud-service-tag", "alicloud-service_tag"],
    "opensergo.io/canary-gray": ["opensergo_io_canary-gray", "opensergo-io-canary-gray", "opensergo_io_canary_gray"],
    "__micro.service.env__": ["__micro_service_env__", "--micro-service-env--"],
    "dubbo.tag": ["dubbo_tag", "dubbo-tag"],
    "gray.tag": ["gray_tag", "gray-tag"],
    "lane": [],
    "tag": [],
    "app.version": ["app_version", "app-version"],
}
"""Every key there is, and one of somebody's own, with the spellings that Consul's Meta allows."""


@pytest.mark.parametrize(
    ("key", "spelled"), [(key, spelled) for key, found in SPELLINGS.items() for spelled in [key, *found]]
)
def test_a_key_is_read_however_its_registry_spells_it(key: str, spelled: str) -> None:
    value = '[{"tag": "gray"}]' if "env" in key else "gray"
    rules = TagReader([*DEFAULT_TAG_KEYS, "app.version"])
    assert rules.tag_of({"zone": "a", spelled: value}) == "gray"
    assert rules.tag_of({}, [f"{spelled}={value}"]) == "gray"
    # What cannot be read is no baseline, in any spelling.
    assert rules.tag_of({spelled: "gr ay"}) == INVALID


def test_every_default_key_has_its_spellings_here() -> None:
    assert set(DEFAULT_TAG_KEYS) == {key.removesuffix("-gray") for key in SPELLINGS} - {"app.version"}


@pytest.mark.parametrize(
    ("metadata", "tag"),
    [
        ({"gray.tag": "gray", "gray_tag": "gray"}, "gray"),
        ({"gray.tag": "gray", "gray_tag": "blue"}, INVALID),
        ({"gray.tag": "", "gray_tag": "blue"}, INVALID),
        ({"opensergo.io/canary-gray": "", "opensergo.io/canary-blue": ""}, INVALID),
        ({"opensergo_io_canary": ""}, BASE),
        ({"opensergo_io_canary": "", "opensergo_io_canary-gray": "gray"}, "gray"),
        ({"opensergo_io_canary-v1.2": ""}, "v1.2"),
        # The order is that of the chain, whatever the spelling.
        ({"tag": "late", "alicloud_service_tag": "first"}, "first"),
        # Nothing but signs may differ.
        ({"graytag": "gray", "Gray.Tag": "gray", "xgray.tag": "gray", "gray.tag.": "gray"}, BASE),
    ],
)
def test_spellings_that_disagree_are_no_tag(metadata: dict[str, str], tag: str) -> None:
    assert TagReader().tag_of(metadata) == tag


@pytest.mark.parametrize("kind", ["Nacos", "Consul", "embedded"])
@pytest.mark.parametrize(
    ("value", "tag"),
    [("gray", "gray"), (" ", BASE), (None, BASE), (7, "7"), (True, "true"), (["gray"], INVALID), ({}, INVALID)],
)
def test_an_instance_is_read_the_same_in_every_registry(kind: str, value: object, tag: str) -> None:
    """All of them collect their records here; `null` is as empty as the empty text."""
    records = Records(TagReader())
    records.add("10.0.0.1", 80, 1, {"gray_tag" if kind == "Consul" else "gray.tag": value}, True, True, labels=None)
    (instance,) = records.listing().instances
    assert (instance.tag, "None" in str(instance.metadata)) == (tag, False)


def test_tags_that_are_no_list_may_hide_one() -> None:
    records = Records(TagReader())
    records.add("10.0.0.1", 80, 1, {}, True, True, labels="gray.tag=gray")
    assert (records.listing().instances, records.skipped) == ((), {"bad_tags": 1})
