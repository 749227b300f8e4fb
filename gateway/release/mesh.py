"""What gateways and sidecars know and do, asked by their admin APIs.

Who routes to a service lists it in `GET /api/v1/services`: an entry gateway those of its routes, a sidecar those that its own
application has called. Who does not list it has never called it, and asks the registry when it does: so an instance is known to
everybody who routes to it when all who list its service show it healthy.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway.errors import GatewayError

TIMEOUT: Final = 5.0
"""Seconds that an admin API has to respond."""
_SAMPLE: Final = re.compile(r"^(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class MeshError(GatewayError):
    """A gateway or a sidecar does not say or do what it is asked."""


class LaneRefused(MeshError):
    """A gateway does not take a change of a lane."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a metrics page."""

    name: str
    labels: Mapping[str, str]
    value: float


class Mesh:
    """Asks through one session. `gateways` and `sidecars` are admin addresses, host:port."""

    def __init__(self, gateways: Sequence[str], sidecars: Sequence[str] = (), token: str = "") -> None:
        self.gateways = tuple(gateways)
        self.sidecars = tuple(sidecars)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http: ClientSession | None = None

    @property
    def session(self) -> ClientSession:
        """Made when first used: it belongs to a loop."""
        if self._http is None:
            self._http = ClientSession(timeout=ClientTimeout(total=TIMEOUT))
        return self._http

    async def close(self) -> None:
        """Closes the session."""
        if self._http is not None:
            await self._http.close()

    async def not_knowing(self, wanted: Mapping[str, str], sidecars: Collection[str]) -> dict[str, list[str]]:
        """Who routes to a service and does not know an instance of it as healthy: admin addresses, by instance.

        `wanted` are instances and their services. Everybody is asked once. Raises MeshError.
        """
        if not wanted:
            return {}
        asked = list(dict.fromkeys((*self.gateways, *self.sidecars, *sidecars)))
        found = await asyncio.gather(*(self._healthy(admin) for admin in asked))
        return {
            address: [
                admin
                for admin, healthy in zip(asked, found, strict=True)
                if service in healthy and address not in healthy[service]
            ]
            for address, service in wanted.items()
        }

    async def _healthy(self, admin: str) -> dict[str, set[str]]:
        """The instances that somebody would send requests to, by service; only services that he routes to."""
        services = (await self._get(admin, "/api/v1/services"))["services"]
        return {
            item["service"]: {
                entry["address"] for pool in item["pools"] for entry in pool["instances"] if entry["healthy"]
            }
            for item in services
        }

    async def lane_is(self, admin: str, group: str, lane: str) -> bool | None:
        """Whether a gateway has a lane open; None: it has no such lane. Raises MeshError."""
        lanes = (await self._get(admin, "/api/v1/lanes"))["lanes"]
        return next((item["enabled"] for item in lanes if item["group"] == group and item["lane"] == lane), None)

    async def guards(self, admin: str) -> dict[tuple[str, str], dict[str, Any]]:
        """What the guards of a gateway know, by group and lane; lanes without a guard are left out. Raises MeshError."""
        lanes = (await self._get(admin, "/api/v1/lanes"))["lanes"]
        return {(item["group"], item["lane"]): item["guard"] for item in lanes if item.get("guard") is not None}

    async def switch_lane(self, admin: str, group: str, lane: str, enabled: bool, author: str) -> None:
        """Opens or closes a lane. Raises LaneRefused, MeshError."""
        path = f"/api/v1/groups/{group}/lanes/{lane}/{'enable' if enabled else 'disable'}"
        await self._change(admin, "POST", path, None, author)

    async def percent_of(self, admin: str, group: str, lane: str) -> float | None:
        """The share of a lane's first `percent` condition; None: it has none. Raises MeshError."""
        data = (await self._get(admin, f"/api/v1/groups/{group}/lanes/{lane}"))["lane"]
        for condition in data.get("match", []):
            if "percent" in condition:
                return float(condition["percent"])
        return None

    async def set_percent(self, admin: str, group: str, lane: str, percent: float, author: str) -> None:
        """Sets that share. Raises LaneRefused, MeshError."""
        path = f"/api/v1/groups/{group}/lanes/{lane}"
        match = (await self._get(admin, path))["lane"].get("match", [])
        changed = False
        for condition in match:
            if "percent" in condition and not changed:
                condition["percent"], changed = f"{percent:g}", True
        if not changed:
            raise LaneRefused(f"lane {group}/{lane} has no percent condition whose share could be set")
        await self._change(admin, "PATCH", path, {"match": match}, author)

    async def samples(self, admin: str) -> list[Sample]:
        """What somebody counts. Raises MeshError."""
        text = await self._text(admin, "/metrics")
        return [
            Sample(name, dict(_LABEL.findall(labels)), float(number)) for name, labels, number in _SAMPLE.findall(text)
        ]

    async def in_flight(self, admin: str) -> int:
        """Requests that a sidecar's instance is at work on. Raises MeshError."""
        names = ("gateway_requests_in_flight", "gateway_tunnels")
        return int(
            sum(
                item.value
                for item in await self.samples(admin)
                if item.name in names and item.labels.get("listener") == "inbound"
            )
        )

    async def _get(self, admin: str, path: str) -> dict[str, Any]:
        try:
            async with self.session.get(f"http://{admin}{path}", headers=self._headers) as response:
                if response.status != 200:
                    raise MeshError(f"{admin} responds with {response.status} to GET {path}")
                body: dict[str, Any] = await response.json()
                return body
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            raise MeshError(f"{admin} cannot be asked: {_said(error)}") from error

    async def _text(self, admin: str, path: str) -> str:
        try:
            async with self.session.get(f"http://{admin}{path}", headers=self._headers) as response:
                return await response.text()
        except (ClientError, OSError, TimeoutError) as error:
            raise MeshError(f"{admin} cannot be asked: {_said(error)}") from error

    async def _change(self, admin: str, method: str, path: str, body: Any, author: str) -> None:
        headers = self._headers | {"X-Author": author}
        try:
            async with self.session.request(method, f"http://{admin}{path}", json=body, headers=headers) as response:
                if response.status >= 400:
                    found = await response.json(content_type=None)
                    raise LaneRefused(f"{admin} does not change the lane: {found.get('detail', response.status)}")
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            raise MeshError(f"{admin} cannot be asked: {_said(error)}") from error


def _said(error: Exception) -> str:
    """What an error says: some say nothing but their name."""
    return str(error) or type(error).__name__
