"""The scenario's own orchestration, and what an order may and may not say to it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gateway.errors import ConfigError, GatewayError
from gateway.release.catalog import load_catalog
from gateway.release.orchestration import render_app
from tests.support.release import write_files

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("environment", "tag"), [("gray", "gray"), ("prod", None)])
def test_the_scenarios_orchestration_labels_gray_and_nothing_else(environment: str, tag: str | None) -> None:
    catalog = load_catalog(ROOT / "config" / "release", {"local"})
    rendered = render_app(catalog, "a", environment, {"backend": "registry.example/a:2"})
    document = yaml.safe_load(rendered.text)
    labels = {"app": "spring-cloud-a", "msePilotCreateAppName": "spring-cloud-a", "msePilotAutoEnable": "on"}
    assert document["spec"]["template"]["metadata"]["labels"] == labels | ({"alicloud.service.tag": tag} if tag else {})
    assert document["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/a:2"


def test_an_order_gives_values_to_placeholders(tmp_path: Path) -> None:
    catalog = load_catalog(write_files(tmp_path))
    rendered = render_app(catalog, "a", "prod", {"backend": "a:2"}, {"replicas": "3"})
    assert rendered.documents[0]["spec"]["replicas"] == "3"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", "prod", {"backend": "a:2"}), "there is no application 'x' (there are: a, b, c)"),
        (("a", "lab", {"backend": "a:2"}), "application 'a' has no environment 'lab' (it has: gray, prod)"),
        (("a", "prod", {}), "application 'a' has no image for backend: give one, or build it"),
        (("a", "prod", {"backend": "a:2"}, {"copies": "1"}), "--set: copies: the orchestration has no placeholder"),
        (
            ("a", "prod", {"backend": "a:2"}, {"replicas": "x"}),
            "--set: replicas: the placeholder 'replicas' is of type number",
        ),
    ],
)
def test_what_cannot_be_rendered_is_refused(tmp_path: Path, arguments: tuple, message: str) -> None:  # type: ignore[type-arg]
    catalog = load_catalog(write_files(tmp_path))
    with pytest.raises((GatewayError, ConfigError)) as caught:
        render_app(catalog, *arguments)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "image",
    ["a:2\n          command: [sh, -c, id]", "..", "../state", "-v/:/host", "a b", "a:2'", "", "a" * 256],
)
def test_an_image_is_a_name_and_nothing_else(tmp_path: Path, image: str) -> None:
    """It comes from whoever may use the API, and goes into the template as it is: another line there would be a command."""
    catalog = load_catalog(write_files(tmp_path))
    with pytest.raises(GatewayError, match="image 'backend' of a: 1 to 255 letters"):
        render_app(catalog, "a", "prod", {"backend": image})


def test_a_value_without_a_rule_is_one_line(tmp_path: Path) -> None:
    free = "template: app.tpl\nplaceholders: [{name: replicas, value: '1'}]\n"
    catalog = load_catalog(write_files(tmp_path, {"orchestrations/app.yaml": free}))
    assert (
        render_app(catalog, "a", "prod", {"backend": "a:2"}, {"replicas": "3"}).documents[0]["spec"]["replicas"] == "3"
    )
    with pytest.raises(ConfigError, match="a value is one line of printable text"):
        render_app(catalog, "a", "prod", {"backend": "a:2"}, {"replicas": "1\n  paused: true"})
