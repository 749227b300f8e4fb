"""Where the webhook's certificate comes from: files that somebody else replaces, or a Secret in which it keeps its own."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from gateway.errors import GatewayError
from gateway.files import read_file
from gateway.injection.pairs import Pair, Pairs, read_pair
from gateway.kubernetes.client import ApiClient, Object
from gateway.kubernetes.errors import ApiError
from gateway.tls.certificates import Certificate

_log = logging.getLogger("gateway.injection")

CONFIGURATIONS: Final = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
NEWEST: Final = ("tls.crt", "tls.key")
PREVIOUS: Final = ("previous.crt", "previous.key")
"""Keys of the Secret."""
ATTEMPTS: Final = 5
"""How often replicas may get in each other's way."""


class Certificates(Protocol):
    """A certificate, followed."""

    async def look(self) -> Certificate | None:
        """The one to use from now on; None: the one in use stays. Raises GatewayError."""
        ...

    async def close(self) -> None:
        """Ends what is held open."""
        ...


class FileCertificates:
    """Two files, as cert-manager and kubelet replace them."""

    def __init__(self, cert: Path, key: Path) -> None:
        self._files = (cert, key)
        self._content: tuple[bytes, ...] = ()

    async def look(self) -> Certificate | None:
        """See Certificates."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> Certificate | None:
        content = tuple(map(_content, self._files))
        if content == self._content:
            return None
        certificate = Certificate(*map(str, self._files))
        self._content = content
        return certificate

    async def close(self) -> None:
        """See Certificates."""


class OwnCertificates:
    """Makes its certificates, keeps them in a Secret, and tells the API server whom to trust in `configuration`.

    `secret` is a name in the namespace of the account, and `clock` gives seconds since 1970. The names of the certificate are
    those by which the API server calls: the configuration has them. Every replica does the same with the same Secret, and
    writes are bound to the version that was read.
    """

    def __init__(
        self, client: ApiClient, secret: str, configuration: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._secret = f"/api/v1/namespaces/{client.access.namespace}/secrets/{secret}"
        self._configuration = f"{CONFIGURATIONS}/{configuration}"
        self._clock = clock
        self._used: Pair | None = None

    async def look(self) -> Certificate | None:
        """See Certificates."""
        for _ in range(ATTEMPTS):
            try:
                pair = await self._pair()
            except ApiError as error:
                if error.status == 409:  # another replica was faster
                    continue
                raise
            if pair == self._used:
                return None
            certificate = await asyncio.to_thread(_loaded, pair)
            self._used = pair
            return certificate
        return None

    async def close(self) -> None:
        """See Certificates."""
        await self._client.close()

    async def _pair(self) -> Pair:
        """The pair to use now, after everybody was told of it."""
        # In this order: whoever changed the configuration had written the Secret before.
        configuration = await self._client.call("GET", self._configuration)
        secret = await self._client.call("GET", self._secret)
        now = self._clock()
        pairs = _kept(secret)
        wanted = pairs.renewed(self._used, _names(configuration), now)
        if wanted != pairs:
            data = {**_data(NEWEST, wanted.newest), **_data(PREVIOUS, wanted.previous)}
            body: Object = {**_version(secret), "data": data}
            await self._client.call("PATCH", self._secret, body=body, content_type="application/merge-patch+json")
            _log.info("the Secret has %s", "a new certificate" if wanted.newest != pairs.newest else "one less")
        trusted = base64.b64encode(wanted.trusted.encode()).decode()
        webhooks = _webhooks(configuration)
        before = {holder.get("caBundle") for _, holder in webhooks}
        if before != {trusted}:
            changed = [{"name": name, "clientConfig": {"caBundle": trusted}} for name, _ in webhooks]
            body = {**_version(configuration), "webhooks": changed}
            content_type = "application/strategic-merge-patch+json"
            await self._client.call("PATCH", self._configuration, body=body, content_type=content_type)
        used = wanted.in_use(_decoded(before.pop()).decode("ascii", "replace") if len(before) == 1 else "", now)
        assert used is not None
        return used


def _kept(secret: Object) -> Pairs:
    data = secret.get("data")
    texts = data if isinstance(data, dict) else {}
    return Pairs(*(read_pair(*(_decoded(texts.get(key)) for key in keys)) for keys in (NEWEST, PREVIOUS)))


def _data(keys: tuple[str, str], pair: Pair | None) -> Mapping[str, str | None]:
    """Null takes a key away (RFC 7396)."""
    if pair is None:
        return dict.fromkeys(keys)
    return {key: base64.b64encode(content).decode() for key, content in zip(keys, (pair.chain, pair.key), strict=True)}


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except binascii.Error:
        return b""


def _version(item: Object) -> Object:
    """What a write is bound to."""
    return {"metadata": {"resourceVersion": item["metadata"]["resourceVersion"]}}


def _webhooks(configuration: Object) -> list[tuple[str, Object]]:
    """Name and `clientConfig` of each."""
    return [(item["name"], item["clientConfig"]) for item in configuration.get("webhooks") or ()]


def _names(configuration: Object) -> frozenset[str]:
    """By which names and addresses the API server calls."""
    found = set()
    for _, client in _webhooks(configuration):
        service = client.get("service")
        found.add(
            f"{service['name']}.{service['namespace']}.svc" if service else urlsplit(client["url"]).hostname or ""
        )
    if not found:
        name = configuration["metadata"]["name"]
        raise GatewayError(f"the MutatingWebhookConfiguration {name} has no webhooks")
    return frozenset(found)


def _loaded(pair: Pair) -> Certificate:
    """OpenSSL reads a pair from files only: they are there for a moment, for us alone."""
    with tempfile.TemporaryDirectory() as folder:
        cert, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
        cert.write_bytes(pair.chain)
        key.touch(0o600)
        key.write_bytes(pair.key)
        return Certificate(str(cert), str(key))


def _content(file: Path) -> bytes:
    """Of a file that cannot be read, nothing: that is told when it is used."""
    try:
        return read_file(file)
    except OSError:
        return b""
