"""Writes the Helm chart from the Kustomize overlay for production, of which it is the same with values in a few places.

Run it after a change of `config/kubernetes`: `python -m tests.real.make_chart`. A test compares.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.kubernetes import FOUND

FOLDER: Final = Path(__file__).parents[2] / "config" / "kubernetes"
CHART: Final = FOLDER / "chart"
PRODUCTION: Final = FOLDER / "overlays" / "production"
VALUES: Final = {"Deployment": ["image"], "HorizontalPodAutoscaler": ["minReplicas", "maxReplicas"]}
"""The fields of each kind that are values of the chart."""


def rendered(folder: Path = PRODUCTION) -> str:
    """What Kustomize makes of a folder."""
    program = FOUND["kubectl"]
    assert program is not None
    command = [program, "kustomize", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def templates(text: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The chart's templates by name, and its default values, of a stream of objects."""
    files: dict[str, str] = {}
    values: dict[str, Any] = {}
    for part in text.split("\n---\n"):
        item = yaml.safe_load(part)
        kind = item["kind"]
        if kind == "ConfigMap":
            values["config"] = item["data"]["gateway.yaml"]
            item["data"]["gateway.yaml"] = "CONFIG"
            part = yaml.safe_dump(item, sort_keys=False).replace("CONFIG", "{{ toJson .Values.config }}")
        for key in VALUES.get(kind, ()):
            found = re.search(rf"(?<= {key}: ).+$", part, re.MULTILINE)
            assert found is not None, key
            values[key] = yaml.safe_load(found[0])
            part = part[: found.start()] + "{{ .Values." + key + " }}" + part[found.end() :]
        part = part.replace("namespace: default", "namespace: {{ .Release.Namespace }}")
        name = f"{kind.lower()}{'-admin' if item['metadata']['name'].endswith('-admin') else ''}.yaml"
        files[name] = part.rstrip("\n") + "\n"
    return files, values


def values_text(values: dict[str, Any]) -> str:
    """`values.yaml`."""
    plain = "".join(f"{key}: {json.dumps(value)}\n" for key, value in sorted(values.items()) if key != "config")
    config = "".join(f"  {line}\n" for line in values["config"].splitlines())
    return f"# Made by tests/real/make_chart.py from overlays/production.\n{plain}# The gateway's configuration, as a text.\nconfig: |\n{config}"


if __name__ == "__main__":
    made, defaults = templates(rendered())
    for old in (CHART / "templates").glob("*.yaml"):
        old.unlink()
    for name, content in made.items():
        (CHART / "templates" / name).write_text(content)
    (CHART / "values.yaml").write_text(values_text(defaults))
