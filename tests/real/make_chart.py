"""Writes the Helm chart from the Kustomize overlay for production, of which it is the same with values in a few places.

Components of Kustomize are values that are off: what one changes is in the templates under its condition. Run this after a change
of `config/kubernetes`: `python -m tests.real.make_chart`. A test compares.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.kubernetes import FOUND

FOLDER: Final = Path(__file__).parents[2] / "config" / "kubernetes"
CHART: Final = FOLDER / "chart"
PRODUCTION: Final = FOLDER / "overlays" / "production"
VALUES: Final = {"Deployment": ["image"], "HorizontalPodAutoscaler": ["minReplicas", "maxReplicas"]}
"""The fields of each kind that are values of the chart."""
COMPONENTS: Final = {"tls": "tlsSecret", "servicemonitor": "serviceMonitor"}
"""The value that stands for a component."""
TLS_SECRET: Final = "gray-gateway-tls"
DEFAULTS: Final = {"tlsSecret": "", "serviceMonitor": False}
WORDS: Final = {
    "config": "The gateway's configuration (gateway.yaml), as a text.",
    "image": "Image of the gateway.",
    "maxReplicas": "Most gateways.",
    "minReplicas": "Fewest gateways.",
    "serviceMonitor": "Whether there is a ServiceMonitor, for Prometheus' operator.",
    "tlsSecret": "Secret (kubernetes.io/tls) with the listener's certificate; empty: it does not use TLS.",
}


def rendered(folder: Path = PRODUCTION) -> str:
    """What Kustomize makes of a folder."""
    program = FOUND["kubectl"]
    assert program is not None
    command = [program, "kustomize", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def with_component(name: str, folder: Path = PRODUCTION) -> str:
    """What Kustomize makes of a folder with a component."""
    with tempfile.TemporaryDirectory() as own:
        paths = {key: os.path.relpath(path.resolve(), Path(own).resolve()) for key, path in (
            ("resources", folder), ("components", FOLDER / "components" / name)
        )}  # fmt: skip
        overlay = {"namespace": "default", **{key: [path] for key, path in paths.items()}}
        Path(own, "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        return rendered(Path(own))


def made() -> dict[str, str]:
    """The chart's files, by their path in it."""
    plain = _by_name(rendered())
    files = dict(plain)
    for component, value in COMPONENTS.items():
        for name, text in _by_name(with_component(component)).items():
            if text != plain.get(name):
                assert files.get(name) == plain.get(name), f"two components change {name}"
                files[name] = _conditional(plain.get(name, ""), text, f".Values.{value}")
    values: dict[str, Any] = dict(DEFAULTS)
    for name, text in files.items():
        files[name] = _with_values(text, values)
    templates = {f"templates/{name}": text for name, text in files.items()}
    schema = json.dumps(_schema(), indent=2) + "\n"
    return {**templates, "values.yaml": _values_text(values), "values.schema.json": schema}


def _by_name(text: str) -> dict[str, str]:
    files = {}
    for part in text.split("\n---\n"):
        item = yaml.safe_load(part)
        name = f"{item['kind'].lower()}{'-admin' if item['metadata']['name'].endswith('-admin') else ''}.yaml"
        files[name] = part.rstrip("\n") + "\n"
    return files


def _conditional(plain: str, changed: str, condition: str) -> str:
    """A text that is `changed` under a condition, and `plain` otherwise."""
    before, after = plain.splitlines(keepends=True), changed.splitlines(keepends=True)
    parts: list[str] = []
    for kind, start, end, new_start, new_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            parts += before[start:end]
            continue
        old, new = before[start:end], after[new_start:new_end]
        middle = ["{{- else }}\n"] if old and new else []
        test = condition if new else f"not {condition}"
        parts += [f"{{{{- if {test} }}}}\n", *new, *middle, *old, "{{- end }}\n"]
    return "".join(parts)


def _with_values(text: str, values: dict[str, Any]) -> str:
    kind = re.search(r"^kind: (\w+)$", text, re.MULTILINE)
    assert kind is not None
    if kind[1] == "ConfigMap":
        item = yaml.safe_load(text)
        values["config"] = item["data"]["gateway.yaml"]
        item["data"]["gateway.yaml"] = "CONFIG"
        text = yaml.safe_dump(item, sort_keys=False).replace("CONFIG", "{{ toJson .Values.config }}")
    for key in VALUES.get(kind[1], ()):
        found = re.search(rf"(?<= {key}: ).+$", text, re.MULTILINE)
        assert found is not None, key
        values[key] = yaml.safe_load(found[0])
        how = "toJson .Values." if isinstance(values[key], str) else ".Values."
        text = text[: found.start()] + f"{{{{ {how}{key} }}}}" + text[found.end() :]
    text = text.replace(f": {TLS_SECRET}\n", ": {{ toJson .Values.tlsSecret }}\n")
    return text.replace("namespace: default", "namespace: {{ .Release.Namespace }}")


def _schema() -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = {
        "config": {"type": "string", "minLength": 1},
        "image": {"type": "string", "minLength": 1, "pattern": "^[^\\s]+$"},
        "maxReplicas": {"type": "integer", "minimum": 1},
        "minReplicas": {"type": "integer", "minimum": 1},
        "serviceMonitor": {"type": "boolean"},
        "tlsSecret": {"type": "string", "pattern": "^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$"},
    }
    properties = {key: {"description": WORDS[key], **kind} for key, kind in kinds.items()}
    head: dict[str, Any] = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
    extra = {"global": {"type": "object"}}  # which Helm adds to those of a subchart
    return {
        **head,
        "properties": {**properties, **extra},
        "required": sorted(properties),
        "additionalProperties": False,
    }


def _values_text(values: dict[str, Any]) -> str:
    lines = ["# Made by tests/real/make_chart.py from overlays/production.\n"]
    for key, value in sorted(values.items(), key=lambda item: (item[0] == "config", item[0])):
        lines.append(f"# {WORDS[key]}\n")
        if key == "config":
            lines += ["config: |\n", *(f"  {line}\n" for line in value.splitlines())]
        else:
            lines.append(f"{key}: {json.dumps(value)}\n")
    return "".join(lines)


if __name__ == "__main__":
    for old in (CHART / "templates").glob("*.yaml"):
        old.unlink()
    for path, content in made().items():
        (CHART / path).write_text(content)
