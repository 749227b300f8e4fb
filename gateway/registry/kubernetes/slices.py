"""From EndpointSlices and the labels of pods to the instances of a service. Pure.

https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from gateway.instance import UID_KEY
from gateway.kubernetes.client import Object
from gateway.kubernetes.collection import labels_of
from gateway.protocols import APP_PROTOCOL_KEY
from gateway.registry.base import Listing
from gateway.registry.records import Records
from gateway.registry.tags import TagReader

SERVICE_LABEL: Final = "kubernetes.io/service-name"
POD_KEY: Final = "pod"
"""Metadata of an instance: its pod's name."""
INBOUND_LABEL: Final = "gray-gateway.io/inbound-port"
"""A label of pods with a sidecar: the port of that, which is called in place of the application's."""
_FAMILIES: Final = {"IPv4": 0, "IPv6": 1}


class Port(NamedTuple):
    """One port of a slice."""

    name: str
    number: int
    protocol: str
    """`TCP`, `UDP` or `SCTP`."""
    application: str
    """`appProtocol`, empty if nothing is said."""


_NONE: Final = Port("", 0, "", "")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of a slice. `uid` is its pod's, empty if there is none behind it."""

    address: str
    pod: str
    uid: str
    is_ready: bool
    is_terminating: bool
    node: str
    zone: str


@dataclass(frozen=True, slots=True)
class Slice:
    """What counts of an EndpointSlice."""

    service: str
    family: str
    ports: tuple[Port, ...]
    endpoints: tuple[Endpoint, ...]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pod:
    """What counts of a pod."""

    uid: str
    labels: Mapping[str, str]
    is_leaving: bool = False
    """It was told to end: its address is soon free for others."""


def read_slice(item: Object) -> Slice | None:
    """An EndpointSlice; None for one that belongs to no service."""
    labels = labels_of(item)
    service = labels.get(SERVICE_LABEL, "")
    if not service:
        return None
    return Slice(
        service,
        _text(item.get("addressType")),
        tuple(_port(port) for port in _dicts(item.get("ports"))),
        tuple(found for endpoint in _dicts(item.get("endpoints")) for found in _endpoints(endpoint)),
        labels,
    )


def read_pod(item: Object) -> Pod | None:
    """A pod, from its metadata."""
    metadata = item["metadata"]
    return Pod(_text(metadata.get("uid")), labels_of(item), bool(metadata.get("deletionTimestamp")))


def listing(
    slices: Iterable[Slice],
    pods: Mapping[str, Pod],
    tags: TagReader,
    port: str = "",
    translate: Callable[[str], str] | None = None,
) -> Listing:
    """The instances of one service's slices, one per pod and address.

    `port` is the name or the number of the port that counts; empty: the only one, or the one that says that it is HTTP.
    A pod with addresses of both families is one instance, with its IPv4 address. A pod that is not known (yet) gets no
    traffic: its tag cannot be known either. `translate` gives the address to connect to; tests have pods that are none.
    """
    records = Records(tags)
    seen: set[str] = set()
    for item in sorted(slices, key=lambda item: _FAMILIES.get(item.family, 2)):
        if item.family not in _FAMILIES:
            for endpoint in item.endpoints:
                records.skip("bad_host", endpoint.address)  # FQDN: a name that somebody else resolves
            continue
        chosen, problem = _chosen(item.ports, port)
        family_uids: set[str] = set()
        for endpoint in item.endpoints:
            if endpoint.uid and endpoint.uid in seen:
                continue
            family_uids.add(endpoint.uid)
            shown = endpoint.pod or endpoint.address
            if problem:
                records.skip(problem, shown)
                continue
            pod = pods.get(endpoint.uid) if endpoint.uid else None
            if endpoint.uid and pod is None:
                records.skip("unknown_pod", shown)
                continue
            labels = item.labels if pod is None else pod.labels
            records.add(
                endpoint.address if translate is None else translate(endpoint.address),
                _inbound(labels.get(INBOUND_LABEL), chosen.number),
                1.0,
                {**labels, **_about(endpoint, chosen)},
                endpoint.is_ready,
                not endpoint.is_terminating,
                record_id=shown,
            )
        seen |= family_uids - {""}
    return records.listing()


def uids_of(slices: Iterable[Slice]) -> set[str]:
    """The pods behind a service."""
    return {endpoint.uid for item in slices for endpoint in item.endpoints if endpoint.uid}


def _about(endpoint: Endpoint, port: Port) -> dict[str, str]:
    """What people want to know of an endpoint, and what its port speaks."""
    about = {POD_KEY: endpoint.pod, UID_KEY: endpoint.uid, "node": endpoint.node, "zone": endpoint.zone}
    about[APP_PROTOCOL_KEY] = port.application
    return {key: value for key, value in about.items() if value}


def _inbound(label: str | None, number: int) -> int:
    """The port of a pod's sidecar, if it has one. What is not a port gets no traffic."""
    if label is None:
        return number
    return int(label) if label.isascii() and label.isdigit() else 0


def _chosen(ports: tuple[Port, ...], wanted: str) -> tuple[Port, str]:
    """The port that counts, or why there is none."""
    usable = [port for port in ports if port.protocol in ("", "TCP") and port.number]
    if wanted:
        named = [port for port in usable if port.name == wanted or str(port.number) == wanted]
        return (named[0], "") if named else (_NONE, "no_such_port")
    if len(usable) == 1:
        return usable[0], ""
    http = [port for port in usable if port.name == "http" or port.application.lower() == "http"]
    if len(http) == 1:
        return http[0], ""
    return _NONE, "several_ports" if usable else "bad_port"


def _port(port: Mapping[str, Any]) -> Port:
    number = port.get("port")
    is_number = isinstance(number, int) and not isinstance(number, bool)
    return Port(
        _text(port.get("name")),
        number if is_number and isinstance(number, int) else 0,
        _text(port.get("protocol")),
        _text(port.get("appProtocol")),
    )


def _endpoints(endpoint: Mapping[str, Any]) -> Iterable[Endpoint]:
    """The first address counts: the API says that all of an endpoint are the same."""
    addresses = endpoint.get("addresses")
    if not isinstance(addresses, list) or not addresses or not isinstance(addresses[0], str):
        return
    conditions, target = _dict(endpoint.get("conditions")), _dict(endpoint.get("targetRef"))
    is_pod = target.get("kind") == "Pod"
    is_terminating = conditions.get("terminating") is True
    # Nothing said means ready: so the API has it.
    yield Endpoint(
        addresses[0],
        _text(target.get("name")) if is_pod else "",
        _text(target.get("uid")) if is_pod else "",
        conditions.get("ready") is not False,
        is_terminating,
        _text(endpoint.get("nodeName")),
        _text(endpoint.get("zone")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
