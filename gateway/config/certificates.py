"""From settings to certificates: read when a configuration is checked, and again by each process that uses them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from gateway.config.sense import registries
from gateway.errors import Problem
from gateway.settings import (
    AnyRegistrySettings,
    EmbeddedRegistrySettings,
    GatewaySettings,
    ListenTLSSettings,
    ServingSettings,
)
from gateway.tls.certificates import Certificate
from gateway.tls.contexts import CertificateError, UpstreamTLS
from gateway.yaml.reading import Document, Location, dotted

T = TypeVar("T")


def listener_certificates(tls: ListenTLSSettings) -> list[Certificate]:
    """The listener's certificates in order. Raises CertificateError."""
    return [Certificate(item.cert, item.key) for item in tls.certificates]


def upstream_tls(settings: ServingSettings) -> dict[str, UpstreamTLS]:
    """How services that speak TLS are spoken to, by name. Raises CertificateError."""
    return {
        name: UpstreamTLS.load(service.tls.ca, service.tls.server_name or "", service.tls.verify)
        for name, service in settings.services.items()
        if service.tls is not None
    }


def certificate_files(settings: ServingSettings) -> list[str]:
    """Every file that the above read."""
    files = [service.tls.ca for service in settings.services.values() if service.tls is not None and service.tls.ca]
    files += [item.authorities for item in _secured(settings).values() if item.authorities is not None]
    if isinstance(settings, GatewaySettings) and settings.tls is not None:
        for item in settings.tls.certificates:
            files += [item.cert, item.key]
    return files


def _secured(settings: ServingSettings) -> dict[Location, AnyRegistrySettings]:
    """The registries that are reached over TLS, by where they stand."""
    return {place: item for place, item in registries(settings) if item.is_secured}


def certificate_problems(settings: ServingSettings, document: Document) -> list[Problem]:
    """What is wrong with the files, each problem at the setting that names it."""
    problems: list[Problem] = []

    def attempt(load: Callable[[], T], location: Location) -> None:
        try:
            load()
        except CertificateError as error:
            problems.append(document.problem(location, f"{dotted(location)}: {error.message}"))

    if isinstance(settings, GatewaySettings) and settings.tls is not None:
        for index, item in enumerate(settings.tls.certificates):
            attempt(lambda item=item: Certificate(item.cert, item.key), ("tls", "certificates", index))  # type: ignore[misc]
    for place, registry in registries(settings):
        if isinstance(registry, EmbeddedRegistrySettings) and registry.tls is not None:
            attempt(partial(Certificate, registry.tls.cert, registry.tls.key), (*place, "tls"))
    for place, registry in _secured(settings).items():
        attempt(lambda registry=registry: UpstreamTLS.load(registry.authorities, "", True), (*place, "ca"))  # type: ignore[misc]
    for name, service in settings.services.items():
        tls = service.tls
        if tls is not None and (tls.verify or tls.ca is None):
            attempt(lambda tls=tls: UpstreamTLS.load(tls.ca, "", tls.verify), ("services", name, "tls", "ca"))  # type: ignore[misc]
    return problems
