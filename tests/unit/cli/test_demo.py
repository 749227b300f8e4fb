"""`gateway demo` on a server that an operator has: what it takes of a user, and where that goes."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.demo.registries import PASSWORD, USERNAME, NacosRegistry

NACOS = ("--registry", "nacos", "--address", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--username", "u"), "--username needs --registry nacos and --address"),
        (("--registry", "nacos", "--username", "u"), "--username needs --registry nacos and --address"),
        (("--registry", "consul", "--address", "127.0.0.1:1", "--username", "u"), "--username needs --registry nacos"),
        ((*NACOS, "--username", "u"), f"needs the password in {PASSWORD}"),
    ],
)
def test_a_user_that_cannot_be_used_is_a_usage_error(arguments: tuple[str, ...], problem: str) -> None:
    result = CliRunner(env={PASSWORD: None, USERNAME: None}).invoke(main, ["demo", *arguments])
    assert (result.exit_code, problem in result.output) == (2, True)


def test_the_files_of_the_demo_name_the_password_and_do_not_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USERNAME, "somebody")
    monkeypatch.setenv(PASSWORD, "secret")
    settings = NacosRegistry("10.0.0.1:8848").settings
    assert (settings["username"], settings["password"]) == ("${GRAY_DEMO_USERNAME}", "${GRAY_DEMO_PASSWORD}")
    assert "username" not in NacosRegistry().settings  # one that the demo starts has no users
