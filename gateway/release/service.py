"""The release server without its API: files, database, targets and engine put together."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

from gateway.errors import ConfigError, GatewayError
from gateway.kubernetes.access import open_access
from gateway.kubernetes.client import ApiClient
from gateway.release.actions import Actions
from gateway.release.catalog import FOLDERS, Catalog, load_catalog
from gateway.release.engine import Engine
from gateway.release.ledger import Ledger, NotThere
from gateway.release.mesh import Mesh
from gateway.release.orchestration import Rendered, render_app
from gateway.release.order import Order
from gateway.release.plan import Wish, plan_deploy, plan_release
from gateway.release.settings import KubernetesTargetSettings, ProcessesTargetSettings, ReleaseConfig
from gateway.release.steps.base import World
from gateway.release.steps.commands import abandon
from gateway.release.steps.table import STEPS
from gateway.release.store import Store, VersionRecord
from gateway.release.targets.base import Place, Target
from gateway.release.targets.kubernetes import KubernetesTarget
from gateway.release.targets.processes import ProcessesTarget

ORDERS = 100
"""The newest orders, whose versions are not given once more: one that was taken back before it ran anywhere has images."""


# What the API serves: a method per question, each a few lines that go to the room whose work it is.
class Releases:
    """Everything that the API and the tests ask for. `targets` by name replace those of the settings."""

    def __init__(
        self,
        config: ReleaseConfig,
        *,
        targets: dict[str, Target] | None = None,
        mesh: Mesh | None = None,
        store: Store | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        settings = config.settings
        self._now = now
        self.store = store or Store(config.state, settings.database)
        self.ledger = Ledger(self.store, now)
        self.actions = Actions(self.ledger)
        self.mesh = mesh or Mesh(
            [str(item) for item in settings.gateways],
            [str(item) for item in settings.sidecars],
            settings.admin_token or "",
        )
        self._made: dict[str, ProcessesTarget | KubernetesTarget] = {}
        if targets is None:
            for name, item in settings.targets.items():
                self._made[name] = self._make_target(name, item)
        self._targets: dict[str, Target] = dict(self._made) if targets is None else targets
        self.engine = Engine(self.ledger, STEPS, self.world, partial(abandon, self.runs))
        self._stack = AsyncExitStack()
        self._records: tuple[int, dict[int | None, list[VersionRecord]]] = (-1, {})
        self._catalog: tuple[frozenset[tuple[str, int, int]], Catalog] | None = None

    @property
    def images(self) -> Path:
        """Where images are that were built here."""
        return self.config.state / "images"

    @property
    def runs(self) -> Path:
        """Where commands leave their output."""
        return self.config.state / "runs"

    async def start(self) -> None:
        """Goes on where the release server before this one was, whatever became of it. Raises GatewayError."""
        self.catalog()
        try:
            self.images.mkdir(parents=True, exist_ok=True)
            self.config.state.chmod(0o700)  # manifests, logs and the passwords of registries are in it
            self.runs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GatewayError(f"cannot write {self.config.state}: {error.strerror or error}") from error
        # What was decided before anything is done about it; what runs before anybody looks at it; orders last.
        await self.store.open()
        self._stack.push_async_callback(self.store.close)
        self._stack.push_async_callback(self.mesh.close)
        await self.ledger.open()
        for target in self._made.values():
            await target.start()
            self._stack.push_async_callback(target.close)
        self.engine.start()
        self._stack.push_async_callback(self.engine.close)

    async def stop(self) -> None:
        """Ends. Whatever runs goes on."""
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        """See `start`."""
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other release servers from this one's state. Raises GatewayError if there is one already."""
        path = self.config.state / "lock"
        try:
            self.config.state.mkdir(parents=True, exist_ok=True)
            file = path.open("a")
        except OSError as error:
            raise GatewayError(f"cannot write {path}: {error.strerror or error}") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise GatewayError(f"another release server uses {self.config.state} already") from error
            yield

    def catalog(self) -> Catalog:
        """The files as they are now. Raises ConfigError with every problem."""
        state = _state_of(self.config.files)
        if self._catalog is None or self._catalog[0] != state:
            self._catalog = state, load_catalog(self.config.files, self.config.settings.targets)
        return self._catalog[1]

    async def sidecars(self) -> list[str]:
        """The admin API of every sidecar that a target runs. Raises GatewayError."""
        return [admin for target in self._targets.values() for admin in await target.admins()]

    async def world(self, order: Order) -> World:
        """What the steps of an order look at. Raises GatewayError."""
        try:
            catalog = self.catalog()
        except ConfigError:
            # Somebody is at work on the files: nothing new begins, and what is under way goes on by those before.
            if self._catalog is None:
                raise
            catalog = self._catalog[1]
        targets: dict[str, Target] = {}
        for name in order.environments:
            entry = catalog.environments.get(name)
            if entry is None:
                raise NotThere(f"environment '{name}' no longer has a file: {self.config.files / 'environments'}")
            targets[name] = self._targets[entry.value.target]
        return World(
            targets,
            self.mesh,
            self.sidecars,
            {name: entry.value.namespace for name, entry in catalog.environments.items()},
            self.config.files,
            self.runs,
            self.images,
            self.config.settings.entry,
            {name: entry.value.source for name, entry in catalog.apps.items()},
            self._now,
            await self.current(besides=order.id),
        )

    async def current(self, besides: int | None = None) -> dict[tuple[str, str], VersionRecord]:
        """What runs, by environment and application, by the newest order but one. Raises StoreError."""
        generation = self.store.generation
        if self._records[0] != generation:
            self._records = generation, {}
        known = self._records[1]
        if besides not in known:
            known[besides] = await self.store.newest_versions(besides)
        return {(item.environment, item.application): item for item in known[besides] if item.version is not None}

    async def run(self, wish: Wish) -> Order:
        """Begins an order. Raises GatewayError, ConfigError."""
        return await self.actions.run(await self.plan(wish))

    async def plan(self, wish: Wish) -> Order:
        """The order that a wish comes to, which is not begun. Raises GatewayError, ConfigError."""
        given: dict[str, list[str]] = {}
        for app in [app for app, version in wish.apps.items() if version is None]:
            given[app] = [item.version for item in await self.store.versions(application=app) if item.version]
        for order in await self.store.orders(ORDERS):
            for app, release in order.releases.items():
                given.setdefault(app, []).append(release.version)
        return plan_release(self.catalog(), wish, await self.current(), given, self._now())

    async def undo(self, app: str, environment: str, version: str | None, actor: str, reason: str) -> Order:
        """Brings an earlier version back: the one before the current one, or a named one. Raises GatewayError."""
        catalog = self.catalog()
        if app not in catalog.apps:
            raise NotThere(f"there is no application '{app}' (there are: {', '.join(sorted(catalog.apps)) or 'none'})")
        if environment not in catalog.environments:
            known = ", ".join(sorted(catalog.environments)) or "none"
            raise NotThere(f"there is no environment '{environment}' (there are: {known})")
        records = [item for item in await self.store.versions(environment, app) if item.version is not None]
        now_runs = (await self.current()).get((environment, app))
        others = [item for item in records if now_runs is None or item.version != now_runs.version]
        chosen = next((item for item in (records if version else others) if version in (None, item.version)), None)
        if chosen is None:
            known = ", ".join(dict.fromkeys(str(item.version) for item in records)) or "none"
            what = f"version {version}" if version else "earlier version"
            raise NotThere(f"{app} has no {what} in {environment} to go back to (it had: {known})")
        service = catalog.apps[app].value.service
        order = plan_deploy(
            app, environment, chosen, service, before=now_runs, actor=actor, reason=reason, now=self._now()
        )
        return await self.actions.run(order)

    async def render(self, app: str, environment: str, images: dict[str, str], values: dict[str, str]) -> Rendered:
        """An application's orchestration, with the images that run there if no others are given. Raises GatewayError."""
        catalog = self.catalog()
        record = (await self.current()).get((environment, app))
        known = {} if record is None else record.images
        return render_app(catalog, app, environment, {**known, **images}, values)

    async def describe_apps(self) -> list[dict[str, Any]]:
        """Every application, what of it runs where, and how."""
        catalog, current = self.catalog(), await self.current()
        found = []
        for name, entry in catalog.apps.items():
            places = []
            for environment in entry.value.environments:
                record = current.get((environment, name))
                target = self._targets[catalog.environments[environment].value.target]
                namespace = catalog.environments[environment].value.namespace
                replicas = await target.observe(Place(environment, namespace, name))
                places.append(
                    {
                        "environment": environment,
                        "version": None if record is None else record.version,
                        "since": None if record is None else record.at,
                        "replicas": [
                            {"id": item.id, "version": item.version, "phase": item.phase, "address": item.address,
                             "admin": item.admin, "restarts": item.restarts, "message": item.message, "tag": item.tag}
                            for item in replicas
                        ],
                    }
                )  # fmt: skip
            found.append(
                {
                    "application": name,
                    "service": entry.value.service,
                    "workflow": entry.value.workflow,
                    "environments": places,
                }
            )
        return found

    def describe_environments(self) -> list[dict[str, Any]]:
        """Every environment: its level, its state, who has locked it, and the order that it is a part of."""
        found = []
        for name, entry in self.catalog().environments.items():
            hold = self.ledger.holds.get(name)
            owner = self.ledger.owner(name)
            body = {"state": "NEW", "lock": None} if hold is None else hold.body()
            found.append(
                {"environment": name, "level": entry.value.level, **body, "order": None if owner is None else owner.id}
            )
        return found

    def logs(self, app: str, environment: str) -> dict[str, Path]:
        """The logs of an application's instances by name. Raises NotThere."""
        catalog = self.catalog()
        if app not in catalog.apps or environment not in catalog.apps[app].value.environments:
            raise NotThere(f"there is no application '{app}' in an environment '{environment}'")
        target = self._made.get(catalog.environments[environment].value.target)
        return target.logs(environment, app) if isinstance(target, ProcessesTarget) else {}

    def _make_target(
        self, name: str, settings: ProcessesTargetSettings | KubernetesTargetSettings
    ) -> ProcessesTarget | KubernetesTarget:
        if isinstance(settings, ProcessesTargetSettings):
            return ProcessesTarget(settings, self.config.state / "targets" / name, self.images)
        client = ApiClient(open_access(settings.kubeconfig, settings.context))
        return KubernetesTarget(client, settings.namespaces)


def _state_of(folder: Path) -> frozenset[tuple[str, int, int]]:
    """What tells whether a file of a release has changed. Sources may be below the folder, too: nobody looks at those."""
    found = []
    for path in (path for kind in FOLDERS for path in (folder / kind).rglob("*")):
        with suppress(OSError):
            status = path.stat()
            found.append((str(path), status.st_mtime_ns, status.st_size))
    return frozenset(found)
