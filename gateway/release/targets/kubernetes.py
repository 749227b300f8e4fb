"""The target `kubernetes`: revisions are Deployments or StatefulSets of a cluster, applied by the server with our field manager.

What was applied in a place is kept in a ConfigMap there, so that another release server goes on, and what is no longer rendered
is taken away. Fields that somebody else manages are never forced: the conflict is the task's error.
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import GatewayError
from gateway.kubernetes.client import ApiClient
from gateway.kubernetes.errors import ApiError
from gateway.release.targets.base import Place, Replica, Revision
from gateway.release.targets.manifests import (
    APPLICATION,
    ENVIRONMENT,
    MANAGED,
    MANAGER,
    REVISION,
    STATEFUL,
    Object,
    manifests_of,
    owned_by,
    replicas_asked,
    scaled,
    short,
)
from gateway.release.targets.pods import replicas_of, sidecar_of
from gateway.release.targets.stateful import Rollout, kept_beside, rolled, rollout_of

APPLY: Final = "application/apply-patch+yaml"
"""JSON is YAML."""
INVENTORY: Final = "gray-release-"
"""How the names begin of ConfigMaps that keep what was applied."""
_CREATED_FIRST: Final = ("ServiceAccount", "Secret", "ConfigMap")


@dataclass(frozen=True, slots=True)
class _Resource:
    """A kind of objects as the API server has it."""

    path: str
    """Up to the namespace."""
    plural: str
    is_namespaced: bool


@dataclass(slots=True)
class _Kept:
    """What was applied in a place: the objects of each revision by its hash, and the version of the ConfigMap that says so."""

    revisions: dict[str, dict[str, Any]]
    version: str = ""
    """Empty: there is none yet."""


class KubernetesTarget:
    """Deploys with `client`; sidecars are looked for in `namespaces`, and in those of places that were asked about."""

    def __init__(self, client: ApiClient, namespaces: Iterable[str] = ()) -> None:
        self._client = client
        self._namespaces = set(namespaces)
        self._kinds: dict[str, dict[str, _Resource]] = {}
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Nothing has to be found again: the cluster knows it."""

    async def close(self) -> None:
        """Closes the connections. What runs goes on."""
        await self._client.close()

    async def replicas_wanted(self, revision: Revision) -> int:
        """See Target."""
        return replicas_asked(revision)

    async def observe(self, place: Place) -> tuple[Replica, ...]:
        """See Target."""
        self._namespaces.add(place.namespace)
        params = {"labelSelector": owned_by(place)}
        pods, deployments, sets = await asyncio.gather(
            self._client.call("GET", f"/api/v1/namespaces/{place.namespace}/pods", params=params),
            self._client.call("GET", f"/apis/apps/v1/namespaces/{place.namespace}/deployments", params=params),
            self._if_allowed(f"/apis/apps/v1/namespaces/{place.namespace}/statefulsets", params),
        )
        workloads = deployments.get("items") or []
        for item in sets:
            if item["spec"].get("replicas") != item["status"].get("replicas", 0):
                item["events"] = await self._events(item)
            workloads.append(item)
        return replicas_of(pods.get("items") or (), workloads)

    async def apply(self, place: Place, revision: Revision, replicas: int) -> None:
        """See Target."""
        manifests = manifests_of(place, revision)
        async with self._lock:
            kept = await self._kept(place)
            name = short(revision.name)
            entry = {"name": revision.name, "workload": manifests.workload, "shared": list(manifests.shared)}
            if kept.revisions.get(name) != entry:
                kept.revisions.pop(name, None)
                kept.revisions[name] = entry  # the latest one last
                await self._keep(place, kept)
                for item in sorted(manifests.shared, key=lambda item: item["kind"] not in _CREATED_FIRST):
                    await self._apply(item)
            await self._run(manifests.workload, replicas)

    async def scale(self, place: Place, revision: str, replicas: int) -> None:
        """See Target."""
        async with self._lock:
            kept = await self._kept(place)
            entry = kept.revisions.get(short(revision))
            if entry is None:
                raise GatewayError(
                    f"revision {revision} of {place.application} was never applied in {place.environment}"
                )
            workload = entry["workload"]
            if workload["kind"] == STATEFUL:
                await self._reduce(place, workload, replicas)
            elif replicas:
                await self._run(workload, replicas)
            if replicas:
                return
            left = {key: item for key, item in kept.revisions.items() if key != short(revision)}
            await self._forget(place, kept, left)

    async def remove(self, place: Place) -> None:
        """See Target."""
        async with self._lock:
            kept = await self._kept(place)
            if kept.revisions:
                await self._forget(place, kept, {})

    async def admins(self) -> dict[str, str]:
        """See Target."""
        found: dict[str, str] = {}
        for namespace in sorted(self._namespaces):
            params = {"labelSelector": f"{MANAGED}={MANAGER}"}
            pods = await self._client.call("GET", f"/api/v1/namespaces/{namespace}/pods", params=params)
            for replica, pod in ((replicas_of([pod], ()), pod) for pod in pods.get("items") or ()):
                admin = sidecar_of(pod)
                if admin and replica and replica[0].phase == "ready":
                    found[admin] = replica[0].service
        return found

    # --- objects

    async def _run(self, workload: Object, replicas: int) -> None:
        """So many pods of a revision; nothing happens if there are."""
        there = await self._found(workload)
        if there is not None:
            _require_own(there, workload)
        if workload["kind"] == STATEFUL:
            now = Rollout(0, 0) if there is None else rollout_of(there)
            wanted = now.with_new(replicas)
            if there is None or wanted != now or _revision_of(there) != _revision_of(workload):
                await self._apply(rolled(workload, wanted))
        elif there is None or there["spec"].get("replicas") != replicas:
            await self._apply(scaled(workload, replicas))

    async def _reduce(self, place: Place, workload: Object, replicas: int) -> None:
        """At most so many pods of a revision of a StatefulSet, beside those that there are of others."""
        there = await self._found(workload)
        if there is None:
            return
        now, latest = rollout_of(there), _revision_of(there)
        if latest == _revision_of(workload):
            old = min(now.partition, now.replicas)
            wanted = Rollout(old + min(replicas, now.replicas - old), old)
        else:
            others = kept_beside(await self.observe(place), _revision_of(workload), now)
            wanted = now.with_old(replicas + others)
        if wanted != now:
            kept = (await self._kept(place)).revisions.get(short(latest))
            if kept is not None:
                await self._apply(rolled(kept["workload"], wanted))

    async def _found(self, item: Object) -> Object | None:
        """An object as it is there, if it is."""
        try:
            return await self._client.call("GET", await self._path(item))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def _if_allowed(self, path: str, params: Mapping[str, str]) -> list[Object]:
        """A list of objects; an account that has none of them may not be allowed to see them."""
        try:
            found = await self._client.call("GET", path, params=params)
        except ApiError as error:
            if error.status == 403:
                return []
            raise
        items: list[Object] = found.get("items") or []
        return items

    async def _events(self, item: Object) -> list[Object]:
        """What went wrong when pods were made: a StatefulSet has no conditions that say so."""
        metadata = item["metadata"]
        selector = f"involvedObject.uid={metadata['uid']},reason=FailedCreate"
        path = f"/api/v1/namespaces/{metadata['namespace']}/events"
        return await self._if_allowed(path, {"fieldSelector": selector})

    async def _apply(self, item: Object) -> None:
        """Server-side apply, never forced. Raises GatewayError, which names the object and the fields."""
        path = await self._path(item)
        params = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        try:
            await self._client.call("PATCH", path, params=params, body=item, content_type=APPLY)
        except ApiError as error:
            raise GatewayError(f"{_called(item)}: {error}") from error

    async def _forget(self, place: Place, kept: _Kept, left: dict[str, dict[str, Any]]) -> None:
        """Deletes what only revisions had that are not left, then what was kept of these."""
        staying = {_key(item) for item in (*_objects(left), *await self._of_others(place))}
        for item in {_key(item): item for item in _objects(kept.revisions) if _key(item) not in staying}.values():
            try:
                await self._client.call("DELETE", await self._path(item), params={"propagationPolicy": "Background"})
            except ApiError as error:
                if error.status != 404:
                    raise GatewayError(f"{_called(item)}: {error}") from error
        await self._keep(place, _Kept(left, kept.version))

    async def _path(self, item: Object) -> str:
        resource = await self._resource(item)
        name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
        return f"{resource.path}/namespaces/{namespace}/{resource.plural}/{name}"

    async def _resource(self, item: Object) -> _Resource:
        group = item["apiVersion"]
        if group not in self._kinds:
            path = f"/apis/{group}" if "/" in group else f"/api/{group}"
            try:
                found = await self._client.call("GET", path)
            except ApiError as error:
                if error.status != 404:
                    raise
                raise GatewayError(f"{_called(item)}: the cluster has no API {group}") from error
            self._kinds[group] = {
                entry["kind"]: _Resource(path, entry["name"], bool(entry.get("namespaced")))
                for entry in found.get("resources") or ()
                if "/" not in entry["name"]
            }
        resource = self._kinds[group].get(item["kind"])
        if resource is None:
            raise GatewayError(f"{_called(item)}: the API {group} of the cluster has no such kind")
        if not resource.is_namespaced:
            raise GatewayError(
                f"{_called(item)}: it belongs to no namespace, and a release changes nothing outside its own"
            )
        return resource

    # --- what is kept

    async def _kept(self, place: Place) -> _Kept:
        try:
            return _read(await self._client.call("GET", _inventory(place)))
        except ApiError as error:
            if error.status == 404:
                return _Kept({})
            raise

    async def _of_others(self, place: Place) -> list[Object]:
        """What was applied in other places of the same namespace: a Service may be everybody's."""
        folder, _, own = _inventory(place).rpartition("/")
        found = await self._client.call("GET", folder, params={"labelSelector": f"{MANAGED}={MANAGER}"})
        items = [item for item in found.get("items") or () if item["metadata"]["name"].startswith(INVENTORY)]
        return [each for item in items if item["metadata"]["name"] != own for each in _objects(_read(item).revisions)]

    async def _keep(self, place: Place, kept: _Kept) -> None:
        """Writes it down, bound to the version that was read; nothing at all if there are no revisions."""
        path = _inventory(place)
        folder, _, name = path.rpartition("/")
        if not kept.revisions:
            await self._client.call("DELETE", path)
            return
        metadata: Object = {"name": name, "namespace": place.namespace, "labels": _labels(place)}
        body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        body["data"] = {"revisions": json.dumps(kept.revisions)}
        if kept.version:
            metadata["resourceVersion"] = kept.version
            await self._client.call("PUT", path, body=body)
        else:
            await self._client.call("POST", folder, body=body)


