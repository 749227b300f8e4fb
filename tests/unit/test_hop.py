"""The field that gateways and sidecars tell each other by."""

from __future__ import annotations

import pytest

from gateway import hop
from gateway.instance import Instance


@pytest.mark.parametrize(
    ("service", "value"),
    [
        pytest.param("spring-cloud-a", "gray;service=spring-cloud-a", id="a name"),
        pytest.param("", "gray", id="none"),
        pytest.param("x" * 257, "gray", id="too long"),
        pytest.param("a\r\nHost: b", "gray;service=a%0D%0AHost%3A%20b", id="line breaks"),
        pytest.param("ü", "gray;service=%C3%BC", id="not ASCII"),
        pytest.param("a\ud800", "gray;service=a%3F", id="a lone surrogate, as JSON may have"),
    ],
)
def test_whatever_a_registry_says_is_one_line(service: str, value: str) -> None:
    instance = Instance("10.0.0.1", 80, "gray", metadata={hop.SIDECAR_KEY: service})
    assert instance.target_line == f"X-Gray-Hop: {value}\r\n".encode()
    assert hop.fields(instance.target_line) == {"X-Gray-Hop": value}
