"""Tokens that change while we run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from gateway.kubernetes.client import ApiClient
from gateway.kubernetes.credentials import REREAD, ExecCredentials, FileToken, Token
from gateway.kubernetes.errors import ApiError
from tests.support.apiserver import PODS, ApiServer, status

VERSION = "client.authentication.k8s.io/v1"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_a_tokens_file_is_read_again_after_a_minute_and_at_once_when_it_was_refused(tmp_path: Path) -> None:
    path, clock = tmp_path / "token", Clock()
    path.write_text("one")
    token = FileToken(path, clock)
    assert await token.headers() == {"Authorization": "Bearer one"}
    path.write_text("two")
    clock.now += REREAD - 1
    assert await token.headers() == {"Authorization": "Bearer one"}
    clock.now += 1
    assert await token.headers() == {"Authorization": "Bearer two"}
    path.write_text("three")
    token.forget()
    assert await token.headers() == {"Authorization": "Bearer three"}


async def test_a_tokens_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match=r"cannot read the token file .*: No such file"):
        await FileToken(tmp_path / "none").headers()


async def test_a_call_that_is_refused_is_made_once_more_with_a_new_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    server = ApiServer()
    await server.start()
    client = ApiClient(server.access(FileToken(path)))
    await client.call("GET", PODS)
    path.write_text("new")
    server.refusals[PODS] = [(401, status(401, "Unauthorized"))]
    await client.call("GET", PODS)
    assert server.tokens == ["Bearer old", "Bearer old", "Bearer new"]
    server.refusals[PODS] = [(401, status(401, "Unauthorized", "who is that?"))] * 2
    with pytest.raises(ApiError, match=r"who is that\?"):
        await client.call("GET", PODS)
    await client.close()
    await server.stop()


def plugin(folder: Path, code: str) -> list[str]:
    path = folder / "plugin.py"
    path.write_text(code)
    return [sys.executable, str(path)]


async def test_a_plugin_is_asked_again_when_its_credential_is_about_to_expire(tmp_path: Path) -> None:
    counter = tmp_path / "count"
    counter.write_text("")
    clock = Clock()
    code = (
        "import json, os, pathlib\n"
        "asked = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "assert (asked['kind'], asked['spec']) == ('ExecCredential', {'interactive': False})\n"
        f"path = pathlib.Path({str(counter)!r}); path.write_text(path.read_text() + 'x')\n"
        "status = {'token': path.read_text(), 'expirationTimestamp': '1970-01-12T14:00:00Z'}\n"
        "print(json.dumps({'status': status}))\n"
    )
    credentials = ExecCredentials(plugin(tmp_path, code), {}, VERSION, clock=clock)
    assert await credentials.headers() == await credentials.headers() == {"Authorization": "Bearer x"}
    clock.now = 1_000_800.0 - 30
    assert await credentials.headers() == {"Authorization": "Bearer xx"}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit('no login\\x1b[2J')", r"ended with 1: no login"),
        ("print('hello')", "did not print an ExecCredential with a token"),
        (f"print({json.dumps(json.dumps({'status': {'token': ''}}))})", "did not print an ExecCredential with a token"),
        (
            f"print({json.dumps(json.dumps({'status': {'token': 't', 'expirationTimestamp': 'soon'}}))})",
            "did not print",
        ),
    ],
)
async def test_a_plugin_that_gives_none(tmp_path: Path, code: str, message: str) -> None:
    with pytest.raises(ApiError, match=message) as error:
        await ExecCredentials(plugin(tmp_path, code), {}, VERSION).headers()
    assert "\x1b" not in str(error.value)


async def test_a_plugin_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="cannot start the credential plugin"):
        await ExecCredentials([str(tmp_path / "none")], {}, VERSION).headers()


async def test_a_token_that_does_not_change() -> None:
    assert await Token("t").headers() == {"Authorization": "Bearer t"}