def _read(inventory: Object) -> _Kept:
    try:
        revisions = json.loads(inventory["data"]["revisions"])
        for item in _objects(revisions):
            _key(item)
        return _Kept(revisions, inventory["metadata"]["resourceVersion"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GatewayError(f"the ConfigMap {inventory['metadata']['name']} cannot be read: {error!r}") from error


def _objects(revisions: Mapping[str, Mapping[str, Any]]) -> list[Object]:
    """Everything that was applied for some revisions."""
    return [item for entry in revisions.values() for item in (entry["workload"], *entry["shared"])]


def _require_own(there: Object, workload: Object) -> None:
    """Raises GatewayError if an object that is there is not of the same place."""
    labels = there["metadata"].get("labels") or {}
    if any(labels.get(key) != workload["metadata"]["labels"][key] for key in (MANAGED, ENVIRONMENT, APPLICATION)):
        is_ours = labels.get(MANAGED) == MANAGER
        owner = f"{labels.get(APPLICATION)} in {labels.get(ENVIRONMENT)}" if is_ours else "no release"
        raise GatewayError(f"{_called(workload)} is there already, and belongs to {owner}: give it another name")


def _inventory(place: Place) -> str:
    # Letters of a hash at the end: `a-b` of `c` and `a` of `b-c`, or `A` and `a`, are not the same place.
    digest = hashlib.sha256(f"{place.environment}/{place.application}".encode()).hexdigest()[:8]
    name = f"{INVENTORY}{place.environment}-{place.application}-{digest}".lower().replace("_", "-")
    return f"/api/v1/namespaces/{place.namespace}/configmaps/{name}"


def _labels(place: Place) -> Mapping[str, str]:
    return dict(pair.split("=", 1) for pair in owned_by(place).split(","))


def _key(item: Object) -> tuple[str, str, str]:
    return item["apiVersion"].partition("/")[0], item["kind"], item["metadata"]["name"]


def _revision_of(workload: Object) -> str:
    return str((workload["metadata"].get("annotations") or {}).get(REVISION, ""))


def _called(item: Object) -> str:
    return f"{item['kind']} {item['metadata']['name']}"
