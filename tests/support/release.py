"""A folder of release files, small and complete, to change one thing in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ORCHESTRATION = """\
template: app.tpl
placeholders:
  - {name: replicas, type: number, value: 1, rule: "[1-9][0-9]?"}
"""
SCRIPT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-{{ .AppStack.envName }}
spec:
  replicas: {{ .Values.replicas }}
  template:
    metadata:
      labels:
        app: app
        {{ if eq .AppStack.envName "gray" }}alicloud.service.tag: gray{{ end }}
    spec:
      containers:
        - name: backend
          image: {{ .AppStack.image.backend }}
"""
WORKFLOW = """\
stages:
  - name: gray
    steps:
      - deploy: {environment: gray}
      - lane: {group: demo, lane: gray, action: open}
  - name: production
    steps:
      - approve: {by: [alice]}
      - deploy: {environment: prod}
  - name: cleanup
    steps:
      - lane: {group: demo, lane: gray, action: close}
      - cleanup: {environment: gray}
"""
APP = """\
service: {service}
{calls}images: {{backend: {{command: [run, {service}]}}}}
environments: {{gray: {{}}, prod: {{}}}}
orchestration: app
workflow: release
"""

FILES = {
    "apps/a.yaml": APP.format(service="service-a", calls="calls: [service-b]\n"),
    "apps/b.yaml": APP.format(service="service-b", calls="calls: [service-c]\n"),
    "apps/c.yaml": APP.format(service="service-c", calls=""),
    "environments/gray.yaml": "level: gray\n",
    "environments/prod.yaml": "level: prod\n",
    "orchestrations/app.yaml": ORCHESTRATION,
    "orchestrations/app.tpl": SCRIPT,
    "workflows/release.yaml": WORKFLOW,
}


def write_files(folder: Path, changed: Mapping[str, str | None] | None = None) -> Path:
    """Writes the files, with some of them changed, or left out where they are None."""
    for name, text in {**FILES, **(changed or {})}.items():
        if text is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder
