"""All checks, in the order in which their failures should be mended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.app.doctor.finding import FAILED, SKIPPED, Finding, is_failure
from gateway.app.doctor.local import check_certificates, check_configuration, check_descriptors, check_ports, now
from gateway.app.doctor.mesh import check_inbound
from gateway.app.doctor.remote import (
    Running,
    ask_all,
    check_beside,
    check_in_step,
    check_lost_tags,
    check_running,
    check_signatures,
    find_sidecars,
)
from gateway.app.doctor.services import check_services
from gateway.errors import GatewayError

PAUSE: Final = 1.0
"""Seconds between two examinations while waiting."""


async def examine(
    config: Path | None, server: str | None, sidecars: Sequence[str], token: str | None = None
) -> list[Finding]:
    """What is found of a configuration, a running gateway and running sidecars, as far as they are given."""
    gateway: Running | None = None
    found: list[str] = []
    unasked: list[Finding] = []
    if server is not None:
        [gateway] = await ask_all([server], token, time.time())
        found, unasked = find_sidecars(gateway)
    sidecars_too = await ask_all(list(sidecars), token, time.time())
    # A registry may hold anything: the token goes to nobody that it names.
    unnamed = [address for address in found if address not in sidecars]
    sidecars_too += await ask_all(unnamed, None, time.time(), may_refuse=True)
    programs = [*([] if gateway is None else [gateway]), *sidecars_too]
    findings: list[Finding] = []
    if config is not None:
        findings += await _examine_files(config)
    findings += check_running(programs)
    findings += check_lost_tags(programs)
    findings += check_signatures(programs)
    findings += check_beside(programs)
    if gateway is not None:
        findings += check_in_step(gateway, sidecars_too)
        findings += unasked
    return findings


async def examine_until(
    seconds: float, config: Path | None, server: str | None, sidecars: Sequence[str], token: str | None = None
) -> list[Finding]:
    """The same, again and again until nothing fails, or the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        findings = await examine(config, server, sidecars, token)
        left = deadline - time.monotonic()
        if not is_failure(findings) or left <= 0:
            return findings
        await asyncio.sleep(min(PAUSE, left))


async def _examine_files(config: Path) -> list[Finding]:
    loaded, findings = check_configuration(config)
    if loaded is None:
        return [*findings, Finding("everything else", str(config), SKIPPED, "needs a valid configuration", "see above")]
    settings = loaded.settings
    # One that runs at the admin address of these settings has all of their ports.
    [own] = await ask_all([str(settings.admin)], None, time.time())
    findings += check_ports(settings, frozenset(map(str, settings.listeners().values() if own.is_there else ())))
    findings += check_certificates(settings, now())
    findings += check_inbound(settings)
    findings.append(check_descriptors(settings))
    try:
        findings += await check_services(settings, loaded.rules, time.time())
    except GatewayError as error:
        findings.append(Finding("registries", str(config), FAILED, str(error), "correct the settings of the registry"))
    return findings
