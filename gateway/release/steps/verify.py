"""The step `verify`: requests that must take the way they should, and statistics of the lane beside the baseline's."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import re2
from aiohttp import ClientError, ClientTimeout

from gateway.release.mesh import MeshError, Sample
from gateway.release.model import Analysis, Probe, PrometheusCheck, VerifyStep
from gateway.release.steps.base import Look, Outcome, done, failed, running
from gateway.release.steps.guards import Guards, ask_guards

AT_ONCE = 10
"""Probes under way at a time."""
BASE = "base"


@dataclass(frozen=True, slots=True)
class Sum:
    """What was counted of the requests of one tag."""

    requests: float
    errors: float
    p95: float
    """Seconds; the upper end of the histogram's bucket that it is in. 0: nothing was counted."""

    @property
    def error_share(self) -> float:
        """Errors, as a part of 1."""
        return self.errors / self.requests if self.requests else 0.0


async def verify(look: Look) -> Outcome:
    """The step `verify`."""
    spec = VerifyStep.model_validate(look.task.spec)
    memory = dict(look.task.memory)
    services = _services(look, spec)
    guards = await ask_guards(look)
    if guards.wrong:
        return _broken(spec, guards.wrong, memory)
    if spec.analysis is not None and "before" not in memory:
        memory["before"] = await _counted(look, services, spec.analysis.tag)
        return running("begins to count", memory=memory, delay=0.0)
    if memory.get("probe", 0) < len(spec.probes):
        return await _probe(look, spec, memory)
    if spec.analysis is not None:
        left = spec.analysis.duration - look.elapsed
        if left > 0:
            share = 0.5 + 0.5 * (1 - left / spec.analysis.duration)
            return running(
                f"compares {spec.analysis.tag} with the baseline for {spec.analysis.duration:g} s",
                round(share, 1),
                delay=min(left, 1.0),
            )
        after = await _counted(look, services, spec.analysis.tag)
        wrong, said = judge(spec.analysis, memory["before"], after)
        if wrong:
            return _broken(spec, wrong, memory)
        memory["said"] = said
    if spec.guard is not None and (guards.unguarded or guards.waiting or not look.order.lanes):
        return _await_guards(look, spec, guards, memory)
    if spec.prometheus is not None:
        wrong = await _ask_prometheus(look, spec.prometheus)
        if wrong:
            return _broken(spec, wrong, memory)
    sent = sum(probe.count for probe in spec.probes)
    said = memory.get("said", "")
    return done(
        "; ".join(part for part in (f"{sent} probes were as they should be" if sent else "", said) if part), memory
    )


async def _probe(look: Look, spec: VerifyStep, memory: dict[str, Any]) -> Outcome:
    """Sends the next few requests: all of them in one look would keep whoever aborts waiting."""
    at, sent, wrong = memory.get("probe", 0), memory.get("sent", 0), memory.get("wrong", 0)
    probe = spec.probes[at]
    found = await _send(look, probe, min(AT_ONCE, probe.count - sent))
    sent, wrong = sent + len(found), wrong + sum(map(bool, found))
    memory |= {"sent": sent, "wrong": wrong, "first": memory.get("first") or next(filter(None, found), "")}
    if wrong > probe.count - math.ceil(probe.count * probe.share):
        message = f"{wrong} of {sent} requests to {probe.path} were not as they should be; the first: {memory['first']}"
        return _broken(spec, message, memory)
    before, whole = sum(item.count for item in spec.probes[:at]), sum(item.count for item in spec.probes)
    if sent == probe.count:
        memory |= {"probe": at + 1, "sent": 0, "wrong": 0, "first": ""}
    share = 0.5 * (before + sent) / whole
    return running(f"{before + sent} of {whole} probes are sent", round(share, 2), memory, 0.0)


async def _send(look: Look, probe: Probe, number: int) -> list[str]:
    """Sends requests of a probe at once. Returns what is wrong with each response; empty: nothing."""
    entry, session = look.world.entry, look.world.mesh.session

    async def send() -> str:
        try:
            async with session.get(
                entry + probe.path, headers=probe.headers, timeout=ClientTimeout(total=10.0), allow_redirects=False
            ) as response:
                text = (await response.read())[: 1 << 20].decode(errors="replace")
                status = response.status
        except (ClientError, OSError, TimeoutError) as error:
            return f"no response: {str(error) or type(error).__name__}"
        if status != probe.status:
            return f"status {status}, not {probe.status}: {text[:200]}"
        if probe.body is not None and re2.search(probe.body, text) is None:
            return f"the body is not as expected ({probe.body}): {text[:200]}"
        return ""

    return await asyncio.gather(*(send() for _ in range(number)))


