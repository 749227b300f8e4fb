"""A PostgreSQL server of a test's own: Debian's, in a folder, on a Unix socket."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

needs_postgres = pytest.mark.skipif(
    shutil.which("initdb") is None or shutil.which("postgres") is None, reason="no initdb and postgres on the PATH"
)


class Postgres:
    """Made once, and started and stopped as often as one likes. As root it runs as the user `postgres`: it insists."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._user: dict[str, Any] = {"user": "postgres"} if os.geteuid() == 0 else {}
        if self._user:
            shutil.chown(self._folder, "postgres")
        self._process: subprocess.Popen[bytes] | None = None
        data = str(self._folder / "data")
        command = ["initdb", "-D", data, "-U", "release", "-A", "trust", "--no-sync", "--no-instructions"]
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder, **self._user)

    @property
    def url(self) -> str:
        """Its database."""
        return f"postgresql://release@/postgres?host={self._folder}"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        options = ["-c", "fsync=off", "-c", "listen_addresses=", "-c", f"unix_socket_directories={self._folder}"]
        self._process = subprocess.Popen(
            ["postgres", "-D", str(self._folder / "data"), *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._folder, **self._user,
        )  # fmt: skip
        import psycopg

        while True:
            assert self._process.poll() is None
            try:
                psycopg.connect(self.url).close()
                return
            except psycopg.OperationalError:
                continue

    def stop(self) -> None:
        """Stops it, whoever is connected."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(20)
            self._process = None

    def remove(self) -> None:
        """Stops it for good."""
        self.stop()
        shutil.rmtree(self._folder)

    def empty(self) -> None:
        """Forgets everything."""
        import psycopg

        with psycopg.connect(self.url) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
