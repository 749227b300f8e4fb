"""`gateway doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.cli.client import server_options
from gateway.cli.failing import counted
from gateway.cli.output import echo, echo_json, output_option

DEFAULT = Path("config/gateway.yaml")


@click.command("doctor", short_help="Check that everything is as it has to be, and say what to do if not.")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Configuration of a gateway or sidecar to check. [default: {DEFAULT}, if there is no --server]",
)
@click.option(
    "--sidecar",
    "sidecars",
    multiple=True,
    metavar="HOST:PORT",
    help="Admin address of a running sidecar that should agree with the gateway; can be repeated.",
)
@click.option("--wait", metavar="DURATION", help="Check again until nothing fails, for up to this long (`60s`).")
@server_options(required=False)
@output_option("text")
def command(
    config: Path | None, sidecars: tuple[str, ...], wait: str | None, server: str | None, token: str | None, output: str
) -> None:
    """Check that everything is as it has to be, and say what to do if not.

    Of a configuration: that it is valid, that its ports, certificates and file limits will do, that its registries respond,
    and that its routes and open lanes have instances. Of running programs: that they are ready, run what their files say,
    have the right time, that sidecars have the lanes of the gateway, and that no request bypasses one. Nothing is changed.

    \b
    gateway doctor -c config/gateway.yaml
    gateway doctor --server 127.0.0.1:9900 --sidecar 127.0.0.1:9901 --wait 60s

    Exits with 1 if a check failed; a warning is not a failure.
    """
    import asyncio
    import logging
    from dataclasses import asdict

    from gateway.app.doctor.examine import examine_until
    from gateway.app.doctor.finding import FAILED, OK

    logging.getLogger("gateway").addHandler(logging.NullHandler())  # what is wrong is a finding, not a record
    if config is None and server is None and not sidecars:
        config = DEFAULT
    findings = asyncio.run(examine_until(_seconds(wait), config, server, sidecars, token))
    failed = sum(finding.state == FAILED for finding in findings)
    if output == "json":
        echo_json([asdict(finding) for finding in findings])
    else:
        check = ""
        for finding in findings:
            if finding.check != check:
                check = finding.check
                echo(check)
            echo(f"  {finding.state:<8} {finding.subject}: {finding.message}")
            if finding.state != OK and finding.hint:
                echo(f"           → {finding.hint}")
        echo(f"{counted(len(findings), 'check')}, {failed} failed", err=True)
    if failed:
        sys.exit(1)


def _seconds(text: str | None) -> float:
    if text is None:
        return 0.0
    from pydantic import TypeAdapter, ValidationError

    from gateway.settings.fields import Duration

    try:
        return float(TypeAdapter(Duration).validate_python(text))
    except ValidationError as error:
        raise click.BadParameter(f"{text!r} is not a duration such as 60s", param_hint="--wait") from error
