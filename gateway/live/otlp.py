"""Spans by OTLP/HTTP, through OpenTelemetry's own exporter in a thread of its own. Needs the extra `otel`.

Names follow the semantic conventions for HTTP, https://opentelemetry.io/docs/specs/semconv/http/http-spans/, and what a gRPC call
has beside those, https://opentelemetry.io/docs/specs/semconv/rpc/grpc/.

Spans are built as the values that a processor takes at their end, not by a tracer: their ids were on the wire, and their
times over, before there is a span. A tracer would cost ten times as much.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode
from opentelemetry.util.types import AttributeValue

from gateway import __version__
from gateway.grpc.status import NAMES, OK
from gateway.telemetry.request_record import Reporter, RequestRecord
from gateway.telemetry.traced_request import TracedRequest

Attributes = dict[str, AttributeValue]

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
"""Methods that a span may be named after; any other is `_OTHER`, so that clients cannot make up names."""
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SCOPE: Final = InstrumentationScope("gray-gateway", __version__)
_UNSET: Final = Status(StatusCode.UNSET)


class Exporter:
    """Sends spans to the collector that the environment names, in batches. At most `queue` wait; the rest is dropped."""

    def __init__(self, reporter: Reporter, queue: int) -> None:
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word.
        self._resource = Resource.create(_described(reporter)).merge(OTELResourceDetector().detect())
        self._queue = queue
        self._counted = _Counted(OTLPSpanExporter())
        self._processor = BatchSpanProcessor(self._counted)
        self._added = 0
        self.dropped = 0

    @property
    def exported(self) -> int:
        """Spans that the collector has taken."""
        return self._counted.exported

    @property
    def failed(self) -> int:
        """Spans that it has not."""
        return self._counted.failed

    def add(self, traced: list[TracedRequest]) -> None:
        """Takes requests. Those for which there is no room are dropped whole."""
        for request in traced:
            if self._added - self.exported - self.failed + request.spans > self._queue:
                self.dropped += request.spans
                continue
            self._added += request.spans
            for span in spans_of(request, self._resource):
                self._processor.on_end(span)

    def close(self, patience: float) -> None:
        """Exports what is left, for so many seconds at most."""
        ending = threading.Thread(target=self._processor.shutdown, daemon=True)
        ending.start()
        ending.join(patience)
        if ending.is_alive():
            self._counted.shutdown()  # no further try; the threads do not keep the program from ending


class _Counted(SpanExporter):
    """An exporter, and what became of the spans."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.exported = 0
        self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See SpanExporter."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is SpanExportResult.SUCCESS:
                self.exported += len(spans)
            else:
                self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        """See SpanExporter."""
        self._exporter.shutdown()


def spans_of(traced: TracedRequest, resource: Resource) -> Iterator[ReadableSpan]:
    """The SERVER span of a request, and the CLIENT span within it if it was sent to an instance."""
    record = traced.record
    trace_id = int(record.trace_id, 16)
    began = int(record.time * 1e9)
    ended = began + record.duration_us * 1000
    parent = SpanContext(trace_id, int(traced.parent, 16), True, _SAMPLED) if traced.parent else None
    server = SpanContext(trace_id, int(traced.server_span, 16), False, _SAMPLED)
    method = record.method if record.method in METHODS else "HTTP"
    yield ReadableSpan(
        f"{method} {record.route}" if record.route else method,
        server,
        parent,
        resource,
        _server_attributes(traced),
        kind=SpanKind.SERVER,
        status=_status(traced.is_fault, record.cause),
        start_time=began,
        end_time=ended,
        instrumentation_scope=_SCOPE,
    )
    if traced.sent_us is None:
        return
    yield ReadableSpan(
        method,
        SpanContext(trace_id, int(traced.client_span, 16), False, _SAMPLED),
        server,
        resource,
        _client_attributes(traced),
        kind=SpanKind.CLIENT,
        status=_status(_is_client_error(traced), record.cause),
        start_time=began + traced.sent_us * 1000,
        end_time=ended,
        instrumentation_scope=_SCOPE,
    )


def _described(reporter: Reporter) -> Attributes:
    described: Attributes = {"service.name": reporter.name, "gray.role": reporter.role}
    if reporter.address:
        described["service.instance.id"] = reporter.address
        described["gray.instance.tag"] = reporter.tag
    return described


def _server_attributes(traced: TracedRequest) -> Attributes:
    record = traced.record
    found = _common(traced)
    found["url.scheme"] = traced.scheme
    found["url.path"] = record.path
    found["network.protocol.version"] = traced.version
    if record.route:
        found["http.route"] = record.route
    if record.status:
        found["http.response.status_code"] = record.status
    if record.client_ip:
        found["client.address"] = record.client_ip
    _add_address(found, record.host)
    if traced.is_fault:
        found["error.type"] = record.cause or _failed_call(record) or str(record.status)
    found["gray.listener"] = record.listener
    found["gray.revision"] = record.revision
    return found


def _client_attributes(traced: TracedRequest) -> Attributes:
    record = traced.record
    found = _common(traced)
    found["url.full"] = f"{traced.upstream_scheme}://{record.instance}{record.path}"
    _add_address(found, record.instance)
    if traced.upstream_status:
        found["http.response.status_code"] = traced.upstream_status
    if _is_client_error(traced):
        found["error.type"] = record.cause or _failed_call(record) or str(traced.upstream_status or "unknown")
    if record.attempts > 1:
        found["http.request.resend_count"] = record.attempts - 1
    return found


def _is_client_error(traced: TracedRequest) -> bool:
    """Whether the call of the instance failed, to whom calls it: in gRPC by every status but OK."""
    return traced.is_fault or not 0 < traced.upstream_status < 400 or bool(_failed_call(traced.record))


def _failed_call(record: RequestRecord) -> str:
    """The status of a gRPC call that failed."""
    return "" if record.grpc_status == NAMES[OK] else record.grpc_status


def _common(traced: TracedRequest) -> Attributes:
    """What both spans have: the method, and what was decided."""
    record = traced.record
    found: Attributes = {"http.request.method": record.method if record.method in METHODS else "_OTHER"}
    if record.method not in METHODS:
        found["http.request.method_original"] = record.method
    for name, value in (
        ("gray.service", record.service),
        ("gray.lane", f"{record.group}/{record.lane}" if record.lane else ""),
        ("gray.tag", record.tag),
        ("gray.tag_source", record.tag_source),
        ("gray.pool", record.pool),
        ("gray.fallback", record.fallback),
        ("gray.signature", record.signature),
        ("gray.fault", record.fault),
        ("gray.rules", record.rules),
    ):
        if value:
            found[name] = value
    if record.mirror:
        found["gray.mirror"] = True
    if traced.call is not None:
        found["rpc.system"] = "grpc"
        found["rpc.service"], found["rpc.method"] = traced.call
    if record.grpc_status:
        found["rpc.grpc.status_code"] = NAMES.index(record.grpc_status)
        found["rpc.response.status_code"] = record.grpc_status  # what later versions of the conventions call it
    return found


def _add_address(found: Attributes, authority: str) -> None:
    host, colon, port = authority.rpartition(":")
    if colon and port.isascii() and port.isdigit():
        found["server.port"] = int(port)
    else:
        host = authority
    if host:
        found["server.address"] = host


def _status(is_error: bool, cause: str) -> Status:
    return Status(StatusCode.ERROR, cause or None) if is_error else _UNSET
