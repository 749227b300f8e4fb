"""New applications from templates."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ConfigError, GatewayError
from gateway.release.catalog import load_catalog
from gateway.release.scaffold import new_files, write_new
from tests.support.release import FILES, write_files

TEMPLATE = """\
parameters: [{name: service}, {name: size, value: "2"}]
files:
  "apps/{{ .App.name }}.yaml": |
    service: {{ .Values.service }}
    environments: {prod: {values: {replicas: {{ .Values.size }}}}}
    orchestration: app
    workflow: release
"""


def test_a_template_makes_files_that_are_sound_and_stay_as_they_are(tmp_path: Path) -> None:
    catalog = load_catalog(
        write_files(tmp_path, {"templates/java.yaml": TEMPLATE, "templates/child.yaml": "extends: java\n"})
    )
    files = new_files(catalog, "shop", "child", {"service": "shop-service"})
    write_new(files)
    before = (tmp_path / "apps" / "shop.yaml").read_text()
    assert load_catalog(tmp_path).apps["shop"].value.service == "shop-service"
    write_files(tmp_path, {"templates/java.yaml": TEMPLATE.replace("prod:", "gray:")})
    load_catalog(tmp_path)
    assert (tmp_path / "apps" / "shop.yaml").read_text() == before


@pytest.mark.parametrize(
    ("app", "template", "given", "message"),
    [
        ("Shop", "java", {}, "an application's name is letters a to z"),
        ("shop", "jav", {}, "there is no template 'jav' (there are: java)"),
        ("shop", "java", {"colour": "red"}, "--set: template 'java' has no parameter 'colour' (it has: service, size)"),
        ("shop", "java", {}, "--set: template 'java' wants --set service=…"),
        ("a", "java", {"service": "x"}, "the file is there already"),
    ],
)
def test_what_is_missing_or_there_already_is_said(
    tmp_path: Path, app: str, template: str, given: dict[str, str], message: str
) -> None:
    catalog = load_catalog(write_files(tmp_path, {"templates/java.yaml": TEMPLATE}))
    with pytest.raises((GatewayError, ConfigError)) as caught:
        new_files(catalog, app, template, given)
    assert message in str(caught.value)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")} == {*FILES, "templates/java.yaml"}


def test_a_template_writes_nowhere_else(tmp_path: Path) -> None:
    catalog = load_catalog(write_files(tmp_path / "release", {"templates/java.yaml": "files: {'../../x.yaml': ''}\n"}))
    with pytest.raises(ConfigError, match="below the folder of the release"):
        new_files(catalog, "shop", "java", {})
