"""JSON Schemas of the files, for editors (draft 2020-12).

YAML's plain scalars are numbers and booleans to an editor where the gateway reads text: the schemas take either.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gateway.rules.model import RulesFile
from gateway.ruletools.ruletests import RuleTestFile
from gateway.settings.gateway import GatewaySettings
from gateway.settings.sidecar import SidecarSettings

SCHEMAS: dict[str, type[BaseModel]] = {
    "rules": RulesFile,
    "rule-tests": RuleTestFile,
    "gateway": GatewaySettings,
    "sidecar": SidecarSettings,
}
"""By the kind of file."""

_SCALAR = ["string", "number", "boolean"]


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of a kind of file."""
    schema = SCHEMAS[kind].model_json_schema(by_alias=True)
    loosened: dict[str, Any] = _loosen(schema)
    rules = loosened.get("properties", {}).get("rules")
    if rules is not None:
        # One source needs no list around it.
        several = {key: rules.pop(key) for key in ("type", "items")}
        rules["anyOf"] = [several, several["items"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **loosened,
        "title": f"gray-gateway: {kind}",
    }


def _loosen(part: Any) -> Any:
    """What an editor's YAML reader may make of a scalar is accepted, too."""
    if isinstance(part, list):
        return [_loosen(item) for item in part]
    if not isinstance(part, dict):
        return part
    loose = {key: _loosen(value) for key, value in part.items() if key != "default"}
    kind = loose.get("type")
    if kind == "string" and not {"enum", "const"} & loose.keys():
        loose["type"] = _SCALAR
    elif kind in ("number", "integer"):
        loose["type"] = [kind, "string"]  # ${VARIABLE}
    elif kind == "boolean":
        loose["type"] = ["boolean", "string"]
    if "title" in loose and isinstance(loose["title"], str):
        del loose["title"]
    return loose
