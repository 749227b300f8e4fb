"""Checks of mutual TLS: who is served, and called, without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.app.doctor.finding import OK, WARNING, Finding
from gateway.instance import Instance
from gateway.settings import ServingSettings, SidecarMeshSettings

MOST_NAMED: Final = 5
"""Addresses that a message lists."""


def check_inbound(settings: ServingSettings) -> Iterator[Finding]:
    """Whether a sidecar serves callers without mutual TLS."""
    mesh = settings.mesh
    if not isinstance(mesh, SidecarMeshSettings):
        return
    if mesh.inbound == "required":
        yield Finding("mesh", "mesh.inbound", OK, "only callers with mutual TLS are served")
        return
    hint = "set `inbound: required` as soon as gateway_mesh_requests_total no longer counts `plain`"
    yield Finding("mesh", "mesh.inbound", WARNING, "permissive: callers in plain text are served as well", hint)


def check_instances(settings: ServingSettings, known: Mapping[str, tuple[Instance, ...]]) -> Iterator[Finding]:
    """Whether instances are called in plain text although there is a mesh."""
    mesh = settings.mesh
    if mesh is None:
        return
    for service, instances in known.items():
        own = settings.services.get(service)
        use = mesh.outbound if own is None or own.mtls is None else own.mtls
        if use != "announced" or not instances or (own is not None and own.tls is not None):
            continue
        plain = [item.address for item in instances if not item.announces_mtls]
        if not plain:
            yield Finding("mesh", service, OK, "all instances announce mutual TLS")
            continue
        named = ", ".join(plain[:MOST_NAMED]) + (", …" if len(plain) > MOST_NAMED else "")
        message = (
            f"{len(plain)} of {len(instances)} instances announce no mutual TLS, and are called in plain text: {named}"
        )
        hint = 'give their sidecars a `mesh`; one that has it registers `gray-mtls: "true"`, unless the registry drops that'
        yield Finding("mesh", service, WARNING, message, hint)
