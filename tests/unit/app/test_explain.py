"""What a gateway would decide for a request, from its files alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from gateway.app.explain import explain_files
from gateway.errors import ProtocolError
from tests.support.roles import lanes, put_gateway

GRAY = {
    "kind": "static",
    "services": {"a": [{"address": "127.0.0.1:1"}, {"address": "127.0.0.1:2", "tag": "gray"}]},
}


def explained(config: Path, url: str, rules: Path | None = None, **options: Any) -> dict[str, Any]:
    found = explain_files(config, rules, "GET", url, options.pop("headers", []), client_ip="10.1.2.3", **options)
    return cast("dict[str, Any]", found)


def test_the_files_say_where_a_request_goes(tmp_path: Path) -> None:
    config = put_gateway(tmp_path, lanes("gray"), registry=GRAY)
    found = explained(config, "/A/x?group=gray")
    assert (found["decision"]["lane"], found["decision"]["instance"]) == ("gray", "127.0.0.1:2")
    assert found["request"] == {"method": "GET", "host": "localhost", "path": "/A/x", "client_ip": "10.1.2.3"}
    found = explained(config, "/A/x")
    assert (found["decision"]["lane"], found["decision"]["instance"]) == (None, "127.0.0.1:1")


def test_other_rules_may_take_the_place_of_those(tmp_path: Path) -> None:
    config = put_gateway(tmp_path, lanes("gray"), registry=GRAY)
    (tmp_path / "draft.yaml").write_text(lanes("blue"))
    found = explained(config, "/A/x?group=gray", tmp_path / "draft.yaml")
    assert [lane["lane"] for lane in found["lanes"]] == ["blue"]
    assert found["decision"]["lane"] is None


def test_a_client_that_is_trusted_may_send_its_tag(tmp_path: Path) -> None:
    config = put_gateway(tmp_path, lanes("blue"), registry=GRAY, trusted=["10.1.2.3"])
    found = explained(config, "/A/x", headers=[("x-gray-tag", "gray")])
    assert found["decision"]["instance"] == "127.0.0.1:2"


def test_a_request_that_the_gateway_would_refuse_is_refused(tmp_path: Path) -> None:
    config = put_gateway(tmp_path, registry=GRAY, limits={"target_bytes": 1024})
    with pytest.raises(ProtocolError):
        explained(config, "/" + "x" * 2000)
