"""What watching many services costs, and how soon a registered instance gets its first request.

    python -m benchmarks.registries                 # the embedded registry, r-nacos, Consul and Kubernetes, as far as they are here
    python -m benchmarks.registries --registry consul --services 500 --instances 20

A real `gateway serve` watches the services; memory and CPU are read from /proc. For the delay, an instance is registered in
a service that has none, and the gateway is asked until it does not answer 503 any more.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.kubernetes import KubernetesBench
from benchmarks.watching import SERVERS, Bench, say
from gateway.cli.output import print_table
from gateway.demo.processes import ProcessFailed


@asynccontextmanager
async def bench_of(kind: str, folder: Path) -> AsyncIterator[Bench]:
    bench = KubernetesBench(kind, folder) if kind == "kubernetes" else Bench(kind, folder)
    try:
        yield bench
    finally:
        await bench.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--registry", nargs="*", default=["embedded", *SERVERS, "kubernetes"])
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--instances", type=int, default=20)
    options = parser.parse_args()
    rows = []
    for kind in options.registry:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            try:
                async with bench_of(kind, Path(folder)) as bench:
                    rows.append(await bench.run(options.services, options.instances))
            except ProcessFailed as error:
                say(f"{kind} is left out: {error}")
    print_table(
        [
            "registry", "services", "instances", "registered in", "memory", "of it for them", "CPU a second",
            "first request after", "at most",
        ],
        rows,
    )  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main())
