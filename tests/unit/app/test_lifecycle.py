"""What a role opens it closes: after a stop, and after a start that fails or is interrupted, at whichever step."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.app.entry import EntryGateway
from gateway.app.registry import RegistryProgram
from gateway.app.running import Program
from gateway.app.sidecar import Sidecar
from gateway.app.sockets import Sockets
from gateway.errors import ConfigError, GatewayError, StartError
from gateway.proxy.server import bind
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.release.ports import free_port
from gateway.yaml.writing import write_yaml
from tests.support.wait import until

DEAD = "127.0.0.1:9"
"""Nobody listens there."""


PARTS = {
    "entry": [
        "RuleCopies.close",
        "Sockets.release",
        "EmbeddedRegistry.stop",
        "Spans.close",
        "Fleet.close",
        "Registries.close",
        "AdminServer.close",
        "Configuration.close",
        "EntryGateway._drain",
        "Task.cancel",
        "Task.cancel",
        "Task.cancel",
        "Life.leave",
    ],
    "sidecar": [
        "RuleCopies.close",
        "Sockets.release",
        "Spans.close",
        "Plane.close",
        "Registries.close",
        "Records.close",
        "AdminDoor.close",
        "Configuration.close",
        "ApplicationWatch.close",
        "SidecarPlane.drain_outbound",
        "Sidecar._deregister",
        "Sidecar._drain",
        "Sidecar._withdraw",
        "Task.cancel",
        "Life.leave",
    ],
    "registry": ["Sockets.release", "EmbeddedRegistry.stop"],
}
"""How the parts of each role are closed, in the order in which they are opened."""


class Role:
    """A role to be started in this process, with a configuration that opens all that it can open."""

    def __init__(self, folder: Path, name: str, registry: EmbeddedRegistry) -> None:
        self.folder = folder
        self.name = name
        self.ports = {key: free_port() for key in ("listen", "admin", "registry", "inbound", "outbound")}
        self.address = {key: f"127.0.0.1:{port}" for key, port in self.ports.items()}
        (folder / "rules").mkdir()
        (folder / "rules" / "gray.yaml").write_text("lane_groups: []\n")
        certificate = trustme.CA().issue_cert("127.0.0.1")
        (folder / "cert.pem").write_bytes(certificate.cert_chain_pems[0].bytes())
        (folder / "key.pem").write_bytes(certificate.private_key_pem.bytes())
        common: dict[str, Any] = {
            "admin": self.address["admin"],
            # A remote source has a task and a client of its own, whether its server is there or not.
            "rules": ["rules", {"nacos": "lanes", "address": DEAD}],
            "access_log": {"path": "access.log"},
            "tracing": True,
            "state": "state",
            "drain": {"delay": 0, "timeout": "1s"},
        }
        self.config: dict[str, Any] = {
            "entry": {
                **common,
                "listen": self.address["listen"],
                "registry": {"kind": "embedded", "listen": self.address["registry"], "data": "data"},
                "routes": [{"path": "/", "service": "a"}],
                "services": {"a": {"check": {"path": "/", "interval": "10ms"}}},
                "tls": {"certificates": [{"cert": "cert.pem", "key": "key.pem"}]},
            },
            "sidecar": {
                **common,
                "service": "b",
                "app": DEAD,
                "inbound": self.address["inbound"],
                "outbound": self.address["outbound"],
                "registry": {"kind": "nacos", "address": registry.address, "interval": "100ms"},
            },
            "registry": {},
        }[name]
        self.data = folder / "data"

    def program(self) -> Program:
        (self.folder / "config.yaml").write_text(write_yaml(self.config))
        if self.name == "entry":
            return EntryGateway(self.folder / "config.yaml")
        if self.name == "sidecar":
            return Sidecar(self.folder / "config.yaml")
        port = self.ports["listen"]
        return RegistryProgram(EmbeddedRegistry("127.0.0.1", port, warmup=0, data=self.data), "127.0.0.1", port)

    async def start(self, parts: AsyncExitStack, takeover: Path | None = None) -> None:
        """As `running.run` does it, without the signals."""
        sockets = Sockets(takeover)
        try:
            async with parts:
                await self.program().start(parts, sockets)
        finally:
            sockets.close()


@pytest.fixture(params=["entry", "sidecar", "registry"])
def role(request: pytest.FixtureRequest, tmp_path: Path, registry: EmbeddedRegistry) -> Role:
    return Role(tmp_path, request.param, registry)


class Failing(AsyncExitStack):
    """Raises as soon as so many parts are on it: what comes next has failed. With 0 it only counts them."""

    def __init__(self, count: int, error: type[BaseException]) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._count = count
        self._error = error

    def callback(self, callback: Any, /, *args: Any, **kwargs: Any) -> Any:
        super().callback(callback, *args, **kwargs)
        self._added(callback)

    def push_async_callback(self, callback: Any, /, *args: Any, **kwargs: Any) -> Any:
        super().push_async_callback(callback, *args, **kwargs)
        self._added(callback)

    def _added(self, callback: Any) -> None:
        self.parts.append(callback.__qualname__)
        if len(self.parts) == self._count:
            raise self._error


def opened() -> list[str]:
    """The tasks, and what descriptors are open on, of this process."""
    tasks = [str(task.get_coro()) for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:
            continue  # that of the listing itself
    return sorted(tasks + [name for name in found if not name.startswith("/proc")])


def assert_nothing_of(role: Role) -> None:
    for port in role.ports.values():
        bind("127.0.0.1", port).close()


async def leaves_nothing(role: Role, parts: AsyncExitStack, error: type[BaseException] | None) -> None:
    """Starts, whether that fails or not, and looks that afterwards nothing is open that was not before."""
    before = opened()
    if error is None:
        await role.start(parts)
    else:
        with pytest.raises(error):
            await role.start(parts)
    # Connections and watches of the system end in the next turns of the loop.
    await until(lambda: set(opened()) - set(before) == set(), f"{set(opened()) - set(before)} to be closed")
    assert_nothing_of(role)


class Wrong(Exception):
    """What a step may raise."""


async def test_a_stop_closes_all_that_a_start_has_opened_the_last_part_first(role: Role) -> None:
    parts = Failing(0, Wrong)
    await leaves_nothing(role, parts, None)
    assert parts.parts == PARTS[role.name]


@pytest.mark.parametrize("error", [Wrong, asyncio.CancelledError], ids=["fails", "is interrupted"])
async def test_a_start_closes_what_it_has_opened_at_each_of_its_steps(role: Role, error: type[BaseException]) -> None:
    """Every part has a turn in which it is the last one, and the next step is the one that does not come off."""
    for count in range(1, len(PARTS[role.name]) + 1):
        parts = Failing(count, error)
        await leaves_nothing(role, parts, error)
        assert parts.parts == PARTS[role.name][:count]


def taken(key: str) -> Callable[[Role], Any]:
    def prepare(role: Role) -> Any:
        return bind("127.0.0.1", role.ports[key])

    return prepare


def put(*keys: str, value: object) -> Callable[[Role], None]:
    def prepare(role: Role) -> None:
        inner = role.config
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value

    return prepare


def is_a_file(name: str) -> Callable[[Role], None]:
    def prepare(role: Role) -> None:
        (role.folder / name).write_text("not what is expected here")

    return prepare


def is_a_folder(name: str) -> Callable[[Role], None]:
    def prepare(role: Role) -> None:
        (role.folder / name).mkdir()

    return prepare


FAULTS: list[tuple[str, str, Callable[[Role], Any], type[GatewayError], str]] = [
    ("entry", "a key that there is not", put("listne", value="x"), ConfigError, "listne"),
    ("entry", "rules with a problem", is_a_file("rules/gray.yaml"), ConfigError, "gray.yaml"),
    ("entry", "rules that are not there", put("rules", value="nowhere"), ConfigError, "nowhere"),
    ("entry", "a bad certificate", is_a_file("cert.pem"), ConfigError, "is not a certificate"),
    ("entry", "a bad key", is_a_file("key.pem"), ConfigError, "is not the key"),
    ("entry", "listen taken", taken("listen"), StartError, "cannot listen on"),
    ("entry", "admin taken", taken("admin"), StartError, "cannot listen on"),
    ("entry", "registry taken", taken("registry"), StartError, "cannot listen on"),
    ("entry", "data that is a file", is_a_file("data"), StartError, "cannot read the registry's configs"),
    ("entry", "an access log that is a directory", is_a_folder("access.log"), StartError, "cannot open the access log"),
    ("sidecar", "a key that there is not", put("inbuond", value="x"), ConfigError, "inbuond"),
    ("sidecar", "inbound taken", taken("inbound"), StartError, "cannot listen on"),
    ("sidecar", "outbound taken", taken("outbound"), StartError, "cannot listen on"),
    ("sidecar", "admin taken", taken("admin"), StartError, "cannot listen on"),
    ("sidecar", "an access log that is a directory", is_a_folder("access.log"), StartError, "cannot open the access"),
    ("registry", "listen taken", taken("listen"), StartError, "cannot listen on"),
    ("registry", "data that is a file", is_a_file("data"), StartError, "cannot read the registry's configs"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "prepare", "error", "message"),
    [pytest.param(name, *fault, id=f"{name}: {what}") for name, what, *fault in FAULTS],
)
async def test_what_is_in_the_way_of_a_start_is_said_and_nothing_is_left_open(
    tmp_path: Path,
    registry: EmbeddedRegistry,
    name: str,
    prepare: Callable[[Role], Any],
    error: type[GatewayError],
    message: str,
) -> None:
    role = Role(tmp_path, name, registry)
    in_the_way = prepare(role)
    before = opened()
    with pytest.raises(error, match=message):
        await role.start(AsyncExitStack())
    await until(lambda: set(opened()) - set(before) == set(), f"{set(opened()) - set(before)} to be closed")
    if in_the_way is not None:
        in_the_way.close()
    assert_nothing_of(role)


NAMES = {
    "entry": ["listen", "admin", "registry", "registry-grpc"],
    "sidecar": ["inbound", "outbound", "admin"],
    "registry": ["listen", "grpc"],
}
"""The sockets that a supervisor may give a role."""


async def test_a_supervisors_sockets_are_the_ones_that_a_role_listens_on(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is known by its setting's name, and no other address is listened on."""
    given = {name: [bind("127.0.0.1", 0)] for name in NAMES[role.name]}
    names = {name: sock.getsockname() for name, [sock] in given.items()}
    monkeypatch.setattr("gateway.app.sockets.inherited_sockets", lambda: given)
    monkeypatch.setattr("gateway.app.sockets.GRACE", 0.0)
    sockets = Sockets()
    async with AsyncExitStack() as parts:
        await role.program().start(parts, sockets)
        assert {name: sock.getsockname() for name, sock in sockets._used} == names
        assert_nothing_of(role)
        for where in names.values():
            _, writer = await asyncio.open_connection(*where)
            writer.close()
    sockets.close()
    assert [sock.fileno() for _, sock in sockets._used] == [-1] * len(names)


async def test_a_socket_that_a_role_has_not_is_told(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    with bind("127.0.0.1", 0) as stray:
        monkeypatch.setattr("gateway.app.sockets.inherited_sockets", lambda: {"stray": [stray]})
        with pytest.raises(StartError, match="has no socket 'stray'") as raised:
            await role.start(AsyncExitStack())
    for name in NAMES[role.name]:
        assert name in str(raised.value)


async def test_a_takeover_that_cannot_be_offered_leaves_nothing_open(role: Role) -> None:
    (role.folder / "takeover").write_text("somebody's notes")
    with pytest.raises(StartError, match="something else is there"):
        await role.start(AsyncExitStack(), role.folder / "takeover")
    assert (role.folder / "takeover").read_text() == "somebody's notes"
    assert_nothing_of(role)


async def test_a_worker_that_cannot_start_leaves_nothing_open(
    tmp_path: Path, registry: EmbeddedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.app.fleet.WORKER", "gateway.no_such_module")
    role = Role(tmp_path, "entry", registry)
    role.config["workers"] = 2
    with pytest.raises(StartError, match="a worker ended while starting"):
        await role.start(AsyncExitStack())
    assert_nothing_of(role)
