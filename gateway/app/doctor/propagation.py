"""Sends one marked request through the entry, and says what became of its tag at each hop: no other traffic is needed."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway import hop
from gateway.app.doctor.finding import FAILED, WARNING, Finding
from gateway.app.doctor.hops import CHECK, HOP, RECORD, Walk, unresolved
from gateway.app.doctor.remote import TIMEOUT, instances_of, refusal_of
from gateway.errors import GatewayError
from gateway.shapes import check, parse_json

PROBE_TIMEOUT: Final = ClientTimeout(total=30.0)
PATIENCE: Final = 10.0
"""Seconds that records have to be delivered, if nothing else is said."""
PAUSE: Final = 0.25
"""Seconds between two looks at them."""


async def check_propagation(
    url: str, headers: Sequence[tuple[str, str]], server: str, token: str | None, patience: float = PATIENCE
) -> list[Finding]:
    """What is found of a GET for `url`, sent once. `server` is the admin address of the gateway that collects the records.

    Waits up to `patience` seconds after the response until every program on the way has delivered what it saw.
    """
    trace = secrets.token_hex(16)
    own = {"traceparent", "tracestate"}
    fields = [(name, value) for name, value in headers if name.lower() not in own]
    fields.append(("traceparent", f"00-{trace}-{secrets.token_hex(8)}-01"))
    try:
        async with (
            ClientSession(timeout=PROBE_TIMEOUT) as session,
            session.get(url, headers=fields, allow_redirects=False) as response,
        ):
            await response.read()
            status = response.status
    except (ClientError, OSError, TimeoutError, ValueError) as error:
        problem = f"the probe got no response: {str(error) or type(error).__name__}"
        return [Finding(CHECK, url, FAILED, problem, "check the URL: it is that of the gateway's own listener")]
    findings = []
    if status >= 400:
        message = f"the probe got status {status}"
        findings.append(Finding(CHECK, url, WARNING, message, "a request that succeeds shows more"))
    try:
        walk = await _wait_walked(trace, server, token, patience)
    except GatewayError as error:
        return [*findings, Finding(CHECK, server, FAILED, str(error), "check --server and --token")]
    return [*findings, *unresolved(walk)]


async def _wait_walked(trace: str, server: str, token: str | None, patience: float) -> Walk:
    """The walk to the end, or as far as it came in time."""
    deadline = time.monotonic() + patience
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with ClientSession(timeout=TIMEOUT, headers=headers) as session:
        services = (await _get(session, server, "services", {"services": [{}]}))["services"]
        sidecars = {item["address"] for item in instances_of(services) if hop.SIDECAR_KEY in item["metadata"]}
        while True:
            found = await _get(session, server, f"chains/{trace}", {"hops": [HOP]}, may_miss=True)
            records = await _get(session, server, f"chains/{trace}/beside", {"requests": [RECORD]})
            walk = Walk(sidecars)
            walk.follow(found.get("hops", []), records["requests"])
            if not walk.missing or time.monotonic() >= deadline:
                return walk
            await asyncio.sleep(PAUSE)


async def _get(
    session: ClientSession, server: str, path: str, wants: dict[str, Any], *, may_miss: bool = False
) -> dict[str, Any]:
    base = server if "://" in server else f"http://{server}"
    try:
        async with session.get(f"{base}/api/v1/{path}", allow_redirects=False) as response:
            found = parse_json(await response.text())
            if response.status == 404 and may_miss:
                return {}
            if response.status != 200:
                raise GatewayError(f"cannot be asked: {refusal_of(response.status, found)}")
            check(found, wants)
            return dict(found)
    except (ClientError, OSError, ValueError) as error:
        raise GatewayError(f"cannot be asked: {str(error) or type(error).__name__}") from error
