"""From a pod as somebody wrote it to the same with a sidecar. Pure.

A native sidecar is an init container that goes on running: it is up before the application, and ends after it.
https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.hop import PROTOCOL_KEY, SIDECAR_KEY
from gateway.injection.interception import NETWORKS, PORTS, USER, Interception, runs_as_sidecar
from gateway.protocols import H2C
from gateway.registry.kubernetes.slices import INBOUND_LABEL
from gateway.registry.tags import TagReader
from gateway.tags import INVALID

NAME: Final = "gray-sidecar"
"""The container."""
PREFIX: Final = "gray-gateway.io/"
WANTED: Final = ((f"{PREFIX}inject", "true"), ("msePilotAutoEnable", "on"))
"""Labels that ask for a sidecar. The first one decides if it is there: with another value it asks for none."""
SERVICE_LABELS: Final = (f"{PREFIX}service", "msePilotCreateAppName")
PORT: Final = f"{PREFIX}port"
HTTP_PROXY: Final = f"{PREFIX}http-proxy"
"""Annotations: the port of the application, by name or number, and whether it calls others through the sidecar by itself."""
INTERCEPT: Final = f"{PREFIX}intercept"
INTERCEPT_PORTS: Final = f"{PREFIX}intercept-ports"
INTERCEPT_NETWORKS: Final = f"{PREFIX}intercept-networks"
"""Annotations: whether calls are redirected to the sidecar, and which."""
INBOUND: Final = 15080
OUTBOUND: Final = 15081
ADMIN: Final = 15082
"""Ports of the sidecar, as in `config/kubernetes/sidecar.yaml`."""
SETTLING: Final = 5
"""Seconds that the application goes on serving after its pod was told to end, until callers have noticed."""
LONGEST_SHOWN: Final = 80
"""Characters of an annotation that are shown."""
UNPROXIED: Final = "localhost,127.0.0.1,::1,169.254.169.254,kubernetes.default.svc"

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """`image` of the sidecar. `is_native`: as an init container that goes on running, of Kubernetes 1.29 and later."""

    image: str
    is_native: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """`metadata` and `spec` of the pod as they should be. `left_alone` says why they are as they were; empty if they are not."""

    metadata: Object
    spec: Object
    left_alone: str = ""


class Refused(Exception):
    """A pod that asks for a sidecar, and cannot have one."""


def inject(metadata: Object, spec: Object, options: Options) -> Outcome:
    """Adds a sidecar to a pod that asks for one. Raises Refused if it cannot have one. The arguments stay as they are."""
    why = _left_alone(metadata, spec)
    if why:
        return Outcome(metadata, spec, why)
    _require_shape(spec)
    if spec.get("hostNetwork") is True:
        raise Refused("it has the node's network: a sidecar needs its own address")
    labels = _texts(metadata.get("labels"))
    service = next((labels[key] for key in SERVICE_LABELS if labels.get(key)), "")
    if not service:
        raise Refused(f"the label {SERVICE_LABELS[0]} (or {SERVICE_LABELS[1]}) has to say which service it is")
    tag = TagReader().tag_of(labels)
    if tag == INVALID:
        raise Refused("its labels say two tags, or one that is none")
    annotations = _texts(metadata.get("annotations"))
    port = _port(spec, annotations.get(PORT, ""))
    metadata, spec = copy.deepcopy(metadata), copy.deepcopy(spec)
    metadata["labels"] = {**labels, INBOUND_LABEL: str(INBOUND), SIDECAR_KEY: service, PROTOCOL_KEY: H2C}
    for container in _containers(spec):
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": SETTLING}}, **(container.get("lifecycle") or {})}
        if annotations.get(HTTP_PROXY) == "true":
            _call_through(container)
    container = _sidecar(options, service, tag, port)
    before = []
    if annotations.get(INTERCEPT) == "true":
        interception = _interception(spec, annotations)
        before = [interception.container(options.image, OUTBOUND)]
        container["securityContext"] |= {"runAsUser": USER, "runAsGroup": USER}
    own = spec.get("initContainers") or []
    if options.is_native:
        spec["initContainers"] = [*before, {**container, "restartPolicy": "Always"}, *own]
    else:
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": SETTLING}}}
        spec["containers"] = [*spec["containers"], container]
        if before:
            spec["initContainers"] = [*own, *before]  # calls of the others would find no sidecar yet
    return Outcome(metadata, spec)


def _interception(spec: Object, annotations: Mapping[str, str]) -> Interception:
    if runs_as_sidecar([spec, *_containers(spec), *_containers(spec, "initContainers")]):
        raise Refused(f"the user {USER} is the sidecar's, whose calls are not redirected")
    try:
        return Interception(annotations.get(INTERCEPT_PORTS, PORTS), annotations.get(INTERCEPT_NETWORKS, NETWORKS))
    except ValueError as error:
        raise Refused(f"the annotations {INTERCEPT_PORTS} and {INTERCEPT_NETWORKS}: {error}") from error


def _require_shape(spec: Object) -> None:
    """Raises Refused for what the API server would not take: there is nothing to which a sidecar could be added."""
    if not spec.get("containers"):
        raise Refused("it has no containers")
    for key in ("containers", "initContainers"):
        if not _is_list_of_objects(spec.get(key)):
            raise Refused(f"its {key} are not a list of containers")
    for container in _containers(spec):
        lists = all(_is_list_of_objects(container.get(key)) for key in ("ports", "env"))
        if not lists or not isinstance(container.get("lifecycle") or {}, dict):
            raise Refused(f"its container {container.get('name')!r} has `ports`, `env` or `lifecycle` of another form")


def _is_list_of_objects(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(item, dict) for item in value))


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536


def _left_alone(metadata: Object, spec: Object) -> str:
    labels = _texts(metadata.get("labels"))
    own = next(((key, value) for key, value in WANTED if key in labels), None)
    if own is None or labels[own[0]] != own[1]:
        return "it does not ask for a sidecar"
    if any(item.get("name") == NAME for item in (*_containers(spec), *_containers(spec, "initContainers"))):
        return "it has a sidecar already"
    system = spec.get("os")
    selector = _texts(spec.get("nodeSelector"))
    if (isinstance(system, dict) and system.get("name") == "windows") or selector.get("kubernetes.io/os") == "windows":
        return "it runs on Windows, for which there is no image"
    return ""


def _port(spec: Object, wanted: str) -> int:
    """The application's port: the one that is wanted by name or number, the only one, or the one named `http`."""
    found = [port for container in _containers(spec) for port in _containers(container, "ports")]
    ports: list[tuple[Any, int]] = [
        (port.get("name"), port["containerPort"]) for port in found if _is_port(port.get("containerPort"))
    ]
    if wanted.isascii() and wanted.isdigit() and _is_port(int(wanted[:6])):
        return int(wanted)
    named = [number for name, number in ports if name == (wanted or "http")]
    if not wanted and len(ports) == 1:
        return ports[0][1]
    if len(named) == 1:
        return named[0]
    if wanted:
        raise Refused(
            f"the annotation {PORT} says {wanted[:LONGEST_SHOWN]!r}, and no container has a port of that name"
        )
    raise Refused(f"its containers have {len(ports)} ports: the annotation {PORT} has to say which one serves")


