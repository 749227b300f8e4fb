"""`gateway inject …`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.cli.failing import counted
from gateway.cli.lazy import LazyGroup
from gateway.cli.output import echo, echo_text

COMMANDS = {"serve": "Run the webhook that adds sidecars to pods as they are created."}
"""Every command and its line in `--help`; the module of the same name holds it as `command`."""
IMAGE = "gray-gateway:latest"


@click.group(
    "inject",
    cls=LazyGroup,
    package="gateway.cli.inject",
    lines=COMMANDS,
    invoke_without_command=True,
    short_help="Add sidecars to Kubernetes manifests, or to pods as they are created.",
)
@click.option(
    "-f", "--file", "files", multiple=True, metavar="FILE", help="Manifests to read; `-` is stdin; can be repeated."
)
@click.option("--image", default=IMAGE, show_default=True, metavar="IMAGE", help="Image of the sidecar.")
@click.option(
    "--plain",
    is_flag=True,
    help="A container like the others, for clusters before 1.29, which have no native sidecars.",
)
@click.pass_context
def command(context: click.Context, files: tuple[str, ...], image: str, plain: bool) -> None:
    """Add sidecars to Kubernetes manifests, or to pods as they are created.

    Manifests are printed with a sidecar in each pod whose labels ask for one. Exits with 1 if one that asks cannot have
    one; nothing is printed then.
    """
    if context.invoked_subcommand is not None:
        if files:
            raise click.UsageError("-f is for manifests, and `serve` reads none")
        return
    if not files:
        raise click.UsageError("name manifests with -f, or run `gateway inject serve`")
    from gateway.errors import ConfigError
    from gateway.injection.manifests import inject_text
    from gateway.injection.pod import Options

    texts, count = [], 0
    try:
        for file in files:
            text, found = inject_text(_read(file), file, Options(image, not plain))
            texts.append(text)
            count += found
    except ConfigError as error:
        for problem in error.problems:
            echo(str(problem), err=True)
        sys.exit(1)
    echo_text("---\n".join(texts))
    echo(f"{counted(count, 'pod')} with a sidecar", err=True)


def _read(file: str) -> str:
    from gateway.errors import ConfigError, Problem
    from gateway.yaml.reading import read_text

    if file != "-":
        return read_text(Path(file))
    content = sys.stdin.buffer.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError([Problem("-", 1, 1, f"the input is not UTF-8 (byte {error.start})")]) from error
