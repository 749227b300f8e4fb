"""Checks of programs that run: whether they are ready, run what their files say, and agree with one another."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway import hop
from gateway.app.doctor.finding import FAILED, OK, SKIPPED, WARNING, Finding
from gateway.app.escapes import REASONS, REMEDIES
from gateway.app.signatures import REMEDIES as REMEDIES_OF_SIGNATURES
from gateway.printable import printable
from gateway.shapes import COUNT, FLAG, TEXT, Maybe, check, parse_json

TIMEOUT: Final = ClientTimeout(total=5.0)
MOST_ASKED: Final = 200
"""Sidecars that are found by the registries and asked."""
MOST_NAMED: Final = 5
"""Addresses that a message lists."""
MAX_SKEW: Final = 5.0
"""Seconds by which a clock may differ from this machine's: tokens, cookies and lanes that expire depend on it."""
SHAPES: Final[dict[str, dict[str, Any]]] = {
    "status": {
        "role?": TEXT,
        "revision?": COUNT,
        "last_reload_error?": Maybe([TEXT]),
        "runs_old_rules?": FLAG,
        "lost_tags?": [{"why": TEXT, "to": TEXT, "tag?": Maybe(TEXT), "count": COUNT}],
        "signatures?": [{"why": TEXT, "listener": TEXT, "accepted": FLAG, "count": COUNT}],
        "service?": TEXT,
        "registered_beside?": [TEXT],
    },
    "lanes": {"lanes": [{}]},
    "services": {"services": [{}]},
}
"""What each of the endpoints says, as far as it is read."""


@dataclass(slots=True)
class Running:
    """What a running program said.

    `error`: why it said nothing. `is_there`: a program of ours listens, whether it says more or not. `wants_token`: it says
    more only to who has one. `skew` is how far its clock is ahead, in seconds.
    """

    address: str
    error: str = ""
    is_there: bool = False
    reasons: list[str] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    lanes: list[Any] = field(default_factory=list)
    services: list[Any] = field(default_factory=list)
    wants_token: bool = False
    skew: float | None = None


