"""The metrics, an entry each: name, type, labels, help, and where the numbers come from.

A new metric is an entry here and a row in `docs/metrics.md`, which a test compares with it. A number that the data plane counts
is an attribute of `telemetry.counters.Traffic` as well.

Names follow https://prometheus.io/docs/practices/naming/: prefix `gateway_`, base units, `_total` on counters. Label
values come from configuration, the registry or this program. If a message has a say in one (a tag, a service that an
application calls, a status), the series have a bound: `telemetry.names`, `telemetry.counters`.
"""

from __future__ import annotations

from typing import Final

from gateway import __version__
from gateway.admin.families import (
    Family,
    number,
    of_application,
    of_bypasses,
    of_escapes,
    of_exchanges,
    of_listeners,
    of_registries,
    of_registry_services,
    of_reload,
    of_spans,
    registry_table,
    table,
)
from gateway.admin.poolmetrics import POOL_METRICS
from gateway.admin.rulemetrics import LANE_METRICS, RULE_METRICS
from gateway.telemetry.counters import code_of

METRICS: Final = (
    Family(
        "gateway_build_info", "gauge", ("version",),
        "always 1",
        lambda _: [((__version__,), 1)],
    ),
    Family(
        "gateway_requests_total", "counter", ("listener", "service", "tag", "code"),
        "completed exchanges",
        of_exchanges(lambda series: (((code_of(status),), count) for status, count in series.statuses.items())),
    ),
    Family(
        "gateway_failed_requests_total", "counter", ("listener", "service", "tag"),
        "those of them that ended with 5xx, or, as gRPC calls, with a status that says the same",
        of_exchanges(lambda series: [((), series.errors)]),
    ),
    Family(
        "gateway_request_duration_seconds", "histogram", ("listener", "service", "tag"),
        "time from a request's head to the end of its response (histogram, 1 ms to 10 s)",
        of_exchanges(lambda series: [((), series.durations)]),
    ),
    Family(
        "gateway_request_bytes_total", "counter", ("listener", "service", "tag"),
        "request bytes of completed exchanges, including heads, as the client sent them",
        of_exchanges(lambda series: [((), series.received)]),
    ),
    Family(
        "gateway_response_bytes_total", "counter", ("listener", "service", "tag"),
        "response bytes of completed exchanges, including heads, as the service sent them; for a WebSocket,"
        " what the service sent",
        of_exchanges(lambda series: [((), series.sent)]),
    ),
    Family(
        "gateway_overhead_seconds", "histogram", ("listener",),
        "time spent in the gateway itself: before the head was forwarded, and between receiving and"
        " forwarding the response (histogram, 10 µs to 100 ms)",
        number(lambda traffic: traffic.overhead),
    ),
    Family(
        "gateway_requests_in_flight", "gauge", ("listener",),
        "exchanges in flight, not counting tunnels",
        number(lambda traffic: traffic.in_flight),
    ),
    Family(
        "gateway_tunnels", "gauge", ("listener",),
        "client connections that have become tunnels (WebSockets)",
        number(lambda traffic: traffic.tunnels),
    ),
    Family(
        "gateway_open_connections", "gauge", ("listener",),
        "client connections",
        number(lambda traffic: traffic.connections),
    ),
    Family(
        "gateway_refused_requests_total", "counter", ("listener", "code"),
        "requests that got an error before a service was chosen",
        table(lambda traffic: traffic.refused),
    ),
    Family(
        "gateway_questions_total", "counter", ("listener", "by", "result"),
        "requests for which somebody was asked: basic_auth (a password was hashed) or forward_auth; granted, denied or"
        " failed",
        table(lambda traffic: traffic.questions),
    ),
    Family(
        "gateway_compression_bytes_total", "counter", ("listener", "coding", "side"),
        "bytes of bodies that were compressed: before and after",
        table(lambda traffic: traffic.compressed),
    ),
    Family(
        "gateway_mesh_requests_total", "counter", ("listener", "kind"),
        "requests by how the caller came, with mesh: mtls, plain, or stranger (a certificate that mesh.peers does not admit)",
        table(lambda traffic: traffic.mesh_requests),
    ),
    Family(
        "gateway_mesh_handshakes_failed_total", "counter", ("listener",),
        "handshakes of mutual TLS that failed, with mesh",
        of_listeners(lambda traffic: [((), traffic.handshakes_failed)] if traffic.mesh_requests else []),
    ),
    Family(
        "gateway_replies_total", "counter", ("listener", "route", "code"),
        "requests that a route responded to itself",
        of_listeners(lambda traffic: (((route, code_of(code)), count) for (route, code), count in traffic.replies.items())),
    ),
    Family(
        "gateway_request_records_total", "counter", ("listener", "result"),
        "request records: kept, or skipped because of records.marked_rate and records.unmarked_rate",
        of_listeners(lambda traffic: [(("kept",), traffic.records_kept), (("skipped",), traffic.records_skipped)]),
    ),
    Family(
        "gateway_request_record_deliveries_total", "counter", ("result",),
        "request records sent to records.collector: delivered or lost",
        lambda observed: (
            None if observed.deliveries is None else [((name,), count) for name, count in observed.deliveries.items()]
        ),
    ),
    Family(
        "gateway_spans_total", "counter", ("result",),
        "spans of sampled traces: exported, dropped because of their number, or failed because the collector did"
        " not take them",
        of_spans,
    ),
    Family(
        "gateway_lane_decisions_total", "counter", ("listener", "group", "lane"),
        "requests that a rule put on a lane",
        of_listeners(
            lambda traffic: (
                ((group, lane), count)
                for group, by_lane in traffic.decisions.items()
                for lane, count in by_lane.items()
            )
        ),
    ),
    Family(
        "gateway_lane_fallbacks_total", "counter", ("listener", "service", "tag", "reason"),
        "marked requests that the baseline served",
        table(lambda traffic: traffic.fallbacks),
    ),
    Family(
        "gateway_upstream_errors_total", "counter", ("listener", "service", "tag", "kind"),
        "failed upstream connections and responses",
        table(lambda traffic: traffic.upstream_errors),
    ),
    Family(
        "gateway_ejections_total", "counter", ("listener", "service", "tag", "cause"),
        "ejections of instances",
        table(lambda traffic: traffic.ejections),
    ),
    Family(
        "gateway_excused_failures_total", "counter", ("listener", "service", "tag", "cause"),
        "failures that were not held against the instance that responded with them",
        table(lambda traffic: traffic.excused),
    ),
    Family(
        "gateway_injected_faults_total", "counter", ("listener", "service", "tag", "kind"),
        "marked requests into which their lane injected a fault",
        table(lambda traffic: traffic.faults),
    ),
    Family(
        "gateway_mirrored_requests_total", "counter", ("listener", "service", "tag", "result"),
        "requests of the baseline that were chosen to be copied to a lane",
        table(lambda traffic: traffic.mirrored),
    ),
    Family(
        "gateway_grpc_calls_total", "counter", ("listener", "service", "tag", "grpc_status"),
        "gRPC calls that ended with a status",
        table(lambda traffic: traffic.calls),
    ),
    Family(
        "gateway_retries_total", "counter", ("listener", "service", "reason"),
        "retries",
        table(lambda traffic: traffic.retries),
    ),
    Family(
        "gateway_retries_denied_total", "counter", ("listener", "service"),
        "retries that the budget did not allow",
        table(lambda traffic: traffic.retries_denied),
    ),
    Family(
        "gateway_ambiguous_traces_total", "counter", ("listener",),
        "outbound calls treated as unmarked, because marked and unmarked requests in flight at the same time"
        " shared the only id that the calls carry",
        number(lambda traffic: traffic.ambiguous),
    ),
    Family(
        "gateway_inferred_tags_total", "counter", ("listener",),
        "outbound calls that carried nothing known and took the tag of all requests in flight",
        number(lambda traffic: traffic.inferred),
    ),
    Family(
        "gateway_carriers_rejected_total", "counter", ("listener", "why"),
        "with carriers.keys: requests with a tag that was dropped: forged, expired or unsigned",
        table(lambda traffic: traffic.rejected),
    ),
    Family(
        "gateway_carriers_unsigned_total", "counter", ("listener",),
        "with carriers.keys and signing: permissive: requests whose tag was accepted without a signature",
        number(lambda traffic: traffic.unsigned),
    ),
    Family(
        "gateway_unknown_rules_total", "counter", ("listener",),
        "marked requests decided by the rules in force, because those that they came with are not known",
        number(lambda traffic: traffic.unknown_rules),
    ),
    Family(
        "gateway_lane_lost_total", "counter", ("from", "to", "tag", "why"),
        "on a sidecar: calls of its application that lost the tag of the request they belong to",
        of_escapes,
    ),
    Family(
        "gateway_application_up", "gauge", (),
        "on a sidecar: 1 if its application accepts requests",
        of_application,
    ),
    Family(
        "gateway_bypass_suspected_total", "counter", (),
        "of a sidecar with a façade: how often its application was registered beside it as well",
        of_bypasses,
    ),
    *POOL_METRICS,
    Family(
        "gateway_access_log_lines_total", "counter", ("listener",),
        "lines written to the access log",
        number(lambda traffic: traffic.log_lines),
    ),
    Family(
        "gateway_access_log_dropped_total", "counter", ("listener",),
        "lines lost because the disk did not keep up or failed",
        number(lambda traffic: traffic.log_dropped),
    ),
    Family(
        "gateway_http2_requests_total", "counter", ("listener",),
        "requests that came by HTTP/2",
        number(lambda traffic: traffic.http2_started),
    ),
    Family(
        "gateway_http2_failures_total", "counter", ("listener", "reason"),
        "HTTP/2 connections closed by a fault of the client, and requests refused because of a limit of HTTP/2",
        table(lambda traffic: traffic.http2_failures),
    ),
    Family(
        "gateway_internal_errors_total", "counter", ("listener",),
        "errors of this program that a message triggered. Each is a bug, returned as 500 internal_error and"
        " logged",
        number(lambda traffic: traffic.internal_errors),
    ),
    Family(
        "gateway_workers", "gauge", (),
        "worker processes",
        lambda observed: [((), observed.workers)],
    ),
    Family(
        "gateway_worker_restarts_total", "counter", (),
        "workers that ended and were started again",
        lambda observed: [((), observed.worker_restarts)],
    ),
    *LANE_METRICS,
    Family(
        "gateway_tls_certificate_expiry_timestamp_seconds", "gauge", ("cert",),
        "when a certificate of the listener, or of the mesh, expires",
        lambda observed: [((file,), when) for file, when in observed.certificates.items()],
    ),
    Family(
        "gateway_registry_sync_age_seconds", "gauge", ("registry", "service", "state"),
        "time since the registry last responded; 0 if it never did",
        of_registry_services(lambda state: ((state.service, state.state), state.age)),
    ),
    Family(
        "gateway_registry_kept_instances", "gauge", ("registry", "service"),
        "instances still used although the registry does not list them now, because it is unreachable or its"
        " list is doubted",
        of_registry_services(lambda state: ((state.service,), len(state.kept))),
    ),
    Family(
        "gateway_registration_age_seconds", "gauge", ("registry", "state"),
        "on a sidecar: time since the registry last reported on its registration; 0 if it never did",
        lambda observed: [
            ((name, known.state), known.age or 0.0) for name, known in observed.registrations.items()
        ],
    ),
    Family(
        "gateway_registry_errors_total", "counter", ("registry", "reason"),
        "failed lookups",
        registry_table(lambda keeper: keeper.errors),
    ),
    Family(
        "gateway_registry_protected_total", "counter", ("registry", "doubt"),
        "lists that were not applied at once; counted again if the reason changes",
        registry_table(lambda keeper: keeper.protected),
    ),
    Family(
        "gateway_registry_skipped_records_total", "counter", ("registry", "reason"),
        "invalid instance records, counted when first seen",
        registry_table(lambda keeper: keeper.skipped),
    ),
    Family(
        "gateway_registry_flaps_total", "counter", ("registry",),
        "instances that came and went, and were held back for a while",
        of_registries(lambda keeper: [((), keeper.flapped)]),
    ),
    Family(
        "gateway_config_reloads_total", "counter", ("result",),
        "loads, including the first one: success or failure",
        of_reload(lambda state: [(("success",), state.succeeded), (("failure",), state.failed)]),
    ),
    Family(
        "gateway_config_last_reload_successful", "gauge", (),
        "0: the running configuration is not the one in the files",
        of_reload(lambda state: [((), 0 if state.error else 1)]),
    ),
    Family(
        "gateway_config_last_reload_success_timestamp_seconds", "gauge", (),
        "when the running revision was loaded",
        of_reload(lambda state: [((), state.loaded_at)]),
    ),
    Family(
        "gateway_config_revision", "gauge", (),
        "the running revision, from 1",
        of_reload(lambda state: [((), state.revision)]),
    ),
    Family(
        "gateway_config_runs_old_rules", "gauge", (),
        "1: the rules in force are those of an earlier run, because those present at the start had problems",
        of_reload(lambda state: [((), state.runs_old_rules)]),
    ),
    Family(
        "gateway_attached_routes_up", "gauge", (),
        "1: the Gateway API is followed without a problem",
        lambda observed: [] if observed.attached is None else [((), observed.attached[0])],
    ),
    Family(
        "gateway_attached_routes", "gauge", (),
        "matches of HTTPRoutes in force",
        lambda observed: [] if observed.attached is None else [((), observed.attached[1])],
    ),
    *RULE_METRICS,
    Family(
        "gateway_background_failures_total", "counter", ("work",),
        "background tasks that failed because of a bug and were restarted; the log has the traceback",
        lambda observed: [((work,), count) for work, count in observed.failures.items()],
    ),
)  # fmt: skip
"""In the order of `docs/metrics.md`."""
