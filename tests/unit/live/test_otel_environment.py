"""What OpenTelemetry's environment variables say, and that a wrong one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import StartError
from gateway.live.otel_environment import OtelEnvironment, read_environment


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, OtelEnvironment()),
        ({"OTEL_SDK_DISABLED": "TRUE"}, OtelEnvironment(is_off=True)),
        ({"OTEL_TRACES_EXPORTER": "none"}, OtelEnvironment(is_off=True)),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "false"}, OtelEnvironment()),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, OtelEnvironment(share=0.0)),
        (
            {"OTEL_TRACES_SAMPLER": "parentbased_always_on", "OTEL_TRACES_SAMPLER_ARG": "0.5"},
            OtelEnvironment(share=1.0),
        ),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}, OtelEnvironment(share=1.0)),
        (
            {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": ".25"},
            OtelEnvironment(share=0.25),
        ),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "10000", "OTEL_TRACES_SAMPLER": " "}, OtelEnvironment(queue=10_000)),
        ({"OTHER": "x", "OTEL_SOMETHING_ELSE": "y"}, OtelEnvironment()),
    ],
)
def test_what_is_said(environ: dict[str, str], expected: OtelEnvironment) -> None:
    assert read_environment(environ) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan"),
        ("OTEL_TRACES_SAMPLER_ARG", "1e-9999999"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "9" * 5000),
        ("OTEL_BSP_SCHEDULE_DELAY", "1s"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x:99999"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "file:///etc/passwd"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "inf"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "br"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file"),
    ],
)
def test_a_value_that_is_not_understood_is_named(name: str, value: str) -> None:
    with pytest.raises(StartError) as raised:
        read_environment({name: value})
    assert name in str(raised.value)
    assert "is accepted; found" in str(raised.value)


def test_all_are_named_and_none_reaches_a_terminal_raw() -> None:
    with pytest.raises(StartError) as raised:
        read_environment({"OTEL_SDK_DISABLED": "\x1b[2J", "OTEL_TRACES_EXPORTER": "x" * 10_000})
    text = str(raised.value)
    assert ("OTEL_SDK_DISABLED" in text, "OTEL_TRACES_EXPORTER" in text, "\x1b" in text) == (True, True, False)
    assert len(text) < 1000


def test_what_the_settings_say_holds_unless_the_environment_says_more() -> None:
    assert OtelEnvironment().share_of(0.3) == 0.3
    assert OtelEnvironment(share=0.5).share_of(0.3) == 0.5
    assert OtelEnvironment(share=0.5).share_of(0.0) == 0.0


def test_files_must_be_readable(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("")
    assert read_environment({"OTEL_EXPORTER_OTLP_CERTIFICATE": str(path)}) == OtelEnvironment()


@pytest.mark.parametrize("value", ["Bearer topsecret", "a=1,topsecret", "a=\ntopsecret", "=topsecret", "a=é topsecret"])
def test_a_secret_is_not_shown_however_wrong_it_is(value: str) -> None:
    """The SDK would log it."""
    with pytest.raises(StartError) as raised:
        read_environment({"OTEL_EXPORTER_OTLP_HEADERS": value})
    assert "OTEL_EXPORTER_OTLP_HEADERS: `NAME=VALUE`" in str(raised.value)
    assert "topsecret" not in str(raised.value)


def test_headers_may_be_several() -> None:
    environ = {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "authorization=Bearer%20x, api-key = a=b ,"}
    assert read_environment(environ) == OtelEnvironment()
