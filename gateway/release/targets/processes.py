"""The target `processes`: instances are processes on this machine, each with its sidecar.

What should be is written into a file of each place before anything is done about it; what is, is found out by looking at locks
(`detached`). One loop brings the two together. Instances do not notice when the release server ends, and it finds them again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway.daemons import keep_running
from gateway.errors import GatewayError
from gateway.files import read_file, write_file
from gateway.release.detached import Detached
from gateway.release.settings import ProcessesTargetSettings
from gateway.release.targets.base import Phase, Place, Replica, Revision
from gateway.release.targets.instance import GRACE, Instance, Ports
from gateway.release.targets.workload import workload_of

_log = logging.getLogger("gateway.release")

LOOK = 0.1
"""Seconds between two looks."""
READY_LOOK = 1.0
"""Seconds between two times that a ready instance is asked whether it still is. That it runs is seen with every look."""
BROKEN = 3
"""How often an instance ends unexpectedly before it counts as broken."""
LONGEST = 30.0
"""Seconds before it is started again, at most; half a second at first, and twice as long each time."""


@dataclass(slots=True)
class _Site:
    """A place: what should be there."""

    folder: Path
    place: Place
    revisions: dict[str, Revision] = field(default_factory=dict)
    wanted: dict[str, int] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    made: int = 0


class ProcessesTarget:
    """Keeps its places below `folder`; images that were built here are in `images`."""

    def __init__(self, settings: ProcessesTargetSettings, folder: Path, images: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._images = images
        self._sites: dict[tuple[str, str], _Site] = {}
        self._ready: dict[str, bool] = {}
        self._asked: dict[str, float] = {}
        self._told: set[str] = set()
        self._loop: asyncio.Task[None] | None = None
        self._http: ClientSession | None = None

    async def start(self) -> None:
        """Finds again what runs, and goes on with it. Raises GatewayError."""
        for file in sorted(self._folder.glob("*/*/site.json")):
            try:
                self._sites.update([self._read(file)])
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise GatewayError(f"{file} cannot be read: {error}") from error
        self._http = ClientSession(timeout=ClientTimeout(total=1.0))
        await self._look_at_all()  # before anybody asks which sidecars there are
        self._loop = keep_running("instances", self._keep)

    async def close(self) -> None:
        """Looks no more; what runs goes on, or leaves, as the settings say."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        if not self._settings.keep_running:
            await asyncio.gather(
                *(self._send_away(item) for site in self._sites.values() for item in site.instances.values())
            )
        if self._http is not None:
            await self._http.close()

    async def replicas_wanted(self, revision: Revision) -> int:
        """See Target."""
        return workload_of(revision).replicas

    async def observe(self, place: Place) -> tuple[Replica, ...]:
        """See Target."""
        site = self._sites.get((place.environment, place.application))
        return () if site is None else tuple(self._replica(item) for item in site.instances.values())

    async def apply(self, place: Place, revision: Revision, replicas: int) -> None:
        """See Target."""
        workload_of(revision)
        site = self._site(place)
        if site.wanted.get(revision.name) == replicas and revision.name in site.revisions:
            return
        self._want(site, {**site.wanted, revision.name: replicas}, {**site.revisions, revision.name: revision})

    async def scale(self, place: Place, revision: str, replicas: int) -> None:
        """See Target."""
        site = self._site(place)
        if revision not in site.revisions:
            raise GatewayError(f"revision {revision} of {place.application} was never applied in {place.environment}")
        if site.wanted.get(revision) != replicas:
            self._want(site, {**site.wanted, revision: replicas})

    async def remove(self, place: Place) -> None:
        """See Target."""
        site = self._site(place)
        if any(site.wanted.values()):
            self._want(site, dict.fromkeys(site.wanted, 0))

    async def admins(self) -> dict[str, str]:
        """See Target."""
        return {
            f"127.0.0.1:{item.record.ports.admin}": item.workload.service
            for site in self._sites.values()
            for item in site.instances.values()
            if item.record.leaving_since is None and self._ready.get(item.key)
        }

    def logs(self, environment: str, app: str) -> dict[str, Path]:
        """The logs of an application's instances, of those that are gone too, by name; those of the newest are the last."""
        folder = self._folder / environment / app
        found = {f"{path.parent.name}.{path.stem}": path for path in folder.glob("instances/*/*.log")}
        found |= {path.stem: path for path in folder.glob("logs/*.log")}
        return dict(sorted(found.items(), key=lambda item: (int(item[0].partition(".")[0]), item[0])))

    # --- bringing the two together

    async def _keep(self) -> None:
        while True:
            await self._look_at_all()
            await asyncio.sleep(LOOK)

    async def _look_at_all(self) -> None:
        for site in list(self._sites.values()):
            try:
                await self._look(site)
            except GatewayError as error:
                _log.warning("%s in %s: %s", site.place.application, site.place.environment, error)

    async def _look(self, site: _Site) -> None:
        now = time.time()
        for name, count in list(site.wanted.items()):
            there = [item for item in site.instances.values() if item.revision.name == name]
            staying = [item for item in there if item.record.leaving_since is None]
            for _ in range(count - len(staying)):
                self._make(site, site.revisions[name])
            # Who is not ready goes first, then the youngest.
            staying.sort(key=lambda item: (not self._ready.get(item.key, False), int(item.id)), reverse=True)
            for item in staying[: max(0, len(staying) - count)]:
                item.note(leaving_since=now)
        await asyncio.gather(*(self._step(site, item, now) for item in list(site.instances.values())))
        runs = {item.revision.name for item in site.instances.values()}
        needed = {name: count for name, count in site.wanted.items() if count or name in runs}
        if needed.keys() != site.wanted.keys():
            self._want(site, needed, {name: site.revisions[name] for name in needed})

    def _make(self, site: _Site, revision: Revision) -> None:
        site.made += 1
        self._write(site, site.wanted, site.revisions)  # its number is taken before there is anything of that number
        folder = site.folder / "instances" / str(site.made)
        instance = Instance(folder, site.place, revision, workload_of(revision))
        self._note_revision(instance)
        site.instances[instance.id] = instance

    async def _step(self, site: _Site, item: Instance, now: float) -> None:
        """Does the next thing for one instance."""
        if item.record.leaving_since is not None:
            await self._lead_out(site, item, now)
            return
        self._ready[item.key] = await self._bring_up(item, now)

    async def _bring_up(self, item: Instance, now: float) -> bool:
        """Starts what does not run. Returns whether the instance is ready: its sidecar registers it while it serves."""
        settings = self._settings
        runs = [item.app.is_running, item.sidecar.is_running]
        if not all(runs):
            if not self._may_start(
                item, [part for part, is_up in zip((item.app, item.sidecar), runs, strict=True) if not is_up], now
            ):
                return False
            if not runs[0]:
                item.start_app(item.variables(settings.host, self._known()), self._images)
            if not runs[1]:
                path = item.workload.ready_path or settings.ready_path
                more = settings.sidecar if path is None else {"app_check": {"path": path}, **settings.sidecar}
                item.start_sidecar(settings.host, self._registry(), settings.drain.model_dump(), more)
            item.note(next_start=0.0)
            return False
        if self._ready.get(item.key) and now < self._asked.get(item.key, 0.0) + READY_LOOK:
            return True
        self._asked[item.key] = now
        ready = await self._answers(f"http://127.0.0.1:{item.record.ports.admin}/readyz")
        message = "" if ready else item.record.message or "waiting until it serves and is registered"
        item.note(message=message, ready_once=item.record.ready_once or ready)
        return ready

    def _may_start(self, item: Instance, parts: Sequence[Detached], now: float) -> bool:
        """Whether parts that do not run are to be started now. If one broke, it is noted first, and waited for a while."""
        record = item.record
        broken = next((part for part in parts if part.was_started), None)
        if broken is not None and not record.next_start:
            pause = min(LONGEST, 0.5 * 2**record.restarts)
            message = f"it ended unexpectedly; its log {broken.log} ends: {broken.tail(3)}"
            item.note(restarts=record.restarts + 1, next_start=now + pause, message=message)
            return False
        if not record.ready_once and record.restarts and not item.app.is_running and not item.sidecar.is_running:
            item.note(ports=Ports.free())  # somebody else may have had one of them
        return now >= record.next_start

    async def _lead_out(self, site: _Site, item: Instance, now: float) -> None:
        self._ready.pop(item.key, None)
        drain = self._settings.drain
        part = f"{item.key}/{'sidecar' if item.sidecar.is_running else 'app'}"
        is_told = part in self._told or (item.sidecar.is_running and await self._is_draining(item))
        gone = item.leave(now, drain.delay + drain.timeout + GRACE, is_told)
        self._told.add(part)
        if gone:
            item.forget(site.folder / "logs")
            site.instances.pop(item.id, None)
            self._asked.pop(item.key, None)
            self._told -= {f"{item.key}/sidecar", f"{item.key}/app"}

    async def _send_away(self, item: Instance) -> None:
        """Has an instance leave without taking it off what should be."""
        began, drain, told = time.time(), self._settings.drain, set[str]()
        item.record = replace(item.record, leaving_since=began)  # not written down: it comes back
        while True:
            part = "sidecar" if item.sidecar.is_running else "app"
            if item.leave(time.time(), drain.delay + drain.timeout + GRACE, part in told):
                item.app.forget()
                item.sidecar.forget()
                return
            told.add(part)
            await asyncio.sleep(LOOK)

    async def _is_draining(self, item: Instance) -> bool:
        """Whether a sidecar has been told to end, perhaps by the release server before this one."""
        assert self._http is not None
        try:
            async with self._http.get(f"http://127.0.0.1:{item.record.ports.admin}/api/v1/status") as response:
                return bool((await response.json()).get("draining"))
        except (ClientError, OSError, TimeoutError, ValueError):
            return False

    def _known(self) -> dict[str, str]:
        registry = self._settings.registry
        addresses = [getattr(registry, "address", None), *getattr(registry, "addresses", [])]
        return {"REGISTRY": next((str(item) for item in addresses if item), ""), "REGISTRY_KIND": registry.kind}

    def _registry(self) -> dict[str, Any]:
        """The registry as it is written in a file."""
        registry = self._settings.registry
        found = {**registry.model_dump(mode="json", exclude_defaults=True), "kind": registry.kind}
        if getattr(registry, "address", None) is not None:
            found["address"] = str(getattr(registry, "address"))  # noqa: B009 - not every kind has one
        if getattr(registry, "addresses", None):
            found["addresses"] = [str(item) for item in getattr(registry, "addresses")]  # noqa: B009
        return found

    async def _answers(self, url: str) -> bool:
        assert self._http is not None
        try:
            async with self._http.get(url) as response:
                return response.status < 400
        except (ClientError, OSError, TimeoutError):
            return False

    def _replica(self, item: Instance) -> Replica:
        record, settings = item.record, self._settings
        ready = self._ready.get(item.key, False)
        if record.leaving_since is not None:
            phase = Phase.LEAVING
        elif ready:
            phase = Phase.READY
        else:
            phase = Phase.BROKEN if record.restarts >= BROKEN else Phase.STARTING
        return Replica(
            item.id,
            item.revision.name,
            item.revision.version,
            phase,
            item.workload.service,
            item.workload.tag,
            f"{settings.host}:{record.ports.inbound}",
            f"127.0.0.1:{record.ports.admin}",
            record.restarts,
            record.message,
        )

    # --- what is written down

    def _site(self, place: Place) -> _Site:
        key = place.environment, place.application
        site = self._sites.get(key)
        if site is None:
            site = self._sites[key] = _Site(self._folder / place.environment / place.application, place)
        return site

    def _want(self, site: _Site, wanted: dict[str, int], revisions: dict[str, Revision] | None = None) -> None:
        """Changes what should be there: in its file first, so that what cannot be written has not been said."""
        revisions = site.revisions if revisions is None else revisions
        self._write(site, wanted, revisions)
        site.wanted, site.revisions = wanted, revisions

    def _write(self, site: _Site, wanted: Mapping[str, int], revisions: Mapping[str, Revision]) -> None:
        data = {
            "place": asdict(site.place),
            "made": site.made,
            "wanted": wanted,
            "revisions": {name: asdict(revision) for name, revision in revisions.items()},
        }
        file = site.folder / "site.json"
        try:
            write_file(file, json.dumps(data))
        except OSError as error:
            raise GatewayError(f"cannot write {file}: {error.strerror or error}") from error

    def _read(self, file: Path) -> tuple[tuple[str, str], _Site]:
        data: dict[str, Any] = json.loads(read_file(file))
        place = Place(**data["place"])
        revisions = {name: Revision(**item) for name, item in data["revisions"].items()}
        site = _Site(file.parent, place, revisions, dict(data["wanted"]), made=data["made"])
        for folder in sorted((file.parent / "instances").glob("*"), key=lambda path: int(path.name)):
            try:
                revision = revisions[read_file(folder / "revision").decode()]
            except (FileNotFoundError, KeyError):
                shutil.rmtree(folder)  # nothing was started in it yet: its revision is noted before that
                continue
            site.instances[folder.name] = Instance(folder, place, revision, workload_of(revision))
        return (place.environment, place.application), site

    def _note_revision(self, item: Instance) -> None:
        try:
            write_file(item.folder / "revision", item.revision.name)
        except OSError as error:
            raise GatewayError(f"cannot write to {item.folder}: {error.strerror or error}") from error
