"""LaneGroup objects of a Kubernetes namespace as documents: each is a file with one lane group, and has a status for people.

The status says the same whichever gateway writes it: it goes by the object's generation, and is written only if it differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import yaml

from gateway.errors import ConfigError, RegistryError
from gateway.kubernetes.client import ApiClient, Object
from gateway.kubernetes.collection import Collection
from gateway.kubernetes.errors import ApiError
from gateway.registry.kubernetes.failures import registry_error
from gateway.rulesources.documents import ConflictError
from gateway.settings.sources import lane_groups_url
from gateway.yaml.writing import write_yaml

GROUP: Final = "graygateway.io/v1alpha1"
SUFFIX: Final = ".yaml"
NEEDED: Final = "get, list and watch of lanegroups, update of them and patch of lanegroups/status"
LONGEST: Final = 1024
"""Letters of a message."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What counts of an object."""

    name: str
    text: str
    generation: int
    lanes: str
    status: Object


class LaneGroupFolder:
    """The LaneGroups of a namespace (empty: that of the client's access), watched, and written bound to what was read."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self.name = lane_groups_url(namespace)
        self._client = client
        self._path = f"/apis/{GROUP}/namespaces/{namespace or client.access.namespace}/lanegroups"
        self._known: dict[str, _Kept] = {}

    async def watch(self) -> AsyncGenerator[Mapping[str, str] | None, None]:
        """Yields the texts by name, then whenever they may have changed; None if there are none. Raises RegistryError."""
        changed = asyncio.Event()
        collection = Collection(self._client, self._path, lambda _: changed.set(), keep=_kept)
        try:
            while True:
                changed.clear()
                try:
                    await collection.settled()
                except ApiError as error:
                    raise registry_error(error, NEEDED) from error
                self._known = {item.name + SUFFIX: item for item in collection.objects.values()}
                yield {name: item.text for name, item in sorted(self._known.items())} or None
                await changed.wait()
        finally:
            await collection.close()

    async def publish(self, name: str, text: str | None, before: str | None) -> None:
        """Writes an object's group, or deletes it (None), if it still is `before`. Raises ConflictError, and RegistryError."""
        try:
            await self._publish(name.removesuffix(SUFFIX), text, before)
        except ApiError as error:
            if error.status == 409:
                raise self._conflict(name) from error
            raise registry_error(error, NEEDED) from error

    async def _publish(self, name: str, text: str | None, before: str | None) -> None:
        path = f"{self._path}/{name}"
        try:
            found = await self._client.call("GET", path)
        except ApiError as error:
            if error.status != 404:
                raise
            found = {}
        known = _kept(found)
        if (None if known is None else known.text) != before:
            raise self._conflict(name)
        if text is None:
            if known is not None:
                version = found["metadata"]["resourceVersion"]
                await self._client.call("DELETE", path, body={"preconditions": {"resourceVersion": version}})
            return
        spec = self._spec(name, text)
        if known is not None:
            await self._client.call("PUT", path, body={**found, "spec": spec})
            return
        body = {"apiVersion": GROUP, "kind": "LaneGroup", "metadata": {"name": name}, "spec": spec}
        await self._client.call("POST", self._path, body=body)

    def _spec(self, name: str, text: str) -> Object:
        data: Any = yaml.safe_load(text)
        found = data.get("lane_groups") if isinstance(data, dict) and set(data) == {"lane_groups"} else None
        groups: list[Any] = found if isinstance(found, list) else []
        if len(groups) != 1 or not isinstance(groups[0], dict) or groups[0].get("name") != name:
            message = "a LaneGroup has exactly one lane group, with the name of the object"
            raise RegistryError("bad_answer", f"{self.name}{name}: {message}")
        return {key: value for key, value in groups[0].items() if key != "name"}

    async def report(self, problems: Mapping[str, Sequence[str]], in_force: bool) -> None:
        """Writes into each status how its object fared. `problems` are by name; `in_force`: what was read is. Raises nothing."""
        for name, item in list(self._known.items()):
            conditions = _conditions(item, problems.get(name, ()), in_force)
            status = {"lanes": item.lanes, "conditions": conditions}
            if _without_times(status) == _without_times(item.status):
                continue
            try:
                await self._client.call(
                    "PATCH",
                    f"{self._path}/{item.name}/status",
                    body={"status": status},
                    content_type="application/merge-patch+json",
                )
            except ApiError:
                return  # it is only for people; the next report tries again

    def _conflict(self, name: str) -> ConflictError:
        return ConflictError(f"{self.name}{name}: it was changed in the meantime")

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


def _kept(item: Object) -> _Kept | None:
    metadata, spec, status = item.get("metadata"), item.get("spec"), item.get("status")
    if not isinstance(metadata, dict) or not isinstance(spec, dict) or not isinstance(metadata.get("name"), str):
        return None
    name, generation = metadata["name"], metadata.get("generation")
    try:
        text = write_yaml({"lane_groups": [{"name": name, **spec}]})
    except (ConfigError, ValueError):
        return None
    return _Kept(
        name,
        text,
        generation if isinstance(generation, int) else 0,
        _lanes(spec),
        status if isinstance(status, dict) else {},
    )


def _lanes(spec: Object) -> str:
    """Each lane, and whether it is open."""
    lanes = spec.get("lanes")
    group_is_open = spec.get("enabled") is not False
    return ", ".join(
        f"{lane.get('name')} ({'open' if group_is_open and lane.get('enabled') is not False else 'closed'})"
        for lane in (lanes if isinstance(lanes, list) else ())
        if isinstance(lane, dict)
    )


def _conditions(item: _Kept, problems: Sequence[str], in_force: bool) -> list[Object]:
    accepted = ("True", "Valid", "") if not problems else ("False", "Invalid", "; ".join(problems)[:LONGEST])
    if in_force:
        force = ("True", "Loaded", "")
    else:
        force = ("False", "Invalid" if problems else "OthersInvalid", "the rules before are in force")
    before = {found.get("type"): found for found in item.status.get("conditions") or () if isinstance(found, dict)}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = []
    for kind, (state, reason, message) in (("Accepted", accepted), ("InForce", force)):
        known = before.get(kind, {})
        since = known.get("lastTransitionTime") if known.get("status") == state else None
        made.append(
            {
                "type": kind,
                "status": state,
                "reason": reason,
                "message": message,
                "observedGeneration": item.generation,
                "lastTransitionTime": since or now,
            }
        )
    return made


def _without_times(status: Object) -> Object:
    conditions = [
        {key: value for key, value in item.items() if key != "lastTransitionTime"}
        for item in status.get("conditions") or ()
        if isinstance(item, dict)
    ]
    return {"lanes": status.get("lanes"), "conditions": conditions}
