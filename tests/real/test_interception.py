"""Calls of an application that knows nothing of its sidecar are redirected to it by the kernel, and routed by their Host."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.injection.pod import OUTBOUND, Options, inject
from tests.support.pods import pod

TOOLS = ("unshare", "nsenter", "setpriv", "ip", "iptables-restore", "curl")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, TOOLS)),
        reason=f"network namespaces need root and {', '.join(TOOLS)}: interception is NOT tested with the real kernel",
    ),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """That everybody can read, the sidecar's user too."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


async def test_calls_to_any_address_are_routed_by_their_host(folder: Path) -> None:
    config = folder / "sidecar.yaml"
    config.write_text(
        f"""service: spring-cloud-a
tag: gray
app: 127.0.0.1:8080
inbound: 127.0.0.1:15080
outbound: 127.0.0.1:{OUTBOUND}
admin: 127.0.0.1:15082
registry:
  kind: static
  services:
    spring-cloud-b: [{{address: "10.1.1.2:80"}}]
"""
    )
    metadata, spec = pod()
    annotations = {"gray-gateway.io/intercept": "true", "gray-gateway.io/intercept-ports": "80,8080"}
    first = inject({**metadata, "annotations": annotations}, spec, Options("x")).spec["initContainers"][0]
    (rules,) = first["env"]
    known = {"PYTHON": sys.executable, "CONFIG": str(config), rules["name"]: rules["value"]}
    script = str(Path(__file__).with_name("intercepted.sh"))
    process = await asyncio.create_subprocess_exec(
        "unshare", "-n", "sh", script, env={**os.environ, **known}, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2], start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            output, complaints = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert output.decode().splitlines() == [
        "spring-cloud-b tag=gray port=80",
        "spring-cloud-b:8080 tag=gray port=80",
        "503",
        "10.1.1.2:81 tag=None port=81",
        "curl ended with 28",
    ], complaints.decode()[-3000:]
