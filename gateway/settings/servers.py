"""How servers are reached that know instances or keep rules: Nacos, Consul."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from gateway.settings.fields import FileName, Host, Model


class ServerSettings(Model):
    """TLS to a server."""

    scheme: Literal["http", "https"] = "http"
    """Whether the server uses TLS; with Nacos over HTTP and gRPC alike."""
    ca: FileName | None = None
    """*https:* the CAs to trust, in PEM, relative to this file. Default: the system's."""
    cert: FileName | None = None
    """*https:* the certificate to show, and its intermediates, in PEM, if the server verifies its clients."""
    key: FileName | None = None
    """*https:* the certificate's private key, in PEM, without a password."""
    server_name: Host | None = None
    """*https:* the name sent (SNI) and verified. Default: the host of the address."""

    @model_validator(mode="after")
    def _is_a_pair(self) -> ServerSettings:
        if (self.cert is None) != (self.key is None):
            raise ValueError("`cert` and `key` belong together")
        return self

    @property
    def is_secured(self) -> bool:
        """Whether it is reached over TLS."""
        return self.scheme == "https"

    @property
    def tls_files(self) -> list[str]:
        """The files that TLS needs."""
        return [file for file in (self.ca, self.cert, self.key) if file is not None and self.is_secured]
