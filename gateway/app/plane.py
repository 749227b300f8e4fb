"""The data plane of the entry gateway in one process: everything that is needed to route, and nothing that decides what.

With one worker it stands beside the control plane; with more, each worker has one, and the supervisor one that does not
listen: explain asks it.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.app.parts import make_context, make_log_file, make_routes
from gateway.config.certificates import listener_certificates, upstream_tls
from gateway.config.surroundings import make_surroundings
from gateway.control.publish import Publisher
from gateway.daemons import failures
from gateway.errors import ConfigError, Problem
from gateway.instance import Instance
from gateway.proxy.origin import Origins
from gateway.proxy.server import Listener
from gateway.routing.carriers import Carriers
from gateway.routing.debug import DebugAccess
from gateway.routing.entry import EntryRouter
from gateway.routing.snapshot import Snapshot
from gateway.rules.compile import compile_rules
from gateway.rules.match import CompiledRules
from gateway.rules.ruleset import RuleSet
from gateway.rules.surroundings import Surroundings
from gateway.settings import GatewaySettings
from gateway.telemetry.counters import Traffic
from gateway.telemetry.linefile import LineFile
from gateway.tls.certificates import Certificate, ListenerTLS
from gateway.tls.contexts import CertificateError, UpstreamTLS


@dataclass(frozen=True, slots=True)
class EntryBuild:
    """Everything that a configuration needs to be in force, made beforehand: off the loop."""

    settings: GatewaySettings
    rules: RuleSet
    around: Surroundings
    compiled: CompiledRules
    certificates: list[Certificate]
    secured: dict[str, UpstreamTLS]

    @staticmethod
    def of(settings: GatewaySettings, rules: RuleSet) -> EntryBuild:
        """Builds; lanes that have expired by now are closed. Raises ConfigError where a file cannot be read any more."""
        try:
            around = make_surroundings(settings)
            certificates = [] if settings.tls is None else listener_certificates(settings.tls)
            secured = upstream_tls(settings)
        except (CertificateError, OSError, ValueError) as error:
            # It could be read a moment ago: the files are being changed, and will be announced again.
            raise ConfigError([Problem("configuration", 0, 0, str(error))]) from error
        return EntryBuild(settings, rules, around, compile_rules(rules, around), certificates, secured)


class EntryPlane:
    """Counters and connections live as long as this does; snapshots come and go above them."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self.traffic = Traffic()
        self.origins = Origins(settings.limits.upstream_connections)
        self.carriers = Carriers(settings.carriers.header, settings.carriers.baggage)
        # The publisher is the only one to give the router a new snapshot.
        self._publisher = Publisher(self._publish, self.origins, self.traffic, settings.ejection)
        self.router = EntryRouter(
            self._publisher.snapshot,
            self.carriers,
            random.Random(),
            tuple(settings.trusted),
            settings.trace_sampled,
            None if settings.debug is None else DebugAccess(settings.debug.secret),
        )
        self.around = Surroundings(time.time)
        self.rules = RuleSet()
        self._listener: Listener | None = None
        self._log_file: LineFile | None = None
        self._tls: ListenerTLS | None = None

    def knows(self, service: str, tag: str) -> bool:
        """Whether a service, and (unless empty) a tag of it, are known to the registry or to the rules."""
        return self._publisher.knows(service, tag)

    @property
    def snapshot(self) -> Snapshot:
        """What is routed by now."""
        return self._publisher.snapshot

    @property
    def certificates(self) -> dict[str, float]:
        """When each certificate of the listener expires, in seconds since the epoch, by file."""
        certificates = () if self._tls is None else self._tls.certificates
        return {certificate.file: certificate.expires.timestamp() for certificate in certificates}

    def configure(self, revision: int, build: EntryBuild) -> None:
        """Takes a new configuration, as far as it can change while running."""
        settings = build.settings
        if settings.tls is not None:
            if self._tls is None:
                self._tls = ListenerTLS(build.certificates, settings.tls.minimum)
            else:
                self._tls.replace(build.certificates)
        self.origins.secure(build.secured)
        self.around = build.around
        self.rules = build.rules
        self._publisher.configure(revision, build.compiled, make_routes(settings), settings.services, build.secured)

    def _publish(self, snapshot: Snapshot) -> None:
        self.router.snapshot = snapshot

    def service_changed(self, service: str, instances: tuple[Instance, ...]) -> None:
        """Takes what the registry says of one service now."""
        self._publisher.service_changed(service, instances)

    def service_removed(self, service: str) -> None:
        """Takes that a service is not routed to any more."""
        self._publisher.service_removed(service)

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Begins to serve on listening sockets. Raises StartError where the access log cannot be opened."""
        settings = self._settings
        self._log_file = make_log_file(settings)
        tls = self._tls if settings.tls is not None else None
        context = make_context(
            settings,
            self.router,
            self.origins,
            self.traffic,
            "entry",
            log_file=self._log_file,
            ejector=self._publisher.ejector,
            scheme="http" if tls is None else "https",
        )
        self._listener = Listener(sockets[0], context, tls, sockets[1:])
        await self._listener.start()

    def reopen_log(self) -> None:
        """Opens the access log anew, where there is one."""
        if self._log_file is not None:
            self._log_file.reopen()

    async def drain(self, delay: float, timeout: float) -> bool:
        """See `Listener.drain`."""
        return self._listener is None or await self._listener.drain(delay, timeout)

    async def close(self) -> None:
        """Closes everything at once."""
        await self._publisher.close()
        if self._listener is not None:
            await self._listener.close()
        if self._log_file is not None:
            self._log_file.close()

    def statistics(self) -> dict[str, Any]:
        """What this process has counted and has open, as built-in types."""
        if self._log_file is not None:
            self.traffic.log_dropped = self._log_file.dropped
        return {
            "traffic": self.traffic.dump(),
            "origins": self.origins.statistics(),
            "failures": dict(failures),
            "ejected": {name: sorted(view.condition.out) for name, view in self.snapshot.services.items()},
        }
