"""Says which real servers the tests marked `real` will do without; `make test-real` runs it first."""

from __future__ import annotations

from gateway.demo.registries import find_server, servers_folder
from tests.support.given import GIVEN

PROGRAMS = {
    "consul": "Consul 1.20.1",
    "rnacos": "r-nacos 0.8.8",
    "kwok": "Kubernetes 1.37.2",
    "helm": "Helm 4.3.2",
    "jaeger": "Jaeger 1.62.0",
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
    for server in GIVEN.values():
        print(f"{server.kind} at {server.address}, as the environment says")
