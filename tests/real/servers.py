"""Says which real servers the tests marked `real` will do without; `make test-real` runs it first."""

from __future__ import annotations

import shutil

from gateway.demo.registries import find_server, servers_folder
from tests.support.given import GIVEN
from tests.support.javanacos import FOLDER

INSTALLED = {
    "prometheus": "Prometheus",
    "promtool": "Prometheus' promtool",
    "curl": "curl",
    "nghttp": "nghttp2's client",
    "h2load": "nghttp2's h2load",
}
"""What distributions have."""
PROGRAMS = {
    "consul": "Consul 1.20.1",
    "rnacos": "r-nacos 0.8.8",
    "kwok": "Kubernetes 1.37.2",
    "gateway-api-conformance": "Gateway API 1.6.3",
    "helm": "Helm 4.3.2",
    "jaeger": "Jaeger 1.62.0",
    "h2spec": "h2spec 2.2.1",
}

if __name__ == "__main__":
    for program, title in PROGRAMS.items():
        found = find_server(program)
        if found:
            print(f"{title}: {found}")
        else:
            print(
                f"!!! NOT TESTED against {title}: no `{program}` on the PATH or in {servers_folder()}: `make servers`"
            )
    if (FOLDER / "out").exists():
        print(f"Nacos 2.2.4: {FOLDER}")
    else:
        print(f"!!! NOT TESTED against Nacos 2.2.4: not in {FOLDER}: `make servers`")
    for program, title in INSTALLED.items():
        where = shutil.which(program)
        print(f"{title}: {where}" if where else f"!!! NOT TESTED against {title}: no `{program}` on the PATH")
    for server in GIVEN.values():
        print(f"{server.kind} at {server.address}, as the environment says")
