"""From settings to what listeners are made of."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable

from gateway.errors import StartError
from gateway.health.ejection import Ejector
from gateway.http.head_reader import HeadReader
from gateway.http2.terms import Terms
from gateway.instance import Instance
from gateway.live.otel_environment import read_environment
from gateway.proxy.access_log import AccessLog
from gateway.proxy.bounds import Http2, Limits
from gateway.proxy.budget import RetryBudget
from gateway.proxy.context import Context
from gateway.proxy.origins import Origins
from gateway.proxy.recorder import Recorder, Renderer
from gateway.proxy.spans import SpanRecorder
from gateway.routing.patience import Timeouts
from gateway.routing.router import Router
from gateway.routing.tracing import Tracing
from gateway.settings import ServingSettings
from gateway.telemetry.counters import Traffic
from gateway.telemetry.linefile import LineFile
from gateway.tls.mesh import Reception


def make_context(
    settings: ServingSettings,
    name: str,
    *,
    router: Router,
    origins: Origins,
    traffic: Traffic,
    learn: Callable[[str], Awaitable[bool]] | None = None,
    log_file: LineFile | None = None,
    ejector: Ejector | None = None,
    scheme: str = "http",
    recorder: Recorder | None = None,
    spans: SpanRecorder | None = None,
    reception: Reception | None = None,
    reads_proxy_header: bool = False,
) -> Context:
    """A listener's context from what serve and sidecar have in common."""
    limits, retries = settings.limits, settings.retries
    return Context(
        router=router,
        origins=origins,
        traffic=traffic,
        tag_header=settings.carriers.header,
        timeouts=make_timeouts(settings),
        limits=Limits(
            head_bytes=limits.head_bytes,
            header_count=limits.header_count,
            target_bytes=limits.target_bytes,
            pipelined_bytes=limits.pipelined_bytes,
            body_rate=limits.body_rate,
            connections=limits.connections,
            connections_per_client=limits.connections_per_client,
            in_flight=limits.in_flight,
            lane_in_flight=limits.lane_in_flight,
            inspected_bytes=limits.inspected_bytes,
            tunnels=limits.tunnels,
            tunnels_per_client=limits.tunnels_per_client,
        ),
        budget=RetryBudget(attempts=retries.attempts, share=retries.share, minimum=retries.minimum),
        learn=learn,
        log=make_log(settings, name, log_file),
        name=name,
        scheme=scheme,
        debug_header=settings.debug_header,
        ejector=ejector,
        recorder=recorder,
        http2=make_http2(settings),
        spans=spans,
        reception=reception,
        reads_proxy_header=reads_proxy_header,
    )


def make_timeouts(settings: ServingSettings) -> Timeouts:
    """How long the data plane waits."""
    return Timeouts(**settings.timeouts.model_dump())


def adjust_context(context: Context, settings: ServingSettings) -> None:
    """Has a listener wait, and try again, as settings say that were loaded since: for requests that come from now on."""
    retries, budget = settings.retries, context.budget
    context.timeouts = make_timeouts(settings)
    budget.attempts, budget.share, budget.minimum = retries.attempts, retries.share, retries.minimum


def make_origins(settings: ServingSettings) -> Origins:
    """Where connections to instances are kept."""
    limits = settings.limits
    return Origins(limits.upstream_connections, limits.upstream_streams, limits.head_bytes)


def make_http2(settings: ServingSettings) -> Http2 | None:
    """How HTTP/2 is spoken with clients, None if it is not."""
    http2 = settings.http2
    if not http2.enabled:
        return None
    terms = Terms(
        streams=http2.streams,
        connection_window=http2.unread_bytes,
        list_bytes=settings.limits.head_bytes,
        continuations=http2.continuations,
        resets=http2.resets,
        control=http2.control_frames,
        pending=http2.buffered_bytes,
    )
    return Http2(terms, max_age=http2.max_connection_age, ping=http2.ping)


def make_reader(settings: ServingSettings) -> HeadReader:
    """Reads requests to explain as the listener reads those that arrive from trusted clients."""
    limits = settings.limits
    return HeadReader(
        settings.carriers.header,
        target_bytes=limits.target_bytes,
        header_count=limits.header_count,
        keeps_forwarded=True,
        debug_header=settings.debug_header,
    )


def make_log_file(settings: ServingSettings) -> LineFile | None:
    """The access log's file, None if it is off. Raises StartError if it cannot be opened."""
    if settings.access_log is None:
        return None
    try:
        return LineFile(settings.access_log.path)
    except OSError as error:
        path = settings.access_log.path
        raise StartError(f"cannot open the access log {path}: {error.strerror or error}") from error


def make_log(settings: ServingSettings, listener: str, file: LineFile | None) -> AccessLog | None:
    """One listener's access log, None if it is off."""
    log = settings.access_log
    if log is None or file is None:
        return None
    return AccessLog(file, listener, log.format, log.sample, log.headers, log.mask)


def make_recorder(settings: ServingSettings, listener: str, traffic: Traffic) -> Recorder | None:
    """What keeps one listener's requests for people to look at, None if that is off."""
    records = settings.records
    if not records.enabled:
        return None
    renderer = Renderer(listener, masked=records.mask, params=records.params)
    return Recorder(renderer, traffic, records.marked_rate, records.unmarked_rate)


def make_span_recorder(
    settings: ServingSettings, listener: str, traffic: Traffic, scheme: str, is_secured: Callable[[str, Instance], bool]
) -> SpanRecorder | None:
    """What keeps one listener's requests of sampled traces, None if requests are not traced."""
    if not is_traced(settings):
        return None
    renderer = Renderer(listener, masked=settings.records.mask, keeps_head=False)
    return SpanRecorder(renderer, traffic, scheme, is_secured, random.Random())


def make_tracing(settings: ServingSettings, share: float = 0.0) -> Tracing | None:
    """What gives requests their spans, None if they are not traced. `share` of those without a trace begin one."""
    return Tracing(random.Random(), read_environment(os.environ).share_of(share)) if is_traced(settings) else None


def is_traced(settings: ServingSettings) -> bool:
    """Whether requests are traced. Raises StartError if the environment says something that is not understood."""
    return settings.tracing and not read_environment(os.environ).is_off