async def ask_all(addresses: list[str], token: str | None, now: float, *, may_refuse: bool = False) -> list[Running]:
    """What each of some admin APIs says; `now` is this machine's time. `may_refuse`: to want a token is no error."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with ClientSession(timeout=TIMEOUT, headers=headers) as session:
        return list(await asyncio.gather(*(_ask(session, address, now, may_refuse) for address in addresses)))


async def _ask(session: ClientSession, address: str, now: float, may_refuse: bool) -> Running:
    running = Running(address)
    base = address if "://" in address else f"http://{address}"
    try:
        async with session.get(f"{base}/readyz", allow_redirects=False) as response:
            running.is_there = response.status in (200, 503)
            running.reasons = (await response.text()).splitlines() if response.status == 503 else []
            if not running.is_there:
                running.error = f"/readyz returned {response.status}"
            if "Date" in response.headers:
                running.skew = parsedate_to_datetime(response.headers["Date"]).timestamp() - now
        for name in ("status", "lanes", "services"):
            async with session.get(f"{base}/api/v1/{name}", allow_redirects=False) as response:
                if response.status == 401 and may_refuse:
                    running.wants_token = True
                    break
                found = parse_json(await response.text())
                if response.status != 200:
                    running.error = refusal_of(response.status, found)
                    continue
                check(found, SHAPES[name], name)
                if name == "status":
                    running.status = found
                elif name == "lanes":
                    running.lanes = found["lanes"]
                else:
                    running.services = found["services"]
    except (ClientError, OSError, ValueError, ArithmeticError) as error:
        running.error = running.error or str(error) or type(error).__name__
    return running


def refusal_of(status: int, found: Any) -> str:
    """Why somebody does not say what was asked: what a gateway says of it, or else the status."""
    return str(found["detail"]) if isinstance(found, dict) and "detail" in found else f"it responds with {status}"


def check_running(programs: list[Running]) -> Iterator[Finding]:
    """Whether each is there, ready, runs what its files say, and has the right time."""
    for running in programs:
        role = str(running.status.get("role", "program"))
        if running.error:
            hint = "check the address (`admin` of its settings), the token, and that it runs"
            yield Finding("programs", running.address, FAILED, f"cannot be asked: {running.error}", hint)
            continue
        for reason in running.reasons:
            yield Finding(
                "programs", running.address, FAILED, reason, "its log says more; --wait waits until it is ready"
            )
        for problem in running.status.get("last_reload_error") or ():
            hint = "correct the file: until then it runs the configuration that it had before"
            yield Finding("programs", running.address, FAILED, f"the last reload failed: {problem}", hint)
        if running.status.get("runs_old_rules"):
            hint = "correct the rules: those of an earlier run are in force"
            yield Finding("programs", running.address, FAILED, "the rules present at its start had problems", hint)
        if not running.reasons and not running.status.get("last_reload_error"):
            revision = running.status.get("revision")
            message = "ready" if running.wants_token else f"{role}, ready, revision {revision}"
            yield Finding("programs", running.address, OK, message)
        if running.skew is not None and abs(running.skew) > MAX_SKEW:
            ahead = "ahead of" if running.skew > 0 else "behind"
            message = f"its clock is {abs(running.skew):.0f} s {ahead} this machine's"
            yield Finding(
                "clock", running.address, FAILED, message, "synchronize both clocks (chrony, systemd-timesyncd)"
            )
        elif running.skew is not None:
            yield Finding("clock", running.address, OK, "agrees with this machine's")


def check_lost_tags(programs: list[Running]) -> Iterator[Finding]:
    """Whether applications pass on what keeps their calls in the lane of the request; a sidecar sees if one does not."""
    for running in programs:
        found = running.status.get("lost_tags")
        if found is None:
            continue
        service = str(running.status.get("service"))
        if not found:
            yield Finding("lost tags", service, OK, f"its sidecar at {running.address} has seen none")
        for lost in found:
            why = str(lost.get("why"))
            message = f"calls lost tag {lost.get('tag')}, {lost.get('count')} so far: {REASONS.get(why, why)}"
            hint = REMEDIES.get(why, "see the log of its sidecar").format(header="x-gray-tag")
            yield Finding("lost tags", f"{service} → {lost.get('to')}", WARNING, message, hint)


def check_signatures(programs: list[Running]) -> Iterator[Finding]:
    """Whether tags are signed as they should be, if they are signed."""
    for running in programs:
        for found in running.status.get("signatures") or ():
            why = printable(str(found.get("why")))
            done = "accepted" if found.get("accepted") else "dropped"
            message = f"{found.get('listener')}: {done} {found.get('count')} tags so far: {why}"
            hint = REMEDIES_OF_SIGNATURES.get(why, "see its log")
            yield Finding("signatures", running.address, WARNING, message, hint)


def check_beside(sidecars: list[Running]) -> Iterator[Finding]:
    """Whether requests bypass a sidecar."""
    for running in sidecars:
        if running.error:
            continue
        service = printable(str(running.status.get("service", "")))
        for address in running.status.get("registered_beside") or ():
            message = f"{service} is registered at {printable(str(address))} as well as its sidecar: requests bypass the sidecar"
            hint = "point the application's registry address at the façade alone, or switch its own registration off"
            yield Finding("bypass", running.address, WARNING, message, hint)


def find_sidecars(gateway: Running) -> tuple[list[str], list[Finding]]:
    """The admin addresses of the sidecars that a gateway knows by its registries, and what is to be said of the others."""
    reachable: dict[str, None] = {}  # each once, in order
    private: dict[str, None] = {}
    for instance in instances_of(gateway.services):
        metadata = instance["metadata"]
        if hop.SIDECAR_KEY not in metadata:
            continue
        address, port = instance["address"], str(metadata.get(hop.ADMIN_KEY, ""))
        if re.fullmatch(r"[1-9][0-9]{0,4}", port):
            reachable[f"{address.rpartition(':')[0]}:{port}"] = None
        else:
            private[address] = None
    findings = []
    if private:
        names = ", ".join(list(private)[:MOST_NAMED]) + (", …" if len(private) > MOST_NAMED else "")
        message = f"{len(private)} sidecars have their admin API on loopback: those at {names}"
        hint = "run `gateway doctor` on their machines, or set `admin` to an address of the network, with `admin_token`"
        findings.append(Finding("in step", gateway.address, SKIPPED, message, hint))
    return list(reachable)[:MOST_ASKED], findings


def instances_of(services: list[Any]) -> Iterator[dict[str, Any]]:
    """Those that are described as they should be: whoever responds may be another program."""
    for service in filter(_is_object, services):
        for pool in filter(_is_object, service.get("pools") or ()):
            for instance in filter(_is_object, pool.get("instances") or ()):
                if isinstance(instance.get("address"), str) and _is_object(instance.get("metadata")):
                    yield instance


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


_OF_RULES: Final = ("group", "lane", "tag", "enabled", "services", "owner", "expires")
"""What two programs with the same rules say alike of a lane, whatever came to each."""


def _rules_of(running: Running) -> list[Any]:
    return [[lane.get(key) for key in _OF_RULES] if _is_object(lane) else lane for lane in running.lanes]


def check_in_step(gateway: Running, sidecars: list[Running]) -> Iterator[Finding]:
    """Whether each sidecar has the lanes of the gateway. One without rules of its own has nothing to agree about."""
    if gateway.error:
        return
    for sidecar in sidecars:
        if sidecar.error:
            continue
        if sidecar.wants_token:
            message = "was found by a registry, and is not sent your token: who it is, is not certain"
            hint = f"name it yourself: --sidecar {sidecar.address}"
            yield Finding("in step", sidecar.address, SKIPPED, message, hint)
        elif not sidecar.lanes:
            message = "has no rules: it does not know which lanes rejoin the baseline"
            hint = "give it the rules of the gateway if lanes expire or are closed while their instances serve"
            yield Finding("in step", sidecar.address, WARNING, message, hint)
        elif _rules_of(sidecar) == _rules_of(gateway):
            yield Finding("in step", sidecar.address, OK, f"has the lanes of {gateway.address}")
        else:
            message = f"its lanes are not those of {gateway.address}"
            hint = "compare `rules` of both settings; a file that is copied may not have arrived yet (--wait)"
            yield Finding("in step", sidecar.address, FAILED, message, hint)
