"""The webhook keeps its own certificates in a Secret, and tells the API server whom to trust."""

from __future__ import annotations

import base64
import copy
from typing import Any, cast

import pytest

from gateway.errors import GatewayError
from gateway.injection.certificates import CONFIGURATIONS, OwnCertificates
from gateway.injection.pairs import RENEWAL, SETTLING
from gateway.kubernetes.access import Access
from gateway.kubernetes.client import ApiClient
from gateway.kubernetes.credentials import NoCredentials
from gateway.kubernetes.errors import ApiError

SECRET = "/api/v1/namespaces/ns/secrets/own"
CONFIGURATION = f"{CONFIGURATIONS}/hook"
SERVICE = {"name": "webhook", "namespace": "ns"}
NOW = 1_800_000_000.0


class Api:
    """An API server with a Secret and a configuration; `before_write` is called once before a write, as another replica would."""

    def __init__(self) -> None:
        self.access = Access("https://api", None, NoCredentials(), "ns")
        self.objects: dict[str, dict[str, Any]] = {
            SECRET: {"metadata": {"resourceVersion": "1"}},
            CONFIGURATION: {
                "metadata": {"name": "hook", "resourceVersion": "1"},
                "webhooks": [{"name": "w", "clientConfig": {"service": SERVICE}}],
            },
        }
        self.writes: list[str] = []
        self.before_write: Any = None
        self.refused: set[tuple[str, str]] = set()

    async def call(self, method: str, path: str, *, body: Any = None, content_type: str = "") -> dict[str, Any]:
        if (method, path) in self.refused:
            raise ApiError(403, "Forbidden", f"{method} {path}: not allowed")
        if method == "PATCH":
            if self.before_write is not None:
                before, self.before_write = self.before_write, None
                await before()
            there = self.objects[path]
            if body["metadata"]["resourceVersion"] != there["metadata"]["resourceVersion"]:
                raise ApiError(409, "Conflict", "somebody was faster")
            there["metadata"]["resourceVersion"] += "1"
            self.writes.append(path)
            if path == SECRET:
                data = {**there.get("data", {}), **body["data"]}
                there["data"] = {key: value for key, value in data.items() if value is not None}
            else:
                assert content_type == "application/strategic-merge-patch+json"
                there["webhooks"][0]["clientConfig"] |= body["webhooks"][0]["clientConfig"]
        return copy.deepcopy(self.objects[path])

    async def close(self) -> None:
        """Nothing is open."""

    @property
    def trusted(self) -> str:
        client = self.objects[CONFIGURATION]["webhooks"][0]["clientConfig"]
        return base64.b64decode(client["caBundle"]).decode()


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def own(api: Api, clock: Clock) -> OwnCertificates:
    return OwnCertificates(cast("ApiClient", api), "own", "hook", clock)


async def test_the_first_look_makes_one_and_the_second_changes_nothing() -> None:
    api, clock = Api(), Clock()
    certificates = own(api, clock)
    certificate = await certificates.look()
    assert certificate is not None
    assert certificate.names == ("webhook.ns.svc",)
    assert api.writes == [SECRET, CONFIGURATION]
    assert await certificates.look() is None
    assert len(api.writes) == 2


async def test_two_replicas_that_begin_at_once_use_the_same_one() -> None:
    api, clock = Api(), Clock()
    one, other = own(api, clock), own(api, clock)
    api.before_write = other.look
    assert await one.look() is not None
    assert one._used == other._used
    assert api.writes == [SECRET, CONFIGURATION]


async def test_a_rotation_is_trusted_first_used_by_both_then_and_over_at_the_end() -> None:
    api, clock = Api(), Clock()
    one, other = own(api, clock), own(api, clock)
    await one.look()
    await other.look()
    old, first = one._used, api.trusted
    clock.now += RENEWAL
    for replica in (one, other):
        assert await replica.look() is None
    assert first in api.trusted
    assert api.trusted != first
    clock.now += SETTLING
    for replica in (one, other):
        assert await replica.look() is not None
    assert one._used == other._used != old
    clock.now += SETTLING
    for replica in (one, other):
        assert await replica.look() is None
    assert first not in api.trusted
    assert sorted(api.objects[SECRET]["data"]) == ["tls.crt", "tls.key"]


async def test_one_that_the_api_server_could_not_be_told_of_is_not_used() -> None:
    api, clock = Api(), Clock()
    certificates = own(api, clock)
    await certificates.look()
    api.refused = {("PATCH", CONFIGURATION)}
    clock.now += RENEWAL
    with pytest.raises(GatewayError, match="not allowed"):
        await certificates.look()
    clock.now += SETTLING
    api.refused = set()
    assert await certificates.look() is None, "it has only just been told"
    assert await certificates.look() is not None


async def test_an_authority_that_somebody_took_away_is_told_again() -> None:
    api, clock = Api(), Clock()
    certificates = own(api, clock)
    await certificates.look()
    first = api.trusted
    del api.objects[CONFIGURATION]["webhooks"][0]["clientConfig"]["caBundle"]
    assert await certificates.look() is None
    assert api.trusted == first


async def test_junk_in_the_secret_is_replaced_and_what_is_in_use_stays_for_a_while() -> None:
    api, clock = Api(), Clock()
    certificates = own(api, clock)
    await certificates.look()
    used, first = certificates._used, api.trusted
    api.objects[SECRET]["data"] = {"tls.crt": "####", "tls.key": 7}
    assert await certificates.look() is None
    assert certificates._used == used
    assert first in api.trusted


async def test_what_is_missing_is_said() -> None:
    api, clock = Api(), Clock()
    api.objects[CONFIGURATION]["webhooks"] = []
    with pytest.raises(GatewayError, match="hook has no webhooks"):
        await own(api, clock).look()