def judge(analysis: Analysis, before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong with the lane beside the baseline between two counts, and what is to be said of it otherwise."""
    lane, base = _difference(before, after, analysis.tag), _difference(before, after, BASE)
    said = (
        f"{analysis.tag}: {lane.requests:g} requests, {lane.error_share:.2%} errors, p95 up to {lane.p95 * 1000:g} ms; "
        f"baseline: {base.requests:g}, {base.error_share:.2%}, {base.p95 * 1000:g} ms"
    )
    if lane.requests < analysis.min_requests:
        return f"{lane.requests:g} requests are too few to judge by, {analysis.min_requests} are needed; {said}", said
    if lane.error_share > base.error_share + analysis.max_errors:
        return f"too many errors; {said}", said
    if base.p95 and lane.p95 > base.p95 * analysis.max_p95_ratio:
        return f"too slow; {said}", said
    return "", said


def count(samples: Sequence[Sample], services: Collection[str], tags: Collection[str]) -> dict[str, dict[str, float]]:
    """What was counted by tag: requests, how many of them failed, and the buckets of their durations."""
    found: dict[str, dict[str, float]] = {tag: {} for tag in tags}
    for item in samples:
        tag = item.labels.get("tag", "")
        if tag not in found or item.labels.get("service") not in services:
            continue
        if item.name == "gateway_requests_total":
            key = "requests"
        elif item.name == "gateway_failed_requests_total":
            key = "errors"
        elif item.name == "gateway_request_duration_seconds_bucket":
            key = item.labels["le"]
        else:
            continue
        found[tag][key] = found[tag].get(key, 0.0) + item.value
    return found


def _difference(before: Mapping[str, Any], after: Mapping[str, Any], tag: str) -> Sum:
    counts = {key: value - before.get(tag, {}).get(key, 0.0) for key, value in after.get(tag, {}).items()}
    requests, errors = (max(0.0, counts.pop(key, 0.0)) for key in ("requests", "errors"))
    buckets = sorted((math.inf if le == "+Inf" else float(le), value) for le, value in counts.items())
    total = buckets[-1][1] if buckets else 0.0
    p95 = next((le for le, value in buckets if value >= 0.95 * total), 0.0) if total > 0 else 0.0
    return Sum(requests, errors, p95)


def _services(look: Look, spec: VerifyStep) -> list[str]:
    wanted = [] if spec.analysis is None else spec.analysis.services
    return list(wanted) or [release.service for release in look.order.releases.values()]


async def _counted(look: Look, services: Collection[str], tag: str) -> dict[str, Any]:
    """What the gateways, and the sidecars in front of the instances' callers, have counted of the requests they sent."""
    admins = [*look.world.mesh.gateways, *look.world.mesh.sidecars, *await look.world.sidecars()]
    samples: list[Sample] = []
    for admin in dict.fromkeys(admins):
        found = await look.world.mesh.samples(admin)
        # A sidecar counts what it lets in, too: the same requests a second time.
        samples += [item for item in found if item.labels.get("listener") in ("entry", "outbound")]
    return dict(count(samples, services, {tag, BASE}))


def _await_guards(look: Look, spec: VerifyStep, guards: Guards, memory: dict[str, Any]) -> Outcome:
    assert spec.guard is not None
    if not look.order.lanes or not look.world.mesh.gateways:
        return failed("`guard` waits for the guards of the order's lanes, but it opens none at any gateway", memory)
    if guards.unguarded:
        return failed(f"`guard` waits for guards, but no gateway has one of {', '.join(guards.unguarded)}", memory)
    since = memory.setdefault("guards_since", look.world.now())
    names = ", ".join(guards.waiting)
    if look.world.now() - since > spec.guard:
        return _broken(
            spec, f"no verdict within {spec.guard:g} s on {names}: too few requests, or not good enough", memory
        )
    return running(f"waits for the guard of {names}", 0.9, memory, 1.0)


def _broken(spec: VerifyStep, message: str, memory: dict[str, Any]) -> Outcome:
    return failed(message, memory | {"take_back": spec.on_failure == "abort"})


async def _ask_prometheus(look: Look, check: PrometheusCheck) -> str:
    url = f"{check.url.rstrip('/')}/api/v1/query"
    try:
        async with look.world.mesh.session.get(url, params={"query": check.query}) as response:
            body = await response.json(content_type=None)
        value = float(body["data"]["result"][0]["value"][1])
    except (ClientError, OSError, TimeoutError, ValueError, KeyError, IndexError, TypeError) as error:
        raise MeshError(f"{check.url} does not say what {check.query!r} is: {error!r}") from error
    if math.isnan(value) or value > check.max:
        return f"{check.query} is {value:g}, which is above {check.max:g}"
    return ""
