"""The registry over TLS, by both protocols, and a certificate that is replaced while it runs."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
import trustme

from gateway.errors import RegistryError, StartError
from gateway.registry.base import Registration
from gateway.registry.embedded.secured import RegistryTLS
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.nacos.adapter import NacosAdapter
from gateway.registry.nacos.client import NacosClient, TlsContexts
from gateway.settings.servers import ServerSettings

ME = Registration("orders", "10.0.0.1", 80, "gray")


class Authority:
    """An authority, with the files of a certificate for this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.cert, self.key = str(folder / "cert.pem"), str(folder / "key.pem")
        self.issue()

    def issue(self) -> str:
        """Writes a new certificate of a new authority; the file of that."""
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_pem.write_to_path(self.key)
        certificate.cert_chain_pems[0].write_to_path(self.cert)
        os.utime(self.cert, ns=(os.stat(self.cert).st_mtime_ns + 1, os.stat(self.cert).st_mtime_ns + 1))
        self.ca = str(self._folder / f"ca-{len(list(self._folder.iterdir()))}.pem")
        authority.cert_pem.write_to_path(self.ca)
        return self.ca


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_both_protocols_are_spoken_over_tls(tmp_path: Path, protocol: str) -> None:
    authority = Authority(tmp_path)
    registry = EmbeddedRegistry("127.0.0.1", 0, warmup=0, tls=(authority.cert, authority.key))
    await registry.start()

    def adapter(tls: TlsContexts | None) -> NacosAdapter:
        return NacosAdapter(NacosClient([registry.address], protocol=protocol, tls=tls))

    trusting = adapter(TlsContexts.load(ServerSettings(scheme="https", ca=authority.ca)))
    await trusting.register(ME)
    assert [item.tag for item in (await anext(trusting.watch("orders"))).instances] == ["gray"]
    for wrong in (adapter(None), adapter(TlsContexts.load(ServerSettings(scheme="https")))):
        with pytest.raises(RegistryError):
            await anext(wrong.watch("orders"))
        await wrong.close()
    await trusting.close()
    await registry.stop()


def test_a_certificate_is_replaced_by_one_that_can_be_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = Authority(tmp_path)
    tls = RegistryTLS(authority.cert, authority.key)

    def issuer_is(ca: str) -> bool:
        client = ssl.create_default_context(cafile=ca)
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        asking = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
        serving = tls.grpc.wrap_bio(to_server, to_client, server_side=True)
        for _ in range(4):
            for side in (asking, serving):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError:
                    return False
        return True

    first = authority.ca
    assert issuer_is(first)
    second = authority.issue()
    tls.look()
    assert issuer_is(second)
    assert not issuer_is(first)
    Path(authority.cert).write_text("nothing")
    tls.look()
    tls.look()
    assert caplog.text.count("keeping the registry's old certificate") == 1
    assert issuer_is(second)
    with pytest.raises(StartError, match=r"the registry's certificate: .*cert\.pem"):
        RegistryTLS(authority.cert, authority.key)
