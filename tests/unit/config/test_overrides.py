"""Settings from the environment and the command line: which one counts, and what a bad one is blamed on."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from gateway.cli import main
from gateway.config.load import load_gateway
from gateway.config.overrides import ENVIRONMENT_PREFIX, OURS
from gateway.errors import ConfigError
from gateway.settings.gateway import GatewaySettings

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
        "--set routes.0.path: routes.0.path: a route's path starts with '/' and has no '?', '#', '//' or non-ASCII character; found 'C'",
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


@pytest.mark.parametrize(
    "variables",
    [
        {"GATEWAY_TOKEN": "secret", "GATEWAY_SERVER": "127.0.0.1:9900"},
        {"GATEWAY_INTERFACE": "CGI/1.1"},
        {"GATEWAY_NAME": "/web/gateway", "GATEWAY_ENV_PATH": "/bin"},
        {"GATEWAY_LISTEN": "", "GATEWAY_TOKEN": "", "GATEWAY_WORKERS": "", "GATEWAY_TIMEOUTS__HEAD": ""},
    ],
    ids=["the command line's", "a web server's", "Docker's links", "empty ones"],
)
def test_what_is_certainly_no_setting_is_passed_over_with_a_line(
    path: Path, variables: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "gateway.control")
    assert settings(path, **variables) == settings(path)
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"{name} is ignored: it is empty or not a setting" for name in sorted(variables)]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("GATEWAY_LISTN", "there is no setting 'listn'; did you mean GATEWAY_LISTEN?"),
        ("GATEWAY_TIMEOUTS_HEAD", "there is no setting 'timeouts_head'; did you mean GATEWAY_TIMEOUTS__HEAD?"),
        ("GATEWAY_TOKENS", "there is no setting 'tokens'; did you mean GATEWAY_TOKEN?"),
        ("GATEWAY_INTERFACE", "there is no setting 'interface'"),
        ("GATEWAY_NAME", "name: a name is 1 to 63 letters, digits, '.', '_' or '-', starting with a letter or digit"),
    ],
)
def test_what_may_be_a_slip_of_the_pen_is_refused(path: Path, name: str, problem: str) -> None:
    assert problems(path, **{name: "what?"}) == [f"{name}: {problem}"]


def test_every_variable_that_the_command_line_reads_is_known_not_to_be_a_setting() -> None:
    """In a shell that has it for one command, another must still start."""
    read: set[str] = set()

    def look(command: click.Command, context: click.Context) -> None:
        for parameter in command.params:
            variables = parameter.envvar or ()
            read.update([variables] if isinstance(variables, str) else variables)
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                look(inner, click.Context(inner, info_name=name, parent=context))

    look(main, click.Context(main))
    assert {"GATEWAY_TOKEN", "GATEWAY_SERVER"} <= read
    assert {name for name in read if name.startswith(ENVIRONMENT_PREFIX)} <= OURS
