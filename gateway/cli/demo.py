"""`gateway demo`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.output import echo, echo_text, print_table, show_progress

if TYPE_CHECKING:
    from gateway.demo.cycle import Cycle
    from gateway.demo.environment import Environment
    from gateway.demo.registries import DemoRegistry


@click.command("demo", short_help="Run the scenario with real processes on loopback.")
@click.option("--once", is_flag=True, help="Run the gray cycle once, print its result, and exit with 0 or 1.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the entry gateway. [default: a free one]")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for rules, configuration and logs, kept afterwards. [default: a temporary one]",
)
@click.option(
    "--registry",
    "kind",
    type=click.Choice(["embedded", "nacos", "consul"]),
    default="embedded",
    show_default=True,
    help="Registry for the services. For nacos and consul, an installed `rnacos` or `consul` is started.",
)
@click.option(
    "--address",
    metavar="HOST:PORT",
    help="Address of a running Nacos or Consul, to use for --registry instead of starting one.",
)
@click.option(
    "--restart-registry", is_flag=True, help="Kill the registry while the lane is open, and restart it empty."
)
def command(
    once: bool, port: int | None, keep: Path | None, kind: str, address: str | None, restart_registry: bool
) -> None:
    """Run the scenario: a gray release of A and C in the chain A -> B -> C.

    Starts a registry, the entry gateway, and the services with a sidecar each. Runs the gray cycle with traffic flowing,
    then stays up until Ctrl-C for you to try. With --once, it exits with 0 if no request failed, no unmarked request
    reached a gray instance, and every marked request did while the lane was open; otherwise with 1.
    """
    import asyncio

    from gateway.app.signals import hold_signals
    from gateway.demo.registries import REGISTRIES

    if address is not None:
        host, colon, number = address.rpartition(":")
        if kind == "embedded":
            raise click.UsageError(
                "--address needs --registry nacos or consul: the demo always starts the embedded registry itself"
            )
        if restart_registry:
            raise click.UsageError("--restart-registry needs a registry that the demo has started: remove --address")
        if not (host and colon and number.isdigit() and 0 < int(number) < 65536):
            raise click.BadParameter(f"{address!r} is not HOST:PORT", param_hint="--address")
    registry = REGISTRIES[kind](address or "")
    hold_signals()
    if keep is not None:
        sys.exit(asyncio.run(_demo(keep.absolute(), once, port or 0, registry, restart_registry)))
    with tempfile.TemporaryDirectory(prefix="gateway-demo-", ignore_cleanup_errors=True) as folder:
        sys.exit(asyncio.run(_demo(Path(folder), once, port or 0, registry, restart_registry)))


async def _demo(folder: Path, once: bool, port: int, registry: DemoRegistry, restart_registry: bool) -> int:
    import asyncio
    import signal

    from gateway.app.signals import obey_signals
    from gateway.demo.cycle import Cycle
    from gateway.demo.environment import Environment
    from gateway.demo.processes import ProcessFailed

    environment = Environment(folder, port, registry)
    cycle = Cycle(environment, lambda text: echo_text(f"{text}\n"), show_progress, restart_registry)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # SIGHUP too: the terminal was closed.
    obey_signals(loop, dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), stop.set))
    walking = loop.create_task(_walk(cycle, environment, once))
    stopped = loop.create_task(stop.wait())
    try:
        await asyncio.wait((walking, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not walking.done():
            walking.cancel()
            await asyncio.gather(walking, return_exceptions=True)
            return 0 if not once else 1
        result = walking.result()
        if once or result:
            return result
        await stopped
        return 0
    except ProcessFailed as error:
        echo_text(f"the demo failed: {error}\n", err=True)
        return 1
    finally:
        stopped.cancel()
        show_progress("stopping every process")
        await environment.stop()


async def _walk(cycle: Cycle, environment: Environment, once: bool) -> int:
    from gateway.demo.processes import program_name

    tally = await cycle.walk()
    echo_text("\nResults of the background load:\n\n")
    print_table(
        ["requests", "marked", "failed", "unmarked on gray", "marked not on gray"],
        [[tally.requests, tally.marked, tally.failed, tally.unmarked_on_gray, tally.marked_not_on_gray]],
    )
    if not tally.is_clean:
        echo(f"the demo failed; first failure: {tally.first_failure}", err=True)
        return 1
    if not once:
        await cycle.deploy_gray()
        await cycle.open_lane()
        echo_text(
            f"""
The lane is open again. Try:

    curl '{environment.url}?group=gray'
    curl '{environment.url}'
    {program_name()} explain --server 127.0.0.1:{environment.admin} GET '/A/a?group=gray'
    curl http://127.0.0.1:{environment.admin}/api/v1/services
    {environment.rules}    (edit it; the gateway reloads it)

Press Ctrl-C to stop everything.
"""
        )
    return 0
