"""What metadata says of a tag: ecosystems' conventions, first key present decides, the unreadable is never baseline."""

from __future__ import annotations

import pytest

from gateway.registry.tags import tag_of
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
    assert tag_of(metadata) == tag
