"""The descriptions of both APIs: valid, complete, and what clients rely on."""

from __future__ import annotations

from typing import Any

import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel

from gateway.admin.openapi import describe
from gateway.release.api.endpoints import Api
from gateway.telemetry.request_record import SHOWN
from gateway.web.openapi import Operation, Parameter, openapi


class Given(BaseModel):
    """What is given."""

    name: str


class Nothing:
    def __getattr__(self, _: str) -> Any:
        return self


NOTHING: Any = Nothing()


@pytest.mark.parametrize("found", [describe(), Api(NOTHING, NOTHING).describe()], ids=["admin", "release"])
def test_the_descriptions_are_valid(found: dict[str, Any]) -> None:
    validate(found)
    names = [operation["operationId"] for item in found["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))


def test_an_operation_is_described_with_all_that_it_takes_and_gives() -> None:
    operation = Operation(
        method="POST",
        path="/a/{id:[0-9]{1,3}}/{name}",
        name="post_a",
        summary="Does it",
        gives=Given,
        status=201,
        also={200: "Would do it"},
        takes=Given,
        types={"application/yaml", "application/json"},
        parameters=[Parameter("dry_run", {"type": "boolean"}, "does nothing")],
    )
    [item] = openapi("x", [operation])["paths"]["/a/{id}/{name}"].items()
    method, found = item
    given = {"schema": {"$ref": "#/components/schemas/Given"}}
    wrong = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    assert (method, found) == (
        "post",
        {
            "operationId": "post_a",
            "summary": "Does it",
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9]{1,3}$"}},
                {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}},
                {
                    "name": "dry_run",
                    "in": "query",
                    "required": False,
                    "description": "does nothing",
                    "schema": {"type": "boolean"},
                },
            ],
            "responses": {
                "201": {"description": "Does it", "content": {"application/json": given}},
                "200": {"description": "Would do it", "content": {"application/json": given}},
                "default": {"description": "What is wrong", "content": wrong},
            },
            "requestBody": {
                "required": True,
                "content": {"application/json": given, "application/yaml": given},
            },
        },
    )


def test_what_needs_no_token_says_so() -> None:
    paths = describe()["paths"]
    free = {path for path, item in paths.items() for operation in item.values() if operation.get("security") == []}
    assert free == {"/livez", "/readyz", "/metrics"}


def test_a_record_is_described_with_all_its_fields() -> None:
    described = describe()["components"]["schemas"]["RecordBody"]
    assert set(described["properties"]) == {"id", "reporter", *SHOWN}
    assert set(described["required"]) == set(described["properties"])
