"""The target `kubernetes`: each revision is a Deployment of a cluster, applied by the server with our field manager.

What was applied in a place is kept in a ConfigMap there, so that another release server goes on, and what is no longer rendered
is taken away. Fields that somebody else manages are never forced: the conflict is the task's error.
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import GatewayError
from gateway.kubernetes.client import ApiClient
from gateway.kubernetes.errors import ApiError
from gateway.release.targets.base import Place, Replica, Revision
from gateway.release.targets.manifests import (
    MANAGED,
    MANAGER,
    Manifests,
    Object,
    manifests_of,
    owned_by,
    replicas_asked,
    short,
)
from gateway.release.targets.pods import replicas_of, sidecar_of

APPLY: Final = "application/apply-patch+yaml"
"""JSON is YAML."""
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
        pods, deployments = await asyncio.gather(
            self._client.call("GET", f"/api/v1/namespaces/{place.namespace}/pods", params=params),
            self._client.call("GET", f"/apis/apps/v1/namespaces/{place.namespace}/deployments", params=params),
        )
        return replicas_of(pods.get("items") or (), deployments.get("items") or ())

    async def apply(self, place: Place, revision: Revision, replicas: int) -> None:
        """See Target."""
        manifests = manifests_of(place, revision)
        async with self._lock:
            kept = await self._kept(place)
            name = short(revision.name)
            entry = {"name": revision.name, "deployment": manifests.deployment, "shared": list(manifests.shared)}
            if kept.revisions.get(name) != entry:
                kept.revisions.pop(name, None)
                kept.revisions[name] = entry  # the latest one last
                await self._keep(place, kept)
                for item in sorted(manifests.shared, key=lambda item: item["kind"] not in _CREATED_FIRST):
                    await self._apply(item)
            await self._scale(manifests, replicas)

    async def scale(self, place: Place, revision: str, replicas: int) -> None:
        """See Target."""
        async with self._lock:
            kept = await self._kept(place)
            entry = kept.revisions.get(short(revision))
            if entry is None:
                raise GatewayError(
                    f"revision {revision} of {place.application} was never applied in {place.environment}"
                )
            if replicas:
                await self._scale(Manifests(entry["deployment"], ()), replicas)
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

    async def _scale(self, manifests: Manifests, replicas: int) -> None:
        deployment = manifests.scaled(replicas)
        path = await self._path(deployment)
        try:
            there = await self._client.call("GET", path)
        except ApiError as error:
            if error.status != 404:
                raise
        else:
            spec = there.get("spec")
            if isinstance(spec, dict) and spec.get("replicas") == replicas:
                return
        await self._apply(deployment)

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
        staying = {_key(item) for entry in left.values() for item in (entry["deployment"], *entry["shared"])}
        gone = [item for entry in kept.revisions.values() for item in (entry["deployment"], *entry["shared"])]
        for item in {_key(item): item for item in gone if _key(item) not in staying}.values():
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
            found = await self._client.call("GET", _inventory(place))
        except ApiError as error:
            if error.status == 404:
                return _Kept({})
            raise
        try:
            return _Kept(json.loads(found["data"]["revisions"]), found["metadata"]["resourceVersion"])
        except (KeyError, TypeError, ValueError) as error:
            message = f"the ConfigMap {_inventory(place).rpartition('/')[2]} cannot be read: {error!r}"
            raise GatewayError(message) from error

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


def _inventory(place: Place) -> str:
    name = f"gray-release-{place.environment}-{place.application}".lower().replace("_", "-")
    return f"/api/v1/namespaces/{place.namespace}/configmaps/{name}"


def _labels(place: Place) -> Mapping[str, str]:
    return dict(pair.split("=", 1) for pair in owned_by(place).split(","))


def _key(item: Object) -> tuple[str, str, str]:
    return item["apiVersion"].partition("/")[0], item["kind"], item["metadata"]["name"]


def _called(item: Object) -> str:
    return f"{item['kind']} {item['metadata']['name']}"
