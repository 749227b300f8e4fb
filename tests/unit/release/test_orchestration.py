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
