"""Lane groups for tests of imports and exports, and what came of them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from gateway.rules.model import Lane, LaneGroup
from gateway.ruletools.formats import Exported, Imported, export_rules, import_rules

GRAY = {"param": "group", "equals": "gray"}


def group(*lanes: dict[str, Any], **values: Any) -> LaneGroup:
    named = [{"name": f"l{index}", "tag": f"t{index}", "match": [GRAY], **lane} for index, lane in enumerate(lanes)]
    return LaneGroup.model_validate({"name": "shop", "services": ["a", "b"], "lanes": named, **values})


def there_and_back(form: str, *groups: LaneGroup) -> tuple[LaneGroup, ...]:
    # Through JSON, as the documents are written and read.
    documents = json.loads(json.dumps(export_rules(form, groups).documents))
    return import_rules(form, documents).groups


def only_lane(imported: Imported) -> Lane:
    (found,) = imported.groups
    (lane,) = found.lanes
    return lane


def match_of(lane: Lane) -> list[dict[str, Any]]:
    return [one.model_dump(by_alias=True, exclude_defaults=True) for one in lane.match]


def places(result: Imported | Exported) -> list[str]:
    return [loss.place for loss in result.losses]


MANY = {"match_mode": "any", "match": [GRAY, {"header": "x-b", "in": ["1", "2"]}]}

TEXT = st.text(st.characters(codec="ascii", exclude_characters="\0\r\n"), min_size=1, max_size=8)
"""Any text that a parameter may have."""
