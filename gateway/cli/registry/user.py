"""`gateway registry user`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.cli.output import echo


@click.command("user", short_help="Add a user of the embedded registry to a file, or change one.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("name")
@click.option("--role", type=click.Choice(["read", "write"]), default="read", show_default=True, help="What it may do.")
@click.option("--remove", is_flag=True, help="Take the user out.")
def command(file: Path, name: str, role: str, remove: bool) -> None:
    """Add the user NAME to FILE, which `gateway registry serve --users` reads, or change its password and role.

    The password is asked for, or read from standard input. A registry that runs takes the change within seconds; who is logged in
    as that user has to log in again.

    \b
    gateway registry user users.txt gateway --role write
    """
    from gateway.cli.failing import failing
    from gateway.errors import GatewayError
    from gateway.files import PRIVATE, read_file, write_file
    from gateway.registry.embedded.users import MAX_FILE, User, parse_users
    from gateway.scrypt import hashed

    with failing():
        try:
            text = read_file(file, MAX_FILE).decode() if file.exists() else ""
            users = parse_users(text, file)
        except (OSError, ValueError) as error:
            raise GatewayError(f"cannot read {file}: {error}") from error
        kept = [line for line in text.splitlines() if not line.startswith(f"{name}:")]
        if remove:
            if name not in users:
                raise GatewayError(f"{file} has no user '{name}' (it has: {', '.join(users) or 'nobody'})")
        else:
            password = click.prompt("password", hide_input=True, confirmation_prompt=True) if sys.stdin.isatty() else ""
            password = password or sys.stdin.readline().rstrip("\n")
            if not password:
                raise GatewayError("the password is empty")
            kept.append(User(name, role, hashed(password)).line)
        text = "".join(f"{line}\n" for line in kept)
        try:
            parse_users(text, file)
            write_file(file, text, PRIVATE)
        except (OSError, ValueError) as error:
            raise GatewayError(f"cannot write {file}: {error}") from error
    echo(f"{'removed' if remove else 'wrote'} {name}", err=True)
