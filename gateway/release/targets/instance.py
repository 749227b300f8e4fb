"""One instance on this machine: the application and the sidecar beside it, and what its folder knows of them."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from gateway.errors import GatewayError
from gateway.files import PRIVATE, read_file, write_file
from gateway.release.detached import Detached, clean_environment
from gateway.release.ports import free_port
from gateway.release.targets.base import Place, Revision
from gateway.release.targets.workload import Workload, expand

KEPT_LOGS = 40
"""Logs of instances that are gone, of an application in an environment."""
GRACE = 5.0
"""Seconds that an application has to end after its sidecar has."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the parts of an instance listen."""

    app: int
    inbound: int
    outbound: int
    admin: int

    @classmethod
    def free(cls) -> Ports:
        """Ports that nobody has."""
        return cls(free_port(), free_port(), free_port(), free_port())


@dataclass(frozen=True, slots=True)
class Record:
    """What must be known of an instance when the release server is started anew."""

    ports: Ports
    restarts: int = 0
    next_start: float = 0.0
    """When it may be started again, after it broke."""
    ready_once: bool = False
    leaving_since: float | None = None
    message: str = ""


class Instance:
    """An instance in `folder`, which its record is read from if there is one."""

    def __init__(self, folder: Path, place: Place, revision: Revision, workload: Workload) -> None:
        self.folder = folder
        self.id = folder.name
        self.place = place
        self.revision = revision
        self.workload = workload
        self.app = Detached(folder, "app")
        self.sidecar = Detached(folder, "sidecar")
        self._file = folder / "instance.json"
        try:
            data = json.loads(read_file(self._file))
            self.record = Record(**{**data, "ports": Ports(**data["ports"])})
        except (OSError, ValueError, TypeError, KeyError):
            self.record = Record(Ports.free())
            self.note()

    @property
    def key(self) -> str:
        """What it is called among all instances."""
        return str(self.folder)

    def note(self, **changes: Any) -> None:
        """Changes the record, and writes it down before anything is done about it. Raises GatewayError."""
        if changes and all(getattr(self.record, name) == value for name, value in changes.items()):
            return
        record = replace(self.record, **changes)
        try:
            write_file(self._file, json.dumps(asdict(record)), PRIVATE)
        except OSError as error:
            raise GatewayError(f"cannot write {self._file}: {error.strerror or error}") from error
        self.record = record

    def variables(self, host: str, registry: Mapping[str, str]) -> dict[str, str]:
        """What an application may be told by `$(NAME)`, and finds in its environment."""
        ports = self.record.ports
        given = {
            "HOST": host,
            "PORT": str(ports.app),
            "ADDRESS": f"{host}:{ports.app}",
            "OUTBOUND": f"127.0.0.1:{ports.outbound}",
            "VERSION": self.revision.version,
            "TAG": self.workload.tag,
            **registry,
        }
        return given | {name: expand(value, given) for name, value in self.workload.environment.items()}

    def start_app(self, variables: Mapping[str, str], images: Path) -> None:
        """Starts the application if it does not run. Raises GatewayError."""
        command = [expand(word, variables) for word in self.workload.command]
        image = next(
            (images / name for name in map(folder_of, self.revision.images.values()) if (images / name).is_dir()), None
        )
        self.app.start(command, image or self.folder, {**clean_environment(), **variables})

    def start_sidecar(self, host: str, registry: Any, drain: Mapping[str, Any], more: Mapping[str, Any]) -> None:
        """Starts the sidecar if it does not run. Raises GatewayError."""
        ports = self.record.ports
        config = {
            "service": self.workload.service,
            "tag": self.workload.tag,
            "app": f"{host}:{ports.app}",
            "inbound": f"{host}:{ports.inbound}",
            "outbound": f"127.0.0.1:{ports.outbound}",
            "advertise": host,
            "admin": f"127.0.0.1:{ports.admin}",
            "registry": registry,
            "metadata": {"version": self.revision.version},
            "drain": dict(drain),
            **more,
        }
        path = self.folder / "sidecar.yaml"
        try:
            write_file(path, yaml.safe_dump(config, sort_keys=False), PRIVATE)  # the registry's password may be in it
        except OSError as error:
            raise GatewayError(f"cannot write {path}: {error.strerror or error}") from error
        command = ("python", "-m", "gateway", "sidecar", "-c", str(path))
        self.sidecar.start(command, self.folder, clean_environment())

    def leave(self, now: float, patience: float, is_told: bool) -> bool:
        """Does the next thing on the way out: the sidecar deregisters and drains, then the application ends. True: it is gone.

        `is_told`: the part that is next has been told to end already, and a second signal would cut off what is in flight.
        """
        since = self.record.leaving_since or now
        part, deadline = (
            (self.sidecar, since + patience) if self.sidecar.is_running else (self.app, since + patience + GRACE)
        )
        if not part.is_running:
            return True
        if now > deadline:
            part.signal(signal.SIGKILL)
        elif not is_told:
            part.signal(signal.SIGTERM)
        return False

    def forget(self, logs: Path) -> None:
        """Removes what was kept of it, but for its logs. Raises GatewayError."""
        try:
            logs.mkdir(parents=True, exist_ok=True)
            for part in (self.app, self.sidecar):
                if part.log.exists():
                    part.log.replace(logs / f"{self.id}.{part.log.name}")
            for old in sorted(logs.glob("*.log"), key=lambda path: path.stat().st_mtime)[:-KEPT_LOGS]:
                old.unlink()
            shutil.rmtree(self.folder)
        except OSError as error:
            raise GatewayError(f"cannot remove {self.folder}: {error.strerror or error}") from error


def folder_of(image: str) -> str:
    """The name of the folder in which an image is kept that was built here."""
    return image.replace("/", "_").replace(":", "@")
