"""What a sidecar takes for itself."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.app.sidecar import identities_of
from gateway.settings import SidecarSettings

NACOS = {"kind": "nacos", "address": "127.0.0.1:8848"}
STATIC = {"kind": "static", "services": {}}


@pytest.mark.parametrize(
    ("settings", "tags"),
    [
        pytest.param({}, {"base"}, id="baseline"),
        pytest.param({"tag": "gray"}, {"gray"}, id="gray"),
        pytest.param({"tag": "gray", "metadata": {"lane": "gray"}}, {"gray"}, id="gray twice"),
        pytest.param({"metadata": {"lane": "gray"}}, {"gray"}, id="marked by its metadata alone: no baseline"),
        pytest.param({"metadata": {"lane": "gray"}, "registry": STATIC}, {"base", "gray"}, id="listed by hand"),
        pytest.param(
            {"metadata": {"zone": "gray"}, "registry": {**NACOS, "tag_keys": ["zone"]}},
            {"base", "gray"},
            id="marked for those who look at this key",
        ),
    ],
)
def test_what_peers_may_call_an_instance(settings: dict[str, Any], tags: set[str]) -> None:
    sidecar = {
        "service": "a",
        "app": "127.0.0.1:1",
        "inbound": "127.0.0.1:2",
        "outbound": "127.0.0.1:3",
        "registry": NACOS,
    }
    found = identities_of(SidecarSettings.model_validate({**sidecar, **settings}))
    assert set(found) == {f"{tag}{service}" for tag in tags for service in ("", ";service=a")}
