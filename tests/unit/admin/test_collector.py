"""Every metric of the table has samples with its labels, and what was counted comes out under its name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.admin.collector import Collector
from gateway.admin.families import Family
from gateway.admin.metrics import METRICS
from gateway.admin.observed import Observed
from gateway.telemetry.counters import Traffic


def busy() -> Traffic:
    traffic = Traffic()
    traffic.connections, traffic.tunnels, traffic.in_flight = 7, 2, 3
    traffic.ambiguous, traffic.log_lines, traffic.log_dropped, traffic.internal_errors = 11, 12, 13, 14
    traffic.count_exchange("a", "gray", 200, 0.002, 0.00002, received=100, sent=2000)
    traffic.count_lane("g", "gray")
    traffic.count_fallback("b", "gray", "absent")
    traffic.count_upstream_error("a", "gray", "closed")
    traffic.count_ejection("a", "gray", "connect")
    traffic.count_excused("a", "gray", "callee")
    traffic.count_retry("a", "closed")
    traffic.count_fault("a", "gray", "abort")
    traffic.count_mirrored("a", "gray", "same")
    traffic.count_call("a", "base", "OK", False)
    traffic.count_call("a", "gray", "INTERNAL", True)
    traffic.count_retry_denied("a")
    traffic.count_refused("no_route")
    traffic.count_http2_failure("resets")
    traffic.count_reply("/hello", 204)
    traffic.inferred = 15
    traffic.unsigned, traffic.unknown_rules = 16, 17
    traffic.count_rejected("forged")
    traffic.count_question("forward_auth", "granted")
    traffic.count_compressed("gzip", "before", 9)
    traffic.mesh_requests = {"mtls": 2, "plain": 1}
    traffic.count_lost("a", "gray", "no_id")
    return traffic


def observed(**others: Any) -> Observed:
    """A role that has everything there is to see."""
    state = SimpleNamespace(service="a", state="fresh", age=1.5, kept={"a:1"})
    keeper = SimpleNamespace(
        states=lambda: [state], errors={"timeout": 1}, protected={"empty": 2}, skipped={"bad_port": 3}, flapped=4
    )
    pool = SimpleNamespace(tag="gray", usable=[1, 2], size=5, is_panicking=True)
    view = SimpleNamespace(name="a", pools={"gray": pool}, condition=SimpleNamespace(uses_unhealthy=True))
    reload = SimpleNamespace(succeeded=5, failed=1, error=(), loaded_at=99.0, revision=6, runs_old_rules=False)
    source = SimpleNamespace(name="nacos://x/y", is_up=True, age=2.0, failures={"timeout": 1})
    parts: dict[str, Any] = {
        "traffic": {"entry": busy()},
        "upstream_connections": {"a:1": (1, 2, 3, 4)},
        "upstream_requests": {"a:1": 8},
        "registries": SimpleNamespace(keepers={"nacos": keeper}),
        "snapshot": SimpleNamespace(services={"a": view}),
        "reload": reload,
        "guard_verdicts": {("g", "gray", "worse"): 1},
        "guards_tripped": {("g", "gray"): True},
        "guard_events": {"delivered": 1, "lost": 0},
        "workers": 2,
        "worker_restarts": 1,
        "processes": {},
        "certificates": {"a.pem": 50.0},
        "lane_expiries": {("g", "gray"): 60.0},
        "remote_rules": [source],
        "attached": (True, 7),
        "failures": {"a watch": 1},
        "is_application_up": True,
        "bypasses": 1,
        "service": "front",
        "drained": {"a": 1},
        "spans": {"exported": 1, "dropped": 2, "failed": 3},
        "deliveries": {"delivered": 3, "lost": 1},
        "registrations": {"nacos": SimpleNamespace(state="registered", age=None)},
    }
    return cast("Any", Observed)(**{**parts, **others})  # type: ignore[no-any-return]


@pytest.mark.parametrize("family", METRICS, ids=lambda family: family.name)
def test_every_metric_has_samples_with_its_labels(family: Family) -> None:
    samples = list(family.samples(observed()) or ())
    assert samples
    assert {len(labels) for labels, _ in samples} == {len(family.labels)}
    assert (family.type == "counter") == family.name.endswith("_total")


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("gateway_inferred_tags_total", [(("entry",), 15)]),
        ("gateway_lane_lost_total", [(("front", "a", "gray", "no_id"), 1)]),
        ("gateway_open_connections", [(("entry",), 7)]),
        ("gateway_tunnels", [(("entry",), 2)]),
        ("gateway_requests_in_flight", [(("entry",), 3)]),
        ("gateway_ambiguous_traces_total", [(("entry",), 11)]),
        ("gateway_access_log_lines_total", [(("entry",), 12)]),
        ("gateway_access_log_dropped_total", [(("entry",), 13)]),
        ("gateway_internal_errors_total", [(("entry",), 14)]),
        ("gateway_failed_requests_total", [(("entry", "a", "gray"), 1)]),
        ("gateway_requests_total", [(("entry", "a", "gray", "200"), 1)]),
        ("gateway_request_bytes_total", [(("entry", "a", "gray"), 100)]),
        ("gateway_response_bytes_total", [(("entry", "a", "gray"), 2000)]),
        ("gateway_replies_total", [(("entry", "/hello", "204"), 1)]),
        ("gateway_retries_denied_total", [(("entry", "a"), 1)]),
        ("gateway_injected_faults_total", [(("entry", "a", "gray", "abort"), 1)]),
        ("gateway_mirrored_requests_total", [(("entry", "a", "gray", "same"), 1)]),
        ("gateway_endpoints", [(("a", "gray", "true"), 2), (("a", "gray", "false"), 3)]),
        ("gateway_workers", [((), 2)]),
        ("gateway_attached_routes_up", [((), True)]),
        ("gateway_attached_routes", [((), 7)]),
        ("gateway_worker_restarts_total", [((), 1)]),
        ("gateway_config_reloads_total", [(("success",), 5), (("failure",), 1)]),
        ("gateway_registration_age_seconds", [(("nacos", "registered"), 0.0)]),
        ("gateway_upstream_requests_in_flight", [(("a:1",), 8)]),
        (
            "gateway_upstream_connections",
            [(("a:1", "active"), 1), (("a:1", "idle"), 2), (("a:1", "draining"), 3), (("a:1", "tunnel"), 4)],
        ),
    ],
)
def test_numbers_come_from_where_they_are_counted(name: str, samples: list[Any]) -> None:
    [family] = [family for family in METRICS if family.name == name]
    assert list(family.samples(observed()) or ()) == samples


def test_what_a_role_does_not_have_is_left_out() -> None:
    text = Collector(observed(is_application_up=None)).exposition().decode()
    assert "gateway_workers 2.0" in text
    assert "gateway_application_up" not in text


def test_a_histogram_counts_what_is_at_or_below_each_bound() -> None:
    text = Collector(observed()).exposition().decode()
    of = 'gateway_request_duration_seconds_bucket{le="%s",listener="entry",service="a",tag="gray"} %s'
    for bound, count in (("0.001", "0.0"), ("0.0025", "1.0"), ("+Inf", "1.0")):
        assert of % (bound, count) in text


def test_without_the_gateway_api_there_are_no_samples_of_it() -> None:
    families = [family for family in METRICS if family.name.startswith("gateway_attached_routes")]
    assert [list(family.samples(observed(attached=None)) or ()) for family in families] == [[], []]
