"""Pods as a team writes them."""

from __future__ import annotations

from typing import Any

MSE = {"msePilotAutoEnable": "on", "msePilotCreateAppName": "spring-cloud-a"}


def pod(labels: dict[str, str] | None = None, **spec: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    container = {"name": "app", "image": "a:1", "ports": [{"containerPort": 8080}]}
    return {"labels": MSE if labels is None else labels}, {"containers": [container], **spec}
