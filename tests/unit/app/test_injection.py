"""The webhook's program: over TLS, with a certificate that somebody else replaces."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme
from aiohttp import ClientConnectorError, ClientSession

from gateway.app.injection import InjectionProgram
from gateway.app.sockets import Sockets
from gateway.errors import ConfigError
from gateway.injection.certificates import FileCertificates
from gateway.injection.pod import Options


def issue(folder: Path) -> trustme.CA:
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    issued.private_key_pem.write_to_path(folder / "tls.key")
    return authority


async def alive(port: int, authority: trustme.CA) -> str:
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    async with ClientSession() as session, session.get(f"https://localhost:{port}/livez", ssl=context) as response:
        return await response.text()


async def test_a_new_certificate_is_used_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    old = issue(tmp_path)
    program = InjectionProgram(
        "127.0.0.1", 0, FileCertificates(tmp_path / "tls.crt", tmp_path / "tls.key"), Options("x")
    )
    parts = AsyncExitStack()
    await program.start(parts, Sockets())
    assert await alive(program.port, old) == "ok\n"
    new = issue(tmp_path)
    await program.reload()
    assert await alive(program.port, new) == "ok\n"
    with pytest.raises(ClientConnectorError):
        await alive(program.port, old)
    (tmp_path / "tls.crt").write_text("junk")
    await program.reload()
    assert await alive(program.port, new) == "ok\n"
    await parts.aclose()


async def test_a_certificate_that_is_not_there(tmp_path: Path) -> None:
    files = FileCertificates(tmp_path / "none", tmp_path / "none")
    parts = AsyncExitStack()
    with pytest.raises(ConfigError, match="cannot read"):
        await InjectionProgram("127.0.0.1", 0, files, Options("x")).start(parts, Sockets())
    await parts.aclose()
