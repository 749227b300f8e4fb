"""`gateway demo`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
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
    "--username",
    metavar="NAME",
    envvar="GRAY_DEMO_USERNAME",
    help="User of that Nacos; its password is read from GRAY_DEMO_PASSWORD, or asked for.",
)
@click.option(
    "--restart-registry", is_flag=True, help="Kill the registry while the lane is open, and restart it empty."
)
@click.option(
    "--kill-release-server",
    is_flag=True,
    help="Kill the release server while it deploys gray, production, and cleans up, and restart it.",
)
def command(
    once: bool,
    port: int | None,
    keep: Path | None,
    kind: str,
    address: str | None,
    username: str | None,
    restart_registry: bool,
    kill_release_server: bool,
) -> None:
    """Run the scenario: a gray release of A and C in the chain A -> B -> C.

    Starts a registry, the entry gateway and a release server, which deploys the services with a sidecar each. Runs the gray
    cycle with traffic flowing: a person approves, with Enter. Then stays up until Ctrl-C for you to try. With --once, it
    approves by itself, and exits with 0 if no request failed, no unmarked request reached a gray instance, and every marked
    request did while the lane was open; otherwise with 1.
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
    if username is not None:
        if kind != "nacos" or address is None:
            raise click.UsageError("--username needs --registry nacos and --address: only a server of yours has users")
        _log_in_as(username)
    registry = REGISTRIES[kind](address or "")
    hold_signals()
    trouble = {"restarts_registry": restart_registry, "kills_server": kill_release_server}
    if keep is not None:
        sys.exit(asyncio.run(_demo(keep.absolute(), once, port or 0, registry, trouble)))
    with tempfile.TemporaryDirectory(prefix="gateway-demo-", ignore_cleanup_errors=True) as folder:
        sys.exit(asyncio.run(_demo(Path(folder), once, port or 0, registry, trouble)))


def _log_in_as(username: str) -> None:
    """Leaves the user and the password to all processes of the demo, by their environment alone."""
    import os

    from gateway.demo.registries import PASSWORD, USERNAME

    os.environ[USERNAME] = username
    if not os.environ.get(PASSWORD):
        if not sys.stdin.isatty():
            raise click.UsageError(f"--username needs the password in {PASSWORD}: there is no terminal to ask on")
        os.environ[PASSWORD] = click.prompt(f"Password of {username}", hide_input=True, err=True)


async def _demo(folder: Path, once: bool, port: int, registry: DemoRegistry, trouble: Mapping[str, bool]) -> int:
    import asyncio
    import signal

    from gateway.app.signals import obey_signals
    from gateway.demo.cycle import Cycle
    from gateway.demo.environment import Environment
    from gateway.demo.processes import ProcessFailed

    environment = Environment(folder, port, registry)
    confirm = _by_itself if once or not sys.stdin.isatty() else _by_a_person
    cycle = Cycle(environment, lambda text: echo_text(f"{text}\n"), show_progress, confirm, **trouble)
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


async def _by_itself(_: str) -> str:
    return "the demo agrees by itself"


async def _by_a_person(command: str) -> str:
    """Waits for Enter."""
    import asyncio

    loop = asyncio.get_running_loop()
    entered = asyncio.Event()
    echo(f"    ? Enter agrees; so does, in another terminal: {command}")
    loop.add_reader(sys.stdin, entered.set)
    try:
        await entered.wait()
        sys.stdin.readline()
    finally:
        loop.remove_reader(sys.stdin)
    return "a person watched the demo"


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
        await cycle.open_lane(await cycle.deploy_gray())
        echo_text(
            f"""
The lane is open again. Open in a browser:

    http://127.0.0.1:{environment.admin}/    (lanes, services, history)
    http://127.0.0.1:{environment.admin}/#/explain?url=%2FA%2Fa%3Fgroup%3Dgray    (why ?group=gray goes to gray)
    http://{environment.releases.address}/    (releases)

Or try:

    curl '{environment.url}?group=gray'
    curl '{environment.url}'
    {program_name()} explain --server 127.0.0.1:{environment.admin} GET '/A/a?group=gray'
    {program_name()} tap --server 127.0.0.1:{environment.admin} --last 5    (--chain TRACE shows the path of one)
    {program_name()} release get -w --server {environment.releases.address}    (approve, abort, undo, … go on from there)
    curl http://127.0.0.1:{environment.admin}/api/v1/services
    {environment.rules}    (edit it; the gateway reloads it)

Press Ctrl-C to stop everything.
"""
        )
    return 0
