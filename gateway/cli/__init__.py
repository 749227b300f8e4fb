"""The command line."""

from __future__ import annotations

import click

from gateway.cli.lazy import LazyGroup

COMMANDS = {
    "serve": "Run the entry gateway.",
    "sidecar": "Run the sidecar of one service instance.",
    "registry": "Run the embedded registry, or show what a running gateway knows from its registries.",
    "release": "Release applications through gray to production; run the release server.",
    "demo": "Run the scenario with real processes on loopback.",
    "check": "Validate configuration and rules without starting anything.",
    "explain": "Show the decision for a request, and why.",
    "inject": "Add sidecars to Kubernetes manifests, or to pods as they are created.",
    "tap": "Follow requests as they are served, or show the path of one.",
    "instance": "Take an instance out of a running gateway's traffic, and bring it back.",
    "lanes": "Show the lanes of a running gateway, and everything about one of them.",
    "mirror": "Show where the responses of lanes that mirror the baseline are different.",
    "topology": "Show which services called which of late, with which tag.",
    "top": "Show rates, errors and latencies by service and tag, live.",
    "doctor": "Check that everything is as it has to be, and say what to do if not.",
    "rules": "Lint, test, format, convert and compare lane rules; show their history and roll back.",
    "schema": "Print the JSON Schema of a file format, or the OpenAPI description of the admin API.",
    "version": "Show the version and how it was built.",
}
"""Every command and its line in `--help`; the module of the same name holds it as `command`."""


def _show_version(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        from gateway.cli.output import echo
        from gateway.cli.version import describe

        echo(describe())
        ctx.exit()


@click.group(
    cls=LazyGroup,
    package="gateway.cli",
    lines=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help=COMMANDS["version"]
)
def main() -> None:
    """Gray-release gateway: keeps marked requests in their lane along the whole call chain.

    Exit codes: 0 success, 1 a check or test failed, 2 usage error, 3 could not start.
    """
