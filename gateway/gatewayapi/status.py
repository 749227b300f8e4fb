"""What is written into the status of objects: only what differs, only where nobody else has written in the meantime.

Every replica writes the same. What others say in a status stays: a route may have other Gateways as parents, some of other
controllers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from gateway.gatewayapi.conditions import as_status
from gateway.gatewayapi.objects import GROUP, Gateway, Meta
from gateway.gatewayapi.translate import FEATURES, GatewayReport, RouteReport, Translation
from gateway.gatewayapi.world import CONTROLLER, Here
from gateway.kubernetes.client import ApiClient, Object
from gateway.kubernetes.errors import ApiError

VERSION: Final = f"/apis/{GROUP}/v1"
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds until a status that somebody else keeps changing is written again; doubled each time."""


@dataclass(frozen=True, slots=True)
class Write:
    """A status that is to be written: `path` is the object's, `version` what it must still be."""

    path: str
    meta: Meta
    status: Object


def writes(translation: Translation, here: Here, now: str) -> Iterator[Write]:
    """The statuses that differ from what they are to be. `now` is RFC 3339."""
    for item, conditions in translation.classes:
        wanted = {
            "conditions": as_status(conditions, item.meta.generation, item.status.get("conditions"), now),
            "supportedFeatures": [{"name": name} for name in FEATURES],
        }
        yield from _write("gatewayclasses", item.meta, item.status, wanted)
    if translation.gateway is not None:
        gateway = translation.gateway.gateway
        yield from _write("gateways", gateway.meta, gateway.status, _gateway_status(translation.gateway, here, now))
    for report in translation.reports:
        assert translation.gateway is not None
        parents = _parents(report, translation.gateway.gateway, now)
        yield from _write("httproutes", report.route.meta, report.route.status, {"parents": parents})


def _gateway_status(report: GatewayReport, here: Here, now: str) -> Object:
    gateway = report.gateway
    before = {
        item.get("name"): item.get("conditions")
        for item in gateway.status.get("listeners") or ()
        if isinstance(item, dict)
    }
    return {
        "addresses": [{"type": kind, "value": value} for kind, value in here.addresses],
        "conditions": as_status(report.conditions, gateway.meta.generation, gateway.status.get("conditions"), now),
        "listeners": [
            {
                "name": item.judged.listener.name,
                "supportedKinds": item.judged.supported_kinds(),
                "attachedRoutes": item.attached,
                "conditions": as_status(
                    item.judged.conditions(), gateway.meta.generation, before.get(item.judged.listener.name), now
                ),
            }
            for item in report.listeners
        ],
    }


def _parents(report: RouteReport, gateway: Gateway, now: str) -> list[Object]:
    """The entries of others as they are, then ours; one whose reference is gone goes as well."""
    route = report.route
    found: list[Any] = route.status.get("parents") or []
    entries = [item for item in found if isinstance(item, dict)]
    others = [item for item in entries if not _is_ours(item, route.meta, gateway)]
    ours: list[Object] = []
    for ref, conditions in report.parents:
        before = next(
            (
                item
                for item in entries
                if item.get("parentRef") == ref.written and item.get("controllerName") == CONTROLLER
            ),
            {},
        )
        # A condition that we do not say any more is no one else's: entries are ours as a whole.
        kinds = {condition.kind for condition in conditions}
        kept = [item for item in before.get("conditions") or () if isinstance(item, dict) and item.get("type") in kinds]
        made = as_status(conditions, route.meta.generation, kept, now)
        ours.append({"parentRef": ref.written, "controllerName": CONTROLLER, "conditions": made})
    return [*others, *ours]


def _is_ours(entry: Object, meta: Meta, gateway: Gateway) -> bool:
    """Whether an entry of a route's status is about our Gateway, and by a controller like us."""
    ref = entry.get("parentRef")
    if entry.get("controllerName") != CONTROLLER or not isinstance(ref, dict):
        return False
    kind, namespace = ref.get("kind", "Gateway"), ref.get("namespace", meta.namespace)
    return bool((kind, namespace, ref.get("name")) == ("Gateway", gateway.meta.namespace, gateway.meta.name))


def _write(plural: str, meta: Meta, status: Object, wanted: Object) -> Iterator[Write]:
    if any(_without_times(status.get(key)) != _without_times(value) for key, value in wanted.items()):
        scope = f"namespaces/{meta.namespace}/" if meta.namespace else ""
        yield Write(f"{VERSION}/{scope}{plural}/{meta.name}", meta, wanted)


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key != "lastTransitionTime"}
    return ([_without_times(item) for item in value] if isinstance(value, list) else value) or None


class StatusWriter:
    """Writes. `problem` says why the last write failed, None if it did not."""

    def __init__(self, client: ApiClient, clock: Callable[[], float] = monotonic) -> None:
        self._client = client
        self._clock = clock
        self._written: dict[str, tuple[Any, float, float]] = {}
        """By uid: what was written last, from when on it is written again if somebody else changes it, and the pause."""
        self.problem: ApiError | None = None

    async def write(self, wanted: Sequence[Write]) -> float | None:
        """Writes what may be written now; seconds until more is to be tried, None if nothing is left. Raises nothing."""
        now = self._clock()
        soonest: float | None = None
        self.problem = None
        for item in wanted:
            content = _without_times(item.status)
            last, after, pause = self._written.get(item.meta.uid, (None, now, FIRST_PAUSE))
            if last != content:
                after, pause = now, FIRST_PAUSE
            if after <= now:
                after, pause = now + pause, min(2 * pause, LONGEST_PAUSE)
                self._written[item.meta.uid] = content, after, pause
                await self._send(item)
            soonest = after - now if soonest is None else min(soonest, after - now)
        return soonest

    async def _send(self, item: Write) -> None:
        body = {"metadata": {"resourceVersion": item.meta.version}, "status": item.status}
        try:
            await self._client.call(
                "PATCH", f"{item.path}/status", body=body, content_type="application/merge-patch+json"
            )
        except ApiError as error:
            if error.status not in (404, 409):  # gone, or changed: the collection tells of it
                self.problem = error


def now() -> str:
    """The time as objects have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
