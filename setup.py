"""Compiles the hot modules with mypyc where GATEWAY_COMPILE=1 asks for it; the sources are the same."""

import os
from glob import glob

from setuptools import setup

HOT = [
    "gateway/failures.py",
    *glob("gateway/grpc/[a-z]*.py"),
    "gateway/health/ejection.py",
    "gateway/health/slowstart.py",
    *glob("gateway/http/[a-z]*.py"),
    *glob("gateway/http2/[a-z]*.py"),
    "gateway/instance.py",
    "gateway/protocols.py",
    *glob("gateway/routing/[a-z]*.py"),
    "gateway/rules/checks.py",
    "gateway/rules/context.py",
    "gateway/rules/fields.py",
    "gateway/rules/injected.py",
    "gateway/rules/lookups.py",
    "gateway/rules/match.py",
    "gateway/rules/mirrored.py",
    "gateway/rules/numbers.py",
    "gateway/rules/prefilter.py",
    "gateway/rules/terms.py",
    "gateway/signedtag.py",
    "gateway/tags.py",
    "gateway/telemetry/baggage.py",
    "gateway/telemetry/counters.py",
    "gateway/telemetry/histogram.py",
    "gateway/telemetry/tracecontext.py",
    "gateway/telemetry/traceparents.py",
    "gateway/proxy/admission.py",
    "gateway/proxy/access_log.py",
    "gateway/proxy/accounting.py",
    "gateway/proxy/blame.py",
    "gateway/proxy/bounds.py",
    "gateway/proxy/budget.py",
    "gateway/proxy/client.py",
    "gateway/proxy/client_stream.py",
    "gateway/proxy/compressing.py",
    "gateway/proxy/connecting.py",
    "gateway/proxy/connection.py",
    "gateway/proxy/context.py",
    "gateway/proxy/copies.py",
    "gateway/proxy/copying.py",
    "gateway/proxy/deadlines.py",
    "gateway/proxy/deciding.py",
    "gateway/proxy/downstream.py",
    "gateway/proxy/ending.py",
    "gateway/proxy/exchange.py",
    "gateway/proxy/multiplexing.py",
    "gateway/proxy/http2_downstream.py",
    "gateway/proxy/origin.py",
    "gateway/proxy/origins.py",
    "gateway/proxy/own_responses.py",
    "gateway/proxy/pool.py",
    "gateway/proxy/record.py",
    "gateway/proxy/recorder.py",
    "gateway/proxy/relay.py",
    "gateway/proxy/request_body.py",
    "gateway/proxy/response_body.py",
    "gateway/proxy/response_relay.py",
    "gateway/proxy/retry.py",
    "gateway/proxy/runqueue.py",
    "gateway/proxy/sending.py",
    "gateway/proxy/spans.py",
    "gateway/proxy/stream_relay.py",
    "gateway/proxy/streamed_body.py",
    "gateway/proxy/tunnel.py",
    "gateway/proxy/upstream.py",
    "gateway/proxy/upstream_session.py",
    "gateway/proxy/upstream_stream.py",
]
# Not hot, and with values that only interpreted code needs.
COLD = {"gateway/routing/describe.py", "gateway/routing/explain.py", "gateway/routing/plans.py"}

ext_modules = []
if os.environ.get("GATEWAY_COMPILE") == "1":
    from mypyc.build import mypycify

    ext_modules = mypycify([path for path in sorted(HOT) if path not in COLD], opt_level="3")

setup(ext_modules=ext_modules)
