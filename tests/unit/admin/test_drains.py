"""The endpoints that drain an instance and bring it back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.admin.server import AdminServer
from gateway.control.drains import Drain, LastInstance, NoSuchInstance
from tests.support.admin import ShownRole
from tests.support.strangers import ask

PATH = "/api/v1/services/a%2Fb/instances/%5B::1%5D:80"


class FakeDrains:
    """See Drains."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.error: Exception | None = None

    def drain(self, drain: Drain) -> None:
        self.log.append((drain.service, drain.address, drain.author, drain.reason))
        if self.error is not None:
            raise self.error

    def restore(self, *args: str) -> None:
        self.log.append(args)
        if self.error is not None:
            raise self.error

    def describe(self) -> list[str]:
        return ["all of them"]


async def test_both_are_handed_on_and_what_is_drained_is_told() -> None:
    drains = FakeDrains()
    server = AdminServer("127.0.0.1", 0, ShownRole(), drains=drains)  # type: ignore[arg-type]
    await server.start()

    async def post(what: str, body: Any = None) -> tuple[int, Any]:
        fields = (("Content-Type", "application/json"), ("X-Author", "bob"))
        content = b"" if body is None else json.dumps(body).encode()
        status, _, response = await ask(server.port, "POST", f"{PATH}/{what}", fields, content)
        return status, json.loads(response)

    try:
        assert await post("drain", {"reason": "a\nb"}) == (200, {"drained": ["all of them"]})
        assert await post("drain") == (200, {"drained": ["all of them"]})
        assert await post("restore", {}) == (200, {"drained": ["all of them"]})
        assert drains.log == [
            ("a/b", "[::1]:80", "bob", "a\\nb"),
            ("a/b", "[::1]:80", "bob", ""),
            ("a/b", "[::1]:80", "bob"),
        ]
        for error, code in ((NoSuchInstance("no"), (404, "not_found")), (LastInstance("no"), (409, "last_instance"))):
            drains.error = error
            for what in ("drain", "restore") if code[0] == 404 else ("drain",):
                status, body = await post(what, {})
                assert (status, body["code"]) == code
        wrongs: list[Any] = [[], {"why": "x"}, {"reason": 1}, {"reason": "x" * 1001}]
        for wrong in wrongs:
            status, body = await post("drain", wrong)
            assert (status, body["code"]) == (400, "bad_request"), wrong
    finally:
        await server.close()


@pytest.mark.parametrize("what", ["drain", "restore"])
async def test_who_has_nothing_to_drain_has_no_such_endpoint(what: str) -> None:
    server = AdminServer("127.0.0.1", 0, ShownRole())
    await server.start()
    try:
        assert (await ask(server.port, "POST", f"{PATH}/{what}", (("Content-Type", "application/json"),), b"{}"))[
            0
        ] == 404
    finally:
        await server.close()
