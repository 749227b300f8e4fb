"""Who may use the embedded registry: the file, tokens, and both protocols."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import scrypt
from gateway.cli import main
from gateway.errors import RegistryError, StartError
from gateway.registry.base import Registration
from gateway.registry.embedded import users as module
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.users import User, Users
from gateway.registry.nacos.adapter import NacosAdapter
from gateway.registry.nacos.client import Credentials, NacosClient
from gateway.scrypt import hashed
from tests.unit.registry.embedded.test_api import Api

ME = Registration("orders", "10.0.0.1", 80, "gray")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrypt, "COST", 10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "users"
    lines = [User("writer", "write", hashed("w-secret")).line, User("reader", "read", hashed("r-secret")).line]
    file.write_text("# people\n" + "\n".join(lines) + "\n")
    return file


@pytest.fixture
async def registry(file: Path) -> AsyncIterator[EmbeddedRegistry]:
    registry = EmbeddedRegistry("127.0.0.1", 0, warmup=0, users=file)
    await registry.start()
    yield registry
    await registry.stop()


def test_a_token_is_good_for_a_while_for_its_user_as_it_was(file: Path) -> None:
    now = 1000.0
    users = Users(file, lambda: now)
    users.load()
    token = users.log_in("writer", "w-secret")
    assert token is not None
    assert [users.may(token, changes) for changes in (False, True)] == [True, True]
    reading = users.log_in("reader", "r-secret")
    assert reading is not None
    assert [users.may(reading, changes) for changes in (False, True)] == [True, False]
    assert users.log_in("writer", "r-secret") is None
    assert users.log_in("nobody", "nobody") is None
    assert users.log_in("", "nobody") is None
    for wrong in (
        "",
        ".",
        "x.y",
        token[:-1],
        token + "A",
        "é",
        reading.partition(".")[0] + "." + token.partition(".")[2],
    ):
        assert users.may(wrong, False) is None
    again = Users(file, lambda: now)  # a restart
    again.load()
    assert again.may(token, True)
    now += module.TTL + 1
    assert users.may(token, False) is None
    now -= module.TTL
    file.write_text(User("writer", "write", hashed("another")).line)
    users.look()
    assert users.may(token, False) is None
    assert users.may(reading, False) is None


def test_a_file_that_cannot_be_read_changes_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    users = Users(file)
    users.load()
    token = users.log_in("writer", "w-secret")
    assert token is not None
    file.write_text("writer:admin:x\n")
    users.look()
    users.look()
    assert users.may(token, True)
    assert caplog.text.count(f"{file}:1: NAME:read:HASH or NAME:write:HASH is accepted") == 1
    with pytest.raises(StartError, match=":1: NAME:read:HASH"):
        Users(file).load()
    file.unlink()
    users.look()
    assert users.may(token, True)
    with pytest.raises(StartError, match="No such file"):
        Users(file).load()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_roles_hold_over_both_protocols(registry: EmbeddedRegistry, protocol: str) -> None:
    def adapter(user: str = "", password: str = "") -> NacosAdapter:
        return NacosAdapter(NacosClient([registry.address], Credentials(user, password), protocol=protocol))

    writer, reader, nobody = adapter("writer", "w-secret"), adapter("reader", "r-secret"), adapter()
    await writer.register(ME)
    for may_read in (writer, reader):
        assert [item.tag for item in (await anext(may_read.watch("orders"))).instances] == ["gray"]
    wrong = adapter("writer", "wrong")
    for may_not in (reader, nobody, wrong):
        with pytest.raises(RegistryError) as error:
            await may_not.register(ME)
        assert error.value.reason == "auth"
    with pytest.raises(RegistryError) as error:
        await anext(nobody.watch("orders"))
    assert error.value.reason == "auth"
    for client in (writer, reader, nobody, wrong):
        await client.close()


async def test_every_call_but_the_log_in_needs_a_token(registry: EmbeddedRegistry) -> None:
    api = Api(registry)
    for method, path in (
        ("GET", "/nacos/v1/ns/instance/list"),
        ("GET", "/nacos/v1/cs/configs"),
        ("POST", "/nacos/v1/cs/configs/listener"),
        ("PUT", "/nacos/v1/ns/instance/beat"),
        ("DELETE", "/nacos/v3/client/ns/instance"),
        ("GET", "/nowhere"),
    ):
        assert (await api.call(method, path))[0] == 403
    assert (await api.call("GET", "/livez"))[0] == 200
    login = "/nacos/v1/auth/login"
    assert (await api.call("POST", login, username="reader", password="no"))[0] == 403
    status, said = await api.call("POST", login, username="reader", password="r-secret")
    assert (status, said["tokenTtl"], said["username"]) == (200, 18_000, "reader")
    token = said["accessToken"]
    assert (await api.call("GET", "/nacos/v1/ns/service/list", accessToken=token))[0] == 200
    assert await api.call("DELETE", "/nacos/v1/cs/configs", accessToken=token, dataId="a") == (403, module.READ_ONLY)
    where = {"dataId": "a", "group": "G", "content": "x"}  # clients of version 1 show their token in the form
    assert await api.call("POST", "/nacos/v1/cs/configs", {**where, "accessToken": token}) == (403, module.READ_ONLY)
    assert (await api.call("POST", "/nacos/v1/cs/configs", where))[0] == 403
    _, said = await api.call("POST", login, username="writer", password="w-secret")
    published = await api.call("POST", "/nacos/v1/cs/configs", {**where, "accessToken": said["accessToken"]})
    assert published == (200, "true")


def test_the_command_writes_the_file(tmp_path: Path) -> None:
    file, run = tmp_path / "users", CliRunner().invoke
    assert run(main, ["registry", "user", str(file), "a", "--role", "write"], input="one\n").exit_code == 0
    assert run(main, ["registry", "user", str(file), "b"], input="two\n").exit_code == 0
    assert os.stat(file).st_mode & 0o777 == 0o600
    users = Users(file)
    users.load()
    token = users.log_in("a", "one")
    assert token is not None
    assert users.may(token, True)
    assert run(main, ["registry", "user", str(file), "a"], input="three\n").exit_code == 0
    users.look()
    assert users.log_in("a", "one") is None
    assert run(main, ["registry", "user", str(file), "b", "--remove"]).exit_code == 0
    assert [line.partition(":")[0] for line in file.read_text().splitlines()] == ["a"]
    for arguments, said in (
        ([str(file), "a b"], "NAME:read:HASH"),
        ([str(file), "c", "--remove"], "has no user 'c' (it has: a)"),
        ([str(file), "c"], "the password is empty"),
    ):
        refused = run(main, ["registry", "user", *arguments], input="" if "empty" in said else "x\n")
        assert refused.exit_code != 0
        assert said in refused.output


@pytest.mark.parametrize("cost", ["09", "21"])
def test_a_hash_that_takes_too_little_or_too_long_is_none(tmp_path: Path, cost: str) -> None:
    """Too little is guessed quickly; too long, and one log-in takes the machine."""
    line = User("writer", "write", hashed("secret")).line.replace("$10$", f"${cost}$")
    with pytest.raises(ValueError, match=r"users:1: NAME:read:HASH or NAME:write:HASH is accepted"):
        module.parse_users(line, tmp_path / "users")
    assert list(module.parse_users(line.replace(f"${cost}$", "$20$"), tmp_path / "users")) == ["writer"]
