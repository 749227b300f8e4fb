"""The CustomResourceDefinition of lane groups, with its schema made from the model of the rules.

A structural schema has no references, so that what may hold itself (conditions in conditions) is left to the gateway to
check, which says in the status of an object what it finds. https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/
`python -m gateway.ruletools.crd config/kubernetes/lanegroups.yaml`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.rules.model import LaneGroup
from gateway.yaml.writing import write_yaml

GROUP: Final = "graygateway.io"
VERSION: Final = "v1alpha1"
PLURAL: Final = "lanegroups"
_KEPT: Final = ("description", "enum", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
_ANYTHING: Final = {"x-kubernetes-preserve-unknown-fields": True}

Schema = dict[str, Any]


def crd() -> Schema:
    """The definition."""
    names = {"kind": "LaneGroup", "listKind": "LaneGroupList", "plural": PLURAL, "singular": "lanegroup"}
    columns = [
        ("Lanes", "string", ".status.lanes"),
        ("Accepted", "string", '.status.conditions[?(@.type=="Accepted")].status'),
        ("In force", "string", '.status.conditions[?(@.type=="InForce")].status'),
        ("Problem", "string", '.status.conditions[?(@.type=="Accepted")].message'),
        ("Age", "date", ".metadata.creationTimestamp"),
    ]
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [{"name": name, "type": kind, "jsonPath": path} for name, kind, path in columns],
        "schema": {"openAPIV3Schema": _object_schema()},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def _object_schema() -> Schema:
    whole = LaneGroup.model_json_schema(by_alias=True)
    spec = _structural(whole, whole.get("$defs", {}), ())
    del spec["properties"]["name"]  # the object's own
    spec.pop("required", None)
    condition = {
        "type": "object",
        "required": ["type", "status"],
        "properties": {
            **{name: {"type": "string"} for name in ("type", "status", "reason", "message")},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "observedGeneration": {"type": "integer", "format": "int64"},
        },
    }
    conditions = {
        "type": "array",
        "items": condition,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    }
    status = {"type": "object", "properties": {"lanes": {"type": "string"}, "conditions": conditions}}
    return {"type": "object", "required": ["spec"], "properties": {"spec": spec, "status": status}}


def _structural(schema: Mapping[str, Any], known: Mapping[str, Any], above: tuple[str, ...]) -> Schema:
    """A schema without references and alternatives; what has them is left open."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        return dict(_ANYTHING) if name in above else _structural(known[name], known, (*above, name))
    kept = {key: schema[key] for key in _KEPT if key in schema}
    if isinstance(kept.get("description"), str):
        kept["description"] = " ".join(kept["description"].split())
    alternatives = [item for item in schema.get("anyOf", ()) if item.get("type") != "null"]
    if len(alternatives) == 1:
        return {**_structural(alternatives[0], known, above), **kept}
    kind = schema.get("type")
    if kind == "object":
        properties = {key: _structural(item, known, above) for key, item in schema.get("properties", {}).items()}
        required = {"required": schema["required"]} if schema.get("required") else {}
        return {**kept, "type": kind, "properties": properties, **required}
    if kind == "array":
        return {**kept, "type": kind, "items": _structural(schema.get("items", {}), known, above)}
    return {**kept, "type": kind} if isinstance(kind, str) else {**kept, **_ANYTHING}


if __name__ == "__main__":
    import sys
    from pathlib import Path

    Path(sys.argv[1]).write_text(write_yaml(crd(), has_variables=False))
