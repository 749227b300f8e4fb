"""A real Java Nacos server, where `make servers` has put one together: one for all tests, since it takes half a minute to start."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from gateway.demo.registries import servers_folder
from gateway.release.ports import free_port
from tests.support.given import Given

FOLDER = servers_folder().parent / "nacos"
JAVA = shutil.which("java")
STARTING = 240.0
"""Seconds that it may take on a busy machine."""

needs_java_nacos = pytest.mark.skipif(
    JAVA is None or not (FOLDER / "out").exists(),
    reason="there is no Java Nacos: this is NOT tested against Nacos itself; `make servers` puts one together",
)


class JavaNacos(Given):
    """Nacos on ports of its own: HTTP, 1000 above it gRPC, 1001 above it and 1000 below it for other servers. For tests only."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        super().__init__("nacos", f"127.0.0.1:{port}")
        self._folder = folder
        settings = {
            "server.port": port,
            "server.servlet.contextPath": "/nacos",
            "nacos.core.auth.system.type": "nacos",
            "logging.config": "classpath:META-INF/logback/nacos.xml",
            "db.pool.config.connectionTimeout": 200_000,  # milliseconds that its database may take to be made
        }
        assert JAVA is not None
        with (folder / "nacos.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    JAVA, "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dnacos.standalone=true",
                    f"-Dnacos.home={folder}", f"-Duser.home={folder}",
                    # This hessian before another one with the same classes, which something else needs.
                    "-cp", f"{FOLDER}/out:{FOLDER}/lib/hessian-4.0.63.jar:{FOLDER}/lib/*", "NacosServer",
                    *(f"--{name}={value}" for name, value in settings.items()),
                ],
                cwd=folder, stdout=log, stderr=log,
            )  # fmt: skip

    def wait_up(self) -> None:
        """Returns when it answers."""
        deadline = time.monotonic() + STARTING
        url = f"http://{self.address}/nacos/v1/ns/instance/list?serviceName=probe"
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise AssertionError((self._folder / "nacos.log").read_text()[-3000:]) from None
                time.sleep(0.2)

    def kill(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
