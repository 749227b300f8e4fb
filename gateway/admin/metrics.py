"""Turns the program's plain counters into Prometheus samples when somebody scrapes.

Names follow https://prometheus.io/docs/practices/naming/: prefix `gateway_`, base units, `_total` on counters. Label
values come from configuration, the registry or this program. Where a message has a say in one (a tag, a service that an
application calls, a status), the series have a bound: `telemetry.names`, `telemetry.counters`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from gateway import __version__
from gateway.admin.processes import process_metrics
from gateway.control.reload import ReloadState
from gateway.proxy.origin import STATES, Connections
from gateway.registry.registration import KnownRegistration
from gateway.registry.several import Registries
from gateway.routing.snapshot import Snapshot
from gateway.telemetry.counters import Histogram, Traffic, code_of


@dataclass(frozen=True, slots=True)
class Observed:
    """What is scraped. `traffic` is by listener: `entry`, or `inbound` and `outbound` of a sidecar."""

    traffic: Callable[[], Mapping[str, Traffic]]
    upstream_connections: Callable[[], Connections]
    registries: Registries | None
    snapshot: Callable[[], Snapshot]
    reload: Callable[[], ReloadState] | None
    workers: Callable[[], tuple[int, int]]
    """Workers that run, and restarts so far."""
    certificates: Callable[[], Mapping[str, float]]
    """When the listener's certificates expire, by file."""
    lanes: Callable[[], Mapping[tuple[str, str], float]]
    """When lanes expire, by group and name."""
    remote_rules: Callable[[], Iterable[RemoteSource]]
    failures: Callable[[], Mapping[str, int]]
    """How often work in the background has failed, by what it is."""
    application: Callable[[], bool] | None = None
    """Whether a sidecar's application takes requests; None: there is none to watch."""
    registrations: Callable[[], Mapping[str, KnownRegistration]] = dict
    """What is known of a sidecar's registration, by registry."""
    processes: Callable[[], Mapping[str, int]] = lambda: {"main": os.getpid()}
    """The ids of the program's processes, by what they are called."""


class RemoteSource(Protocol):
    """What is seen of a remote source of rules."""

    @property
    def name(self) -> str:
        """Its URL."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether the server answers, and has rules there."""
        ...

    @property
    def age(self) -> float | None:
        """Seconds since the server last said something."""
        ...

    @property
    def failures(self) -> Mapping[str, int]:
        """How often it was asked in vain, by reason."""
        ...


