"""What metadata says of a tag: ecosystems' conventions, first key present decides, the unreadable is never baseline."""

from __future__ import annotations

import pytest

from gateway.registry.tags import TagRules
from gateway.routing.instance import BASE, INVALID


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
    assert TagRules().tag_of(metadata) == tag


def test_the_chain_can_be_told() -> None:
    rules = TagRules(["version", "lane"])
    assert rules.tag_of({"version": "2", "lane": "gray", "tag": "blue"}) == "2"
    assert rules.tag_of({"lane": "gray", "tag": "blue"}) == "gray"
    assert rules.tag_of({"tag": "blue"}) == BASE


def test_words_are_metadata_behind_metadata_and_some_are_tags_by_themselves() -> None:
    rules = TagRules(bare=["gray"])
    assert rules.tag_of({}, ["primary", "lane=blue"]) == "blue"
    assert rules.tag_of({"lane": "green"}, ["lane=blue"]) == "green"
    assert rules.tag_of({}, ["primary", "gray"]) == "gray"
    assert rules.tag_of({}, ["primary", "purple"]) == BASE
    assert rules.tag_of({"lane": ""}, ["gray"]) == BASE
    assert rules.tag_of({}, ["lane=b lue"]) == INVALID
