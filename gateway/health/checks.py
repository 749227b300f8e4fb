"""Active checks: instances are sent our own request, and those that do not respond well get no traffic."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from functools import partial

from gateway import hop
from gateway.daemons import keep_running
from gateway.health.ejection import Ejector
from gateway.health.probing import Speaks, responds_well, serves
from gateway.instance import Instance
from gateway.settings import CheckSettings


class Checks:
    """Checks every instance of the services that say so, as `speaks` says, and reports the results to `ejector`."""

    def __init__(self, ejector: Ejector, speaks: Speaks) -> None:
        self._ejector = ejector
        self._speaks = speaks
        self._wanted: Mapping[str, CheckSettings] = {}
        self._there: dict[str, tuple[Instance, ...]] = {}
        self._tasks: dict[tuple[str, str, bytes], asyncio.Task[None]] = {}  # by service, address and who is meant there

    def configure(self, wanted: Mapping[str, CheckSettings]) -> None:
        """Takes which services are checked and how; those whose instances are not checked any more are fine."""
        before, self._wanted = self._wanted, wanted
        for service, instances in self._there.items():
            if before.get(service) != wanted.get(service):
                self._stop(service, set())
                for instance in instances:
                    self._ejector.checked(service, instance, True)
                self.look_at(service, instances)

    def look_at(self, service: str, instances: tuple[Instance, ...]) -> None:
        """Takes which instances a service has now."""
        self._there[service] = instances
        if not instances:
            del self._there[service]
        check = self._wanted.get(service)
        checked = () if check is None else [item for item in instances if item.enabled and item.weight > 0]
        wanted = {(service, item.address, item.identity): item for item in checked}
        self._stop(service, set(wanted))
        for key, instance in wanted.items():
            if check is not None and key not in self._tasks:
                self._tasks[key] = keep_running("active check", partial(self._follow, service, instance, check))

    async def close(self) -> None:
        """Ends all checks."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _stop(self, service: str, kept: set[tuple[str, str, bytes]]) -> None:
        for key in [key for key in self._tasks if key[0] == service and key not in kept]:
            self._tasks.pop(key).cancel()

    async def _follow(self, service: str, instance: Instance, check: CheckSettings) -> None:
        row, was_fine = 0, True
        while True:
            # As requests do, for a sidecar to know that this one is meant, and that a client of its mesh calls.
            fields = hop.fields(instance.target_line)
            spoken = self._speaks(instance, service, check.grpc is not None)
            if check.grpc is not None:
                is_fine = await serves(
                    service, instance, check.grpc, timeout=check.timeout, spoken=spoken, fields=fields
                )
            else:
                path = check.path or "/"
                is_fine = await responds_well(
                    service, instance, path, timeout=check.timeout, spoken=spoken, fields=fields
                )
            row = row + 1 if is_fine is was_fine else 1
            was_fine = is_fine
            if row >= (check.passes if is_fine else check.failures):
                self._ejector.checked(service, instance, is_fine)
            # With jitter, lest all gateways check in step.
            await asyncio.sleep(check.interval * random.uniform(0.9, 1.1))