class Collector:
    """A prometheus-client collector over `observed`."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The samples as they are now."""
        build = GaugeMetricFamily("gateway_build_info", "Always 1; says which version runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield from self._traffic()
        yield from self._pools()
        yield from self._workers()
        yield from self._application()
        yield from self._registry_state()
        yield from self._reloads()
        yield from self._remote_rules()
        failures = CounterMetricFamily(
            "gateway_background_failures",
            "Work beside requests that failed unexpectedly, and was begun anew.",
            labels=["work"],
        )
        for work, count in self._observed.failures().items():
            failures.add_metric([work], count)
        yield failures
        yield from process_metrics(self._observed.processes())

    def _traffic(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "gateway_requests", "Exchanges that ended.", labels=["listener", "service", "tag", "code"]
        )
        durations = HistogramMetricFamily(
            "gateway_request_duration_seconds",
            "From a request's head to the end of its answer.",
            labels=["listener", "service", "tag"],
        )
        received = CounterMetricFamily(
            "gateway_request_bytes",
            "Bytes of requests, heads included.",
            labels=["listener", "service", "tag"],
        )
        sent = CounterMetricFamily(
            "gateway_response_bytes",
            "Bytes of services' answers, heads included.",
            labels=["listener", "service", "tag"],
        )
        lanes = CounterMetricFamily(
            "gateway_lane_decisions", "Requests that a rule put on a lane.", labels=["listener", "group", "lane"]
        )
        fallbacks = CounterMetricFamily(
            "gateway_lane_fallbacks",
            "Marked requests that the baseline served, by reason.",
            labels=["listener", "service", "tag", "reason"],
        )
        errors = CounterMetricFamily(
            "gateway_upstream_errors",
            "Connections to instances, or answers of theirs, that failed. `tag` is the pool's.",
            labels=["listener", "service", "tag", "kind"],
        )
        ejections = CounterMetricFamily(
            "gateway_ejections",
            "Instances that get no traffic for a while since they failed, by cause.",
            labels=["listener", "service", "tag", "cause"],
        )
        retries = CounterMetricFamily(
            "gateway_retries", "Further attempts at the same request.", labels=["listener", "service", "reason"]
        )
        refused = CounterMetricFamily(
            "gateway_refused_requests",
            "Requests answered with an error before they had a service, by error code.",
            labels=["listener", "code"],
        )
        in_flight = GaugeMetricFamily("gateway_requests_in_flight", "Exchanges under way.", labels=["listener"])
        tunnels = GaugeMetricFamily("gateway_tunnels", "Client connections that are tunnels.", labels=["listener"])
        connections = GaugeMetricFamily("gateway_open_connections", "Client connections.", labels=["listener"])
        denied = CounterMetricFamily(
            "gateway_retries_denied", "Retries that the budget did not allow.", labels=["listener", "service"]
        )
        replies = CounterMetricFamily(
            "gateway_replies",
            "Requests that their route answered without a service.",
            labels=["listener", "route", "code"],
        )
        ambiguous = CounterMetricFamily(
            "gateway_ambiguous_traces",
            "Calls treated as unmarked: marked and unmarked requests under way shared their only id.",
            labels=["listener"],
        )
        overhead = HistogramMetricFamily(
            "gateway_overhead_seconds",
            "The gateway's own share of an exchange: until the head was handed on, and from the answer's coming to its"
            " passing on.",
            labels=["listener"],
        )
        lines = CounterMetricFamily("gateway_access_log_lines", "Lines of the access log.", labels=["listener"])
        dropped = CounterMetricFamily(
            "gateway_access_log_dropped", "Lines of the access log that were lost.", labels=["listener"]
        )
        bugs = CounterMetricFamily(
            "gateway_internal_errors",
            "Errors of this program that a message set off: each is a bug, and in the log.",
            labels=["listener"],
        )
        for listener, traffic in self._observed.traffic().items():
            for service, by_tag in traffic.exchanges.items():
                for tag, series in by_tag.items():
                    for code, count in series.statuses.items():
                        requests.add_metric([listener, service, tag, code_of(code)], count)
                    buckets = _cumulative(series.durations)
                    durations.add_metric([listener, service, tag], buckets, series.durations.total)
                    received.add_metric([listener, service, tag], series.received)
                    sent.add_metric([listener, service, tag], series.sent)
            for group, by_lane in traffic.decisions.items():
                for lane, count in by_lane.items():
                    lanes.add_metric([listener, group, lane], count)
            for fallback, count in traffic.fallbacks.items():
                fallbacks.add_metric([listener, *fallback], count)
            for error, count in traffic.upstream_errors.items():
                errors.add_metric([listener, *error], count)
            for ejection, count in traffic.ejections.items():
                ejections.add_metric([listener, *ejection], count)
            for retry, count in traffic.retries.items():
                retries.add_metric([listener, *retry], count)
            for code_name, count in traffic.refused.items():
                refused.add_metric([listener, code_name], count)
            for service, count in traffic.retries_denied.items():
                denied.add_metric([listener, service], count)
            for (route, code_number), count in traffic.replies.items():
                replies.add_metric([listener, route, code_of(code_number)], count)
            overhead.add_metric([listener], _cumulative(traffic.overhead), traffic.overhead.total)
            ambiguous.add_metric([listener], traffic.ambiguous)
            lines.add_metric([listener], traffic.log_lines)
            dropped.add_metric([listener], traffic.log_dropped)
            bugs.add_metric([listener], traffic.internal_errors)
            in_flight.add_metric([listener], traffic.in_flight)
            tunnels.add_metric([listener], traffic.tunnels)
            connections.add_metric([listener], traffic.connections)
        yield from (requests, durations, received, sent, overhead, lanes, fallbacks, errors, ejections)
        yield from (retries, denied, refused, replies, ambiguous)
        yield from (in_flight, tunnels, connections, lines, dropped, bugs)

    def _pools(self) -> Iterator[Metric]:
        endpoints = GaugeMetricFamily(
            "gateway_endpoints",
            "Instances known, by tag and whether they may get traffic.",
            labels=["service", "tag", "usable"],
        )
        panicking = GaugeMetricFamily(
            "gateway_pool_panicking",
            "1 where all instances of a tag are unhealthy, and used all the same; for services with when_all_unhealthy: use_all.",
            labels=["service", "tag"],
        )
        for view in self._observed.snapshot().services.values():
            for pool in view.pools.values():
                if view.condition.uses_unhealthy:
                    panicking.add_metric([view.name, pool.tag], pool.is_panicking)
                endpoints.add_metric([view.name, pool.tag, "true"], len(pool.usable))
                endpoints.add_metric([view.name, pool.tag, "false"], pool.size - len(pool.usable))
        yield from (endpoints, panicking)
        upstream = GaugeMetricFamily(
            "gateway_upstream_connections", "Connections to instances.", labels=["address", "state"]
        )
        for address, counts in self._observed.upstream_connections().items():
            for state, count in zip(STATES, counts, strict=True):
                upstream.add_metric([address, state], count)
        yield upstream

    def _workers(self) -> Iterator[Metric]:
        running, restarts = self._observed.workers()
        workers = GaugeMetricFamily("gateway_workers", "Processes that route.")
        workers.add_metric([], running)
        yield workers
        restarted = CounterMetricFamily("gateway_worker_restarts", "Workers that ended and were started again.")
        restarted.add_metric([], restarts)
        yield restarted
        expiry = GaugeMetricFamily(
            "gateway_tls_certificate_expiry_timestamp_seconds", "When a certificate expires.", labels=["cert"]
        )
        for file, when in self._observed.certificates().items():
            expiry.add_metric([file], when)
        yield expiry
        lanes = GaugeMetricFamily(
            "gateway_lane_expiry_timestamp_seconds", "When a lane closes by itself.", labels=["group", "lane"]
        )
        for names, when in self._observed.lanes().items():
            lanes.add_metric(list(names), when)
        yield lanes

    def _application(self) -> Iterator[Metric]:
        if self._observed.application is not None:
            up = GaugeMetricFamily(
                "gateway_application_up", "1 if the application beside the sidecar takes requests, 0 if not."
            )
            up.add_metric([], self._observed.application())
            yield up

    def _registry_state(self) -> Iterator[Metric]:
        registries = self._observed.registries
        if registries is None:
            return
        age = GaugeMetricFamily(
            "gateway_registry_sync_age_seconds",
            "Since the registry last answered.",
            labels=["registry", "service", "state"],
        )
        errors = CounterMetricFamily(
            "gateway_registry_errors", "Look-ups that failed, by reason.", labels=["registry", "reason"]
        )
        protected = CounterMetricFamily(
            "gateway_registry_protected", "Lists that were not believed (yet), by doubt.", labels=["registry", "doubt"]
        )
        skipped = CounterMetricFamily(
            "gateway_registry_skipped_records",
            "Records that are no instance, by reason.",
            labels=["registry", "reason"],
        )
        flapped = CounterMetricFamily(
            "gateway_registry_flaps", "Instances held back as they came and went.", labels=["registry"]
        )
        kept = GaugeMetricFamily(
            "gateway_registry_kept_instances",
            "Instances that are used though the registry does not say so now.",
            labels=["registry", "service"],
        )
        for name, keeper in registries.keepers.items():
            for state in keeper.states():
                age.add_metric([name, state.service, state.state], state.age)
                kept.add_metric([name, state.service], len(state.kept))
            for reason, count in keeper.errors.items():
                errors.add_metric([name, reason], count)
            for doubt, count in keeper.protected.items():
                protected.add_metric([name, doubt], count)
            for reason, count in keeper.skipped.items():
                skipped.add_metric([name, reason], count)
            flapped.add_metric([name], keeper.flapped)
        registration = GaugeMetricFamily(
            "gateway_registration_age_seconds",
            "Since the registry last said something of this instance's registration.",
            labels=["registry", "state"],
        )
        for name, known in self._observed.registrations().items():
            registration.add_metric([name, known.state], known.age or 0.0)
        yield from (age, kept, errors, protected, skipped, flapped, registration)

    def _reloads(self) -> Iterator[Metric]:
        if self._observed.reload is None:
            return
        state = self._observed.reload()
        reloads = CounterMetricFamily("gateway_config_reloads", "Reloads, by result.", labels=["result"])
        reloads.add_metric(["success"], state.succeeded)
        reloads.add_metric(["failure"], state.failed)
        yield reloads
        successful = GaugeMetricFamily(
            "gateway_config_last_reload_successful", "1 where the last reload was applied, 0 where it was refused."
        )
        successful.add_metric([], 0 if state.error else 1)
        yield successful
        when = GaugeMetricFamily(
            "gateway_config_last_reload_success_timestamp_seconds", "When the running revision was loaded."
        )
        when.add_metric([], state.loaded_at)
        yield when
        revision = GaugeMetricFamily("gateway_config_revision", "The running revision, counted from 1 at start.")
        revision.add_metric([], state.revision)
        yield revision
        old = GaugeMetricFamily(
            "gateway_config_runs_old_rules",
            "1 where the rules in force are those of an earlier run, since those there were at the start had problems.",
        )
        old.add_metric([], state.runs_old_rules)
        yield old

    def _remote_rules(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "gateway_remote_rules_up", "1 where the server answers and has rules there, 0 else.", labels=["source"]
        )
        age = GaugeMetricFamily(
            "gateway_remote_rules_age_seconds", "Since the server last said something of them.", labels=["source"]
        )
        failures = CounterMetricFamily(
            "gateway_remote_rules_failures", "Looks at them that failed, by reason.", labels=["source", "reason"]
        )
        for source in self._observed.remote_rules():
            up.add_metric([source.name], source.is_up)
            if source.age is not None:
                age.add_metric([source.name], source.age)
            for reason, count in source.failures.items():
                failures.add_metric([source.name, reason], count)
        yield from (up, age, failures)


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    """Bucket bounds and how many observations were at or below each."""
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets
