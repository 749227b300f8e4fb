"""The admin API of a running gateway does what its OpenAPI description says, whatever clients make of that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import TypeAdapter
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.admin import bodies, lane_bodies, live_bodies, rule_bodies
from gateway.admin.openapi import describe
from tests.integration.test_live import requests
from tests.support.gateway import Gateway
from tests.support.origin import Origin
from tests.support.process import get_json

EXAMPLES = 4
"""Of each endpoint: always the same, as a test is to be."""
THERE = {"group": "demo", "lane": "gray"}
ENDLESS = "/api/v1/requests/stream"
OPERATIONS = [
    (path, method) for path, item in describe()["paths"].items() for method in item if path != ENDLESS
]  # fmt: skip
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
"""What the description allows, and what it does not."""
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path, origin)
    gateway.config["state"] = "state"
    await gateway.run()
    await gateway.ask("/A/x?group=gray")
    await requests(gateway.admin, 1)
    yield gateway
    await gateway.close()


def fuzz(base: str) -> int:
    """Calls every endpoint with what its description allows, and what it does not; returns how often."""
    schema = schemathesis.openapi.from_dict(describe())
    calls = 0

    def call(case: Any) -> None:
        nonlocal calls
        calls += 1
        if calls % 2 and "group" in case.path_parameters:
            # What there is; a name that is made up is hardly ever one that is known.
            case.path_parameters.update({name: THERE[name] for name in case.path_parameters})
        case.call_and_validate(base_url=base, checks=CHECKS, timeout=30)

    for path, method in OPERATIONS:
        quickly = settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        operation: Any = schema[path][method]
        raw = operation.definition.raw
        can_be_wrong = "requestBody" in raw or any(item["in"] != "path" for item in raw["parameters"])
        for mode in MODES if can_be_wrong else MODES[:1]:
            quickly(given(case=operation.as_strategy(generation_mode=mode))(call))()
    return calls


async def test_every_endpoint_keeps_to_its_description(gateway: Gateway) -> None:
    calls = await asyncio.to_thread(fuzz, f"http://127.0.0.1:{gateway.admin}")
    assert calls >= len(OPERATIONS) * 2
    # It serves as before.
    assert "gray" in await gateway.ask("/A/x?group=gray")
    assert "Traceback" not in gateway.log.read_text()


async def test_what_is_given_has_no_more_than_is_described(gateway: Gateway) -> None:
    """A member that nobody described is one that nobody can rely on."""
    [record] = await requests(gateway.admin, 1)
    for path, model in (
        ("/api/v1/status", bodies.StatusBody),
        ("/api/v1/services", bodies.ServicesBody),
        ("/api/v1/lanes", lane_bodies.LaneStatesBody),
        ("/api/v1/requests", bodies.RecordsBody),
        (f"/api/v1/requests/{record['id']}/explain", bodies.RecordExplanationBody),
        (f"/api/v1/requests/{record['id']}/test", live_bodies.RuleTestBody),
        ("/api/v1/topology", live_bodies.TopologyBody),
        (f"/api/v1/chains/{record['trace_id']}", bodies.ChainBody),
        ("/api/v1/groups/demo/lanes", rule_bodies.ListedLanesBody),
        ("/api/v1/groups/demo/lanes/gray", rule_bodies.PlacedLaneBody),
        ("/api/v1/history", rule_bodies.RevisionsBody),
        ("/api/v1/history/1", rule_bodies.WholeRevisionBody),
    ):
        validate = partial(TypeAdapter(model).validate_python, extra="forbid", by_alias=True)
        validate(await get_json(gateway.admin, path))


async def test_the_description_is_served(gateway: Gateway) -> None:
    assert await get_json(gateway.admin, "/api/v1/openapi.json") == json.loads(json.dumps(describe()))
