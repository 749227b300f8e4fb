"""Settings from the environment and the command line: which one counts, and what a bad one is blamed on."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.control.load import load_gateway
from gateway.errors import ConfigError
from gateway.settings import GatewaySettings

GATEWAY = """\
listen: 127.0.0.1:8080
registry:
  kind: static
  services: {a: [{address: "127.0.0.1:9001"}], b: []}
routes:
  - {path: /A, service: a}
  - {path: /B, service: b}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(GATEWAY)
    return path


def settings(path: Path, *overrides: str, **environ: str) -> GatewaySettings:
    return load_gateway(path, overrides, environ).settings


def problems(path: Path, *overrides: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_gateway(path, overrides, environ)
    return [str(problem) for problem in error.value.problems]


def test_the_command_line_beats_the_environment_which_beats_the_file(path: Path) -> None:
    found = settings(
        path,
        "listen=127.0.0.1:2",
        "trusted=[10.0.0.0/8]",
        GATEWAY_LISTEN="127.0.0.1:1",
        GATEWAY_TIMEOUTS__HEAD="3s",
        GATEWAY_COMPILE="1",
        HOME="/",
    )
    assert found.listen.port == 2
    assert found.timeouts.head == 3.0
    assert [str(network) for network in found.trusted] == ["10.0.0.0/8"]


def test_the_last_of_two_overrides_counts(path: Path) -> None:
    assert settings(path, "timeouts.head=1s", "timeouts.head=2s", "timeouts.connect=3s").timeouts.head == 2.0


def test_an_item_of_a_list_is_reached_by_its_number(path: Path) -> None:
    routes = settings(path, "routes.1.path=/C", "registry.services.a.0.tag=gray").routes
    assert [(route.path, route.service) for route in routes] == [("/A", "a"), ("/C", "b")]


def test_a_bad_override_is_blamed_on_what_brought_it(path: Path) -> None:
    assert problems(
        path,
        "listen=x",
        "nonsense",
        "limits.head_byte=5000",
        "routes.2.path=/C",
        "routes.0.path=C",
        "trusted=[10.0.0.0/8",
        "drain..delay=1",
        GATEWAY_TIMEOUTS__HEAD="x",
        GATEWAY_LISTN="y",
    ) == [
        "--set drain..delay=1: expected key.path=value",
        "--set limits.head_byte: limits.head_byte: unknown key 'head_byte'; did you mean 'head_bytes'?",
        "--set listen: listen: an address is host:port, the port 0 to 65535; found 'x'",
        "--set nonsense: expected key.path=value",
        "--set routes.0.path: routes.0.path: a route's path starts with '/' and has no '?', '#', '//' or non-ASCII character",
        "--set routes.2.path: routes has 2 items, counted from 0; there is no '2'",
        "--set trusted: not YAML: did not find expected ',' or ']'",
        "GATEWAY_LISTN: there is no setting 'listn'; did you mean GATEWAY_LISTEN?",
        "GATEWAY_TIMEOUTS__HEAD: timeouts.head: a duration is a number with ms, s, m or h; found 'x'",
    ]


def test_what_kubernetes_sets_beside_a_service_called_gateway_is_no_setting(path: Path) -> None:
    links = {
        "GATEWAY_SERVICE_HOST": "10.0.0.1",
        "GATEWAY_SERVICE_PORT": "80",
        "GATEWAY_SERVICE_PORT_HTTP": "80",
        "GATEWAY_PORT": "tcp://10.0.0.1:80",
        "GATEWAY_PORT_80_TCP": "tcp://10.0.0.1:80",
        "GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1",
        "GATEWAY_REGISTRY_SERVICE_HOST": "10.0.0.2",
        "GATEWAY_REGISTRY_PORT": "tcp://10.0.0.2:8848",
        "GATEWAY_REGISTRY_PORT_8848_TCP_PROTO": "tcp",
    }
    assert settings(path, **links).listen.port == 8080
    assert problems(path, GATEWAY_PORT="8080") == ["GATEWAY_PORT: there is no setting 'port'"]
