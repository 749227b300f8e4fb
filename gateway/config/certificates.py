"""From settings to certificates: read when a configuration is checked, and again by each process that uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from gateway.errors import Problem
from gateway.protocols import HTTP1
from gateway.settings import ListenTLSSettings, ServingSettings, SidecarMeshSettings
from gateway.settings.fields import Model
from gateway.settings.servers import ServerSettings
from gateway.settings.sidecar import SidecarSettings
from gateway.tls.certificates import Certificate
from gateway.tls.contexts import CertificateError, UpstreamTLS
from gateway.tls.mesh import Mesh, Secured, Use
from gateway.tls.servers import server_tls
from gateway.yaml.reading import Document, Location, dotted

T = TypeVar("T")

_FILES: Final = ("ca", "cert", "key")


def listener_certificates(tls: ListenTLSSettings) -> list[Certificate]:
    """The listener's certificates in order. Raises CertificateError."""
    return [Certificate(item.cert, item.key) for item in tls.certificates]


def upstream_tls(settings: ServingSettings) -> dict[str, UpstreamTLS]:
    """How services that speak TLS are spoken to, by name. Raises CertificateError."""
    return {
        name: UpstreamTLS.load(
            service.tls.ca, service.tls.server_name or "", service.tls.verify, is_multiplexed=service.protocol != HTTP1
        )
        for name, service in settings.services.items()
        if service.tls is not None
    }


def registry_tls(settings: ServingSettings) -> dict[str, UpstreamTLS]:
    """How registries that are reached over TLS are, by name. Raises CertificateError."""
    registries = settings.all_registries.items()
    found = {name: server_tls(item) for name, item in registries if isinstance(item, ServerSettings)}
    return {name: tls for name, tls in found.items() if tls is not None}


def mesh_of(settings: ServingSettings) -> Mesh | None:
    """This program as a member of its mesh, if there is one. Raises CertificateError."""
    mesh = settings.mesh
    if mesh is None:
        return None
    peers = mesh.peers if isinstance(mesh, SidecarMeshSettings) else ()
    return Mesh(cert=mesh.cert, key=mesh.key, ca=mesh.ca, identity=mesh.identity, peers=peers)


def secured(settings: ServingSettings, mesh: Mesh | None) -> Secured:
    """How instances are spoken to. Raises CertificateError."""
    use: dict[str, Use] = {name: item.mtls for name, item in settings.services.items() if item.mtls is not None}
    default: Use = "announced" if settings.mesh is None else settings.mesh.outbound
    return Secured(upstream_tls(settings), mesh, use, default)


def certificate_files(settings: ServingSettings) -> list[str]:
    """Every file that the above read."""
    files = [service.tls.ca for service in settings.services.values() if service.tls is not None and service.tls.ca]
    for server in _servers(settings).values():
        files += server.tls_files
    for item in () if settings.listener_tls is None else settings.listener_tls.certificates:
        files += [item.cert, item.key]
    if settings.mesh is not None:
        files += [settings.mesh.cert, settings.mesh.key, settings.mesh.ca]
    return files


def _servers(settings: ServingSettings) -> dict[Location, ServerSettings]:
    """The servers that may be reached over TLS, by where they are in the file."""
    rules = [(("rules", number), source) for number, source in enumerate(settings.rules)]
    places: list[tuple[Location, object]] = [*settings.placed_registries(), *rules]
    return {place: item for place, item in places if isinstance(item, ServerSettings)}


def certificate_problems(settings: ServingSettings, document: Document) -> list[Problem]:
    """What is wrong with the files, each problem at the setting that names it."""
    problems: list[Problem] = []

    def attempt(load: Callable[[], T], location: Location, named_in: Model | None = None) -> None:
        try:
            load()
        except CertificateError as error:
            # At the setting that names the very file, if there are several.
            name = next((name for name in _FILES if getattr(named_in, name, None) == error.file), None)
            location = location if name is None else (*location, name)
            problems.append(document.problem(location, f"{dotted(location)}: {error.message}"))

    for index, item in enumerate(() if settings.listener_tls is None else settings.listener_tls.certificates):
        attempt(lambda item=item: Certificate(item.cert, item.key), ("tls", "certificates", index))  # type: ignore[misc]
    attempt(lambda: _checked(mesh_of(settings), settings), ("mesh",), settings.mesh)
    if settings.embedded_registry is not None and settings.embedded_registry.tls is not None:
        pair = settings.embedded_registry.tls
        place = next(place for place, item in settings.placed_registries() if item is settings.embedded_registry)
        attempt(lambda: Certificate(pair.cert, pair.key), (*place, "tls"))
    for place, server in _servers(settings).items():
        attempt(lambda server=server: server_tls(server), place, server)  # type: ignore[misc]
    for name, service in settings.services.items():
        tls = service.tls
        if tls is not None and (tls.verify or tls.ca is None):
            attempt(lambda tls=tls: UpstreamTLS.load(tls.ca, "", tls.verify), ("services", name, "tls", "ca"))  # type: ignore[misc]
    return problems


def _checked(mesh: Mesh | None, settings: ServingSettings) -> None:
    """Raises CertificateError if nobody would take this program for what it is."""
    if mesh is None:
        return
    file, names = mesh.certificate.file, ", ".join(mesh.certificate.identities) or "nobody that has a name"
    if not mesh.name:
        raise CertificateError(file, f"'{file}' is of {names}, which is outside the trust domain of `mesh.identity`")
    if isinstance(settings, SidecarSettings) and not mesh.is_of(settings.service):
        expected = mesh.towards(settings.service).expected
        text = "" if expected is None else expected.text
        raise CertificateError(file, f"'{file}' is of {names}; peers expect {text} (`mesh.identity`)")
