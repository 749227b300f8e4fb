"""What a running program finds of itself: the checks of `gateway doctor` for which nobody else has to be asked."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.app.doctor.finding import Finding
from gateway.app.doctor.mesh import check_inbound
from gateway.app.doctor.remote import Running, check_beside, check_lost_tags, check_running, check_signatures
from gateway.app.doctor.services import check_known, services_of
from gateway.registry.keeper import ServiceState
from gateway.routing.snapshot import Snapshot
from gateway.rules.ruleset import RuleSet
from gateway.settings import ServingSettings
from gateway.settings.gateway import GatewaySettings


def examine_inside(
    status: Mapping[str, Any],
    reasons: Sequence[str],
    settings: ServingSettings,
    rules: RuleSet,
    states: Mapping[str, list[ServiceState]],
    snapshot: Snapshot,
) -> list[Finding]:
    """`status` is what the admin API says, `reasons` are those not to be ready.

    Of services and lanes only an entry gateway has something to say: a sidecar knows those that it has called.
    """
    program = [Running(str(settings.admin), status=dict(status), reasons=list(reasons))]
    findings = [
        *check_running(program),
        *check_lost_tags(program),
        *check_signatures(program),
        *check_beside(program),
        *check_inbound(settings),
    ]
    if isinstance(settings, GatewaySettings):
        views = snapshot.services
        wanted = [service for service in services_of(settings, rules) if service in states]
        known = {service: views[service].instances if service in views else () for service in wanted}
        findings += check_known(settings, rules, states, known, time.time())
    return findings
