"""From settings to mirrors, with the clients of the servers: loaded if there are sources on servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.kubernetes.access import open_access
from gateway.kubernetes.client import ApiClient
from gateway.registry.consul.client import ConsulClient
from gateway.registry.nacos.client import Credentials, NacosClient, TlsContexts
from gateway.registry.nacos.messages import CONFIG
from gateway.rulesources.consul import ConsulDocument, ConsulFolder
from gateway.rulesources.files import SUFFIXES
from gateway.rulesources.kubernetes import ConfigMapFolder
from gateway.rulesources.lanegroups import LaneGroupFolder
from gateway.rulesources.mirror import AnyMirror, DocumentMirror, FolderMirror, LaneGroupMirror
from gateway.rulesources.nacos import NacosDocument
from gateway.rulesources.remote import copy_path
from gateway.settings import KubernetesRules, RemoteRules, RemoteSource
from gateway.tls.servers import server_tls


def make_mirror(source: RemoteSource, folder: Path, changed: Callable[[str], Awaitable[None]]) -> AnyMirror:
    """The mirror of a source."""
    path = copy_path(source, folder)
    if isinstance(source, KubernetesRules):
        place = source.kubernetes
        client = ApiClient(open_access(place.kubeconfig, place.context))
        if place.name is None:
            return LaneGroupMirror(LaneGroupFolder(client, place.namespace), path, changed)
        return FolderMirror(ConfigMapFolder(client, place.namespace, place.name, SUFFIXES), path, changed)
    assert isinstance(source, RemoteRules)
    address = str(source.address)
    if source.nacos is not None:
        credentials = Credentials(source.username, source.password, source.token)
        tls = TlsContexts.load(source)
        nacos = NacosClient([address], credentials, module=CONFIG, namespace=source.namespace, tls=tls)
        document = NacosDocument(nacos, source.nacos, source.group, source.namespace, source.interval)
        mirror: AnyMirror = DocumentMirror(document, path, changed)
        mirror.renew = lambda: nacos.trust(TlsContexts.load(source))
        return mirror
    assert source.consul is not None
    consul = ConsulClient(address, source.token, scheme=source.scheme, tls=server_tls(source))
    if source.is_folder:
        mirror = FolderMirror(ConsulFolder(consul, source.consul, SUFFIXES), path, changed)
    else:
        mirror = DocumentMirror(ConsulDocument(consul, source.consul), path, changed)
    mirror.renew = lambda: consul.trust(server_tls(source))
    return mirror