def _sidecar(options: Options, service: str, tag: str, port: int) -> Object:
    values = {"SERVICE": service, "TAG": tag, "APP_PORT": str(port)}
    return {
        "name": NAME,
        "image": options.image,
        "args": ["sidecar", "-c", "config/kubernetes/sidecar.yaml"],
        "env": [{"name": name, "value": value} for name, value in values.items()],
        "ports": [{"name": "gray-inbound", "containerPort": INBOUND}, {"name": "gray-admin", "containerPort": ADMIN}],
        # It has started when it is alive: ready it is only after the application, which waits for it.
        "startupProbe": {"httpGet": {"path": "/livez", "port": ADMIN}, "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": ADMIN}, "periodSeconds": 2, "timeoutSeconds": 2},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _call_through(container: Object) -> None:
    """Variables that most HTTP clients heed; those that are there stay."""
    environment = container["env"] = [*(container.get("env") or ())]
    known = {item.get("name") for item in environment if isinstance(item, dict)}
    proxy = f"http://127.0.0.1:{OUTBOUND}"
    for name, value in {"HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": UNPROXIED, "no_proxy": UNPROXIED}.items():
        if name not in known:
            environment.append({"name": name, "value": value})


def _containers(holder: Object, key: str = "containers") -> list[Object]:
    found = holder.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _texts(value: Any) -> Mapping[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {key: text for key, text in pairs if isinstance(key, str) and isinstance(text, str)}
