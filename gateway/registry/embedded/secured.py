"""TLS of the embedded registry: one certificate for both of its protocols, read again when its files change."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from gateway.errors import StartError
from gateway.tls.certificates import Certificate, ListenerTLS
from gateway.tls.contexts import CertificateError

_log = logging.getLogger("gateway.registry")


class RegistryTLS:
    """What both listeners need. Raises StartError if the files cannot be used."""

    def __init__(self, cert: str, key: str) -> None:
        self._files = (cert, key)
        try:
            self._seen = self._stamp()
            first, second = self._load()
        except (CertificateError, OSError) as error:
            raise StartError(f"the registry's certificate: {error}") from error
        self._http, self._grpc = ListenerTLS([first]), ListenerTLS([second], alpn=["h2"])

    @property
    def http(self) -> ssl.SSLContext:
        """For HTTP."""
        return self._http.context

    @property
    def grpc(self) -> ssl.SSLContext:
        """For gRPC, which begins with another protocol's name."""
        return self._grpc.context

    def look(self) -> None:
        """Takes another certificate if the files have changed; one that cannot be used changes nothing."""
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return
            self._seen = stamp
            first, second = self._load()
        except (CertificateError, OSError) as error:
            _log.error("keeping the registry's old certificate: %s", error)
            return
        self._http.replace([first])
        self._grpc.replace([second])
        _log.info("the registry's certificate was replaced; it expires on %s", first.expires.date())

    def _load(self) -> tuple[Certificate, Certificate]:
        return Certificate(*self._files), Certificate(*self._files)

    def _stamp(self) -> list[tuple[int, int]]:
        found = [Path(file).stat() for file in self._files]
        return [(item.st_mtime_ns, item.st_size) for item in found]
