"""The metrics, an entry each: name, type, labels, help, and where the numbers come from.

A new metric is an entry here and a row in `docs/metrics.md`, which a test compares with it. A number that the data plane counts
is an attribute of `telemetry.counters.Traffic` as well.

Names follow https://prometheus.io/docs/practices/naming/: prefix `gateway_`, base units, `_total` on counters. Label
values come from configuration, the registry or this program. If a message has a say in one (a tag, a service that an
application calls, a status), the series have a bound: `telemetry.names`, `telemetry.counters`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from gateway import __version__
from gateway.admin.families import (
    Family,
    Sample,
    Scrape,
    number,
    of_exchanges,
    of_listeners,
    of_pools,
    of_registries,
    of_registry_services,
    of_reload,
    registry_table,
    table,
)
from gateway.proxy.origin import STATES
from gateway.telemetry.counters import code_of


def _connections(scrape: Scrape) -> Iterator[Sample]:
    for address, counts in scrape.observed.upstream_connections().items():
        for state, count in zip(STATES, counts, strict=True):
            yield (address, state), count


def _application(scrape: Scrape) -> Iterable[Sample] | None:
    application = scrape.observed.application
    return None if application is None else [((), application())]


def _bypasses(scrape: Scrape) -> Iterable[Sample] | None:
    bypasses = scrape.observed.bypasses
    return None if bypasses is None else [((), bypasses())]


METRICS: Final = (
    Family(
        "gateway_build_info", "gauge", ("version",),
        "always 1",
        lambda _: [((__version__,), 1)],
    ),
    Family(
        "gateway_requests_total", "counter", ("listener", "service", "tag", "code"),
        "exchanges that ended",
        of_exchanges(lambda series: (((code_of(status),), count) for status, count in series.statuses.items())),
    ),
    Family(
        "gateway_request_duration_seconds", "histogram", ("listener", "service", "tag"),
        "from a request's head to the end of its response (histogram, 1 ms to 10 s)",
        of_exchanges(lambda series: [((), series.durations)]),
    ),
    Family(
        "gateway_request_bytes_total", "counter", ("listener", "service", "tag"),
        "bytes of the requests of exchanges that ended, heads included, as the client sent them",
        of_exchanges(lambda series: [((), series.received)]),
    ),
    Family(
        "gateway_response_bytes_total", "counter", ("listener", "service", "tag"),
        "bytes of their responses, heads included, as the service sent them. Of a WebSocket what the service sent",
        of_exchanges(lambda series: [((), series.sent)]),
    ),
    Family(
        "gateway_overhead_seconds", "histogram", ("listener",),
        "the gateway's own share: until the head was handed on, and from the response's arrival until it was passed on"
        " (histogram, 10 µs to 100 ms)",
        number(lambda traffic: traffic.overhead),
    ),
    Family(
        "gateway_requests_in_flight", "gauge", ("listener",),
        "exchanges under way, tunnels apart",
        number(lambda traffic: traffic.in_flight),
    ),
    Family(
        "gateway_tunnels", "gauge", ("listener",),
        "client connections that have become tunnels: WebSockets",
        number(lambda traffic: traffic.tunnels),
    ),
    Family(
        "gateway_open_connections", "gauge", ("listener",),
        "client connections",
        number(lambda traffic: traffic.connections),
    ),
    Family(
        "gateway_refused_requests_total", "counter", ("listener", "code"),
        "requests refused with an error before they had a service",
        table(lambda traffic: traffic.refused),
    ),
    Family(
        "gateway_replies_total", "counter", ("listener", "route", "code"),
        "requests that their route replied to without a service",
        of_listeners(lambda traffic: (((route, code_of(code)), count) for (route, code), count in traffic.replies.items())),
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
        "failed connections and responses",
        table(lambda traffic: traffic.upstream_errors),
    ),
    Family(
        "gateway_ejections_total", "counter", ("listener", "service", "tag", "cause"),
        "instances that get no traffic for a while",
        table(lambda traffic: traffic.ejections),
    ),
    Family(
        "gateway_retries_total", "counter", ("listener", "service", "reason"),
        "further attempts at the same request",
        table(lambda traffic: traffic.retries),
    ),
    Family(
        "gateway_retries_denied_total", "counter", ("listener", "service"),
        "retries that the budget did not allow",
        table(lambda traffic: traffic.retries_denied),
    ),
    Family(
        "gateway_ambiguous_traces_total", "counter", ("listener",),
        "outbound calls treated as unmarked: marked and unmarked requests that were under way together shared the only id"
        " that they carry",
        number(lambda traffic: traffic.ambiguous),
    ),
    Family(
        "gateway_application_up", "gauge", (),
        "of a sidecar: 1 if its application takes requests",
        _application,
    ),
    Family(
        "gateway_bypass_suspected_total", "counter", (),
        "of a sidecar with a façade: how often its application was registered beside it as well",
        _bypasses,
    ),
    Family(
        "gateway_endpoints", "gauge", ("service", "tag", "usable"),
        "instances known",
        of_pools(
            lambda _, pool: [(("true",), len(pool.usable)), (("false",), pool.size - len(pool.usable))]
        ),
    ),
    Family(
        "gateway_pool_panicking", "gauge", ("service", "tag"),
        "1: all instances of the tag are unhealthy, and used all the same (when_all_unhealthy: use_all)",
        of_pools(lambda view, pool: [((), pool.is_panicking)] if view.condition.uses_unhealthy else []),
    ),
    Family(
        "gateway_upstream_connections", "gauge", ("address", "state"),
        "connections to instances",
        _connections,
    ),
    Family(
        "gateway_access_log_lines_total", "counter", ("listener",),
        "lines of the access log",
        number(lambda traffic: traffic.log_lines),
    ),
    Family(
        "gateway_access_log_dropped_total", "counter", ("listener",),
        "lines that were lost: the disk did not keep up, or failed",
        number(lambda traffic: traffic.log_dropped),
    ),
    Family(
        "gateway_internal_errors_total", "counter", ("listener",),
        "errors of this program that a message set off: each is a bug, answered with 500 internal_error and told in the log",
        number(lambda traffic: traffic.internal_errors),
    ),
    Family(
        "gateway_workers", "gauge", (),
        "processes that route",
        lambda scrape: [((), scrape.observed.workers()[0])],
    ),
    Family(
        "gateway_worker_restarts_total", "counter", (),
        "workers that ended and were started again",
        lambda scrape: [((), scrape.observed.workers()[1])],
    ),
    Family(
        "gateway_lane_expiry_timestamp_seconds", "gauge", ("group", "lane"),
        "when a lane closes by itself",
        lambda scrape: scrape.observed.lanes().items(),
    ),
    Family(
        "gateway_tls_certificate_expiry_timestamp_seconds", "gauge", ("cert",),
        "when a certificate of the listener expires",
        lambda scrape: [((file,), when) for file, when in scrape.observed.certificates().items()],
    ),
    Family(
        "gateway_registry_sync_age_seconds", "gauge", ("registry", "service", "state"),
        "since the registry last responded; 0 if it never did",
        of_registry_services(lambda state: ((state.service, state.state), state.age)),
    ),
    Family(
        "gateway_registry_kept_instances", "gauge", ("registry", "service"),
        "instances that are used though the registry does not list them now: it is away, or not believed",
        of_registry_services(lambda state: ((state.service,), len(state.kept))),
    ),
    Family(
        "gateway_registration_age_seconds", "gauge", ("registry", "state"),
        "of a sidecar: since the registry last responded about its registration; 0 if it never did",
        lambda scrape: [
            ((name, known.state), known.age or 0.0) for name, known in scrape.observed.registrations().items()
        ],
    ),
    Family(
        "gateway_registry_errors_total", "counter", ("registry", "reason"),
        "look-ups that failed",
        registry_table(lambda keeper: keeper.errors),
    ),
    Family(
        "gateway_registry_protected_total", "counter", ("registry", "doubt"),
        "lists that were not believed at once; counted anew when the doubt changes",
        registry_table(lambda keeper: keeper.protected),
    ),
    Family(
        "gateway_registry_skipped_records_total", "counter", ("registry", "reason"),
        "records that are not instances, counted when first seen",
        registry_table(lambda keeper: keeper.skipped),
    ),
    Family(
        "gateway_registry_flaps_total", "counter", ("registry",),
        "instances that came and went, and were held back for a while",
        of_registries(lambda keeper: [((), keeper.flapped)]),
    ),
    Family(
        "gateway_config_reloads_total", "counter", ("result",),
        "loads, the first one included: success or failure",
        of_reload(lambda state: [(("success",), state.succeeded), (("failure",), state.failed)]),
    ),
    Family(
        "gateway_config_last_reload_successful", "gauge", (),
        "0: what runs is not what the files say",
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
        "1: the rules in force are those of an earlier run, since those there were at the start had problems",
        of_reload(lambda state: [((), state.runs_old_rules)]),
    ),
    Family(
        "gateway_remote_rules_up", "gauge", ("source",),
        "1: the server responds, and has rules there",
        lambda scrape: [((source.name,), source.is_up) for source in scrape.observed.remote_rules()],
    ),
    Family(
        "gateway_remote_rules_age_seconds", "gauge", ("source",),
        "since the server last responded about them; one that is waited for responds rarely",
        lambda scrape: [
            ((source.name,), source.age) for source in scrape.observed.remote_rules() if source.age is not None
        ],
    ),
    Family(
        "gateway_remote_rules_failures_total", "counter", ("source", "reason"),
        "look-ups that failed",
        lambda scrape: [
            ((source.name, reason), count)
            for source in scrape.observed.remote_rules()
            for reason, count in source.failures.items()
        ],
    ),
    Family(
        "gateway_background_failures_total", "counter", ("work",),
        "daemons that failed because of a bug, and were started again; the log has the traceback",
        lambda scrape: [((work,), count) for work, count in scrape.observed.failures().items()],
    ),
)  # fmt: skip
"""In the order of `docs/metrics.md`."""
