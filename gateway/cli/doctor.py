"""`gateway doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.cli.client import server_options
from gateway.cli.failing import counted
from gateway.cli.fields import header_pair
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
@click.option(
    "--propagation",
    "url",
    metavar="URL",
    help="Send one GET for this URL of the gateway, and say at each hop how its tag was carried, or where it was lost.",
)
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    callback=lambda _context, _parameter, texts: [header_pair(text) for text in texts],
    help="With --propagation: a header field of that request; can be repeated.",
)
@server_options(required=False)
@output_option("text")
def command(
    config: Path | None,
    sidecars: tuple[str, ...],
    wait: str | None,
    url: str | None,
    headers: list[tuple[str, str]],
    server: str | None,
    token: str | None,
    output: str,
) -> None:
    """Check that everything is as it has to be, and say what to do if not.

    Of a configuration: that it is valid, that its ports, certificates and file limits will do, that its registries respond,
    and that its routes and open lanes have instances. Of running programs: that they are ready, run what their files say,
    have the right time, that sidecars have the lanes of the gateway, and that no request bypasses one. Nothing is changed.

    \b
    gateway doctor -c config/gateway.yaml
    gateway doctor --server 127.0.0.1:9900 --sidecar 127.0.0.1:9901 --wait 60s
    gateway doctor --server 127.0.0.1:9900 --propagation 'http://127.0.0.1:8080/A/a?group=gray'

    With --propagation, only that is checked. The request must be one that an open lane takes, and the programs on its way must
    deliver their records to --server; they have 10 seconds for that, or --wait.

    Exits with 1 if a check failed; a warning is not a failure.
    """
    import asyncio
    import logging
    from dataclasses import asdict

    from gateway.app.doctor.finding import FAILED, OK, Finding

    logging.getLogger("gateway").addHandler(logging.NullHandler())  # what is wrong is a finding, not a record
    findings: list[Finding]
    if url is not None:
        from gateway.app.doctor.propagation import PATIENCE, check_propagation

        if server is None or config is not None or sidecars:
            raise click.UsageError(
                "--propagation needs --server, the gateway that collects the records, and nothing else"
            )
        patience = PATIENCE if wait is None else _seconds(wait)
        findings = asyncio.run(check_propagation(url, headers, server, token, patience))
    else:
        from gateway.app.doctor.examine import examine_until

        if headers:
            raise click.UsageError("-H is for the request of --propagation")
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
