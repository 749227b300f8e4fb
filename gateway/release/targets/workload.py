"""What a rendered manifest asks for, as far as processes on one machine can give it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import GatewayError
from gateway.release.targets.base import Revision
from gateway.settings.registry import DEFAULT_TAG_KEYS
from gateway.tags import BASE, is_tag
from gateway.yaml.reading import parse_verbatim

SERVICE_LABEL: Final = "msePilotCreateAppName"
"""The label that names the service in the registry."""
_WORKLOADS: Final = ("Deployment", "StatefulSet", "CloneSet")
_VARIABLE: Final = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


@dataclass(frozen=True, slots=True)
class Workload:
    """A service's instances."""

    service: str
    tag: str
    replicas: int
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ready_path: str | None
    """What is asked for by GET until an instance is ready; None: nothing."""


def workload_of(revision: Revision) -> Workload:
    """The workload of a revision's manifest. Raises GatewayError if there is none that processes can be made of."""
    found = [item for item in _documents(revision.manifest) if item.get("kind") in _WORKLOADS]
    if len(found) != 1:
        kinds = ", ".join(_WORKLOADS)
        raise GatewayError(f"the target `processes` wants one document of kind {kinds}; the manifest has {len(found)}")
    spec = _mapping(found[0], "spec")
    pod = _mapping(spec, "template")
    labels = {str(key): str(value) for key, value in _mapping(_mapping(pod, "metadata"), "labels").items()}
    containers = _mapping(pod, "spec").get("containers")
    container = containers[0] if isinstance(containers, list) and containers and isinstance(containers[0], dict) else {}
    command = [*_words(container.get("command")), *_words(container.get("args"))]
    if not container.get("command"):
        # As an image's entry point: what the application says of the image that the container is made of.
        name = next((name for name, image in revision.images.items() if image == container.get("image")), None)
        command = [*revision.commands.get(name or "", []), *command]
    if not command:
        raise GatewayError("nothing says what an instance runs: the container has no `command`, nor has its image one")
    tag = next((labels[key] for key in DEFAULT_TAG_KEYS if key in labels), BASE)
    if not is_tag(tag):
        raise GatewayError(f"the tag of the pods' labels is none: {tag!r}")
    return Workload(
        labels.get(SERVICE_LABEL) or revision.service,
        tag,
        _replicas(spec.get("replicas", "1")),
        tuple(command),
        _environment(container.get("env")),
        _ready_path(container),
    )


def expand(text: str, known: Mapping[str, str]) -> str:
    """A text with `$(NAME)` filled in, as Kubernetes does it: `$$` is a dollar, and what is not known stays as it is."""
    return _VARIABLE.sub(lambda found: "$" if found[0] == "$$" else known.get(found[1], found[0]), text)


def _documents(manifest: str) -> list[dict[str, Any]]:
    parts = re.split(r"^---\s*$", manifest, flags=re.MULTILINE)
    found = [parse_verbatim(part, "manifest").data for part in parts if part.strip()]
    return [item for item in found if isinstance(item, dict)]


def _mapping(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}


def _words(value: Any) -> list[str]:
    return [str(word) for word in value if word is not None] if isinstance(value, list) else []


def _replicas(value: Any) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", str(value)):
        raise GatewayError(f"replicas: a number from 0 to 9999 is accepted; found {value!r}")
    return int(value)


def _environment(value: Any) -> dict[str, str]:
    items = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    return {str(item["name"]): str(item.get("value") or "") for item in items if item.get("name")}


def _ready_path(container: Mapping[str, Any]) -> str | None:
    path = _mapping(_mapping(container, "readinessProbe"), "httpGet").get("path")
    return path if isinstance(path, str) and path.startswith("/") else None
