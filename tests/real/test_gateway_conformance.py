"""The Gateway API's own conformance tests, run against gateways of ours on a real control plane.

Its tests and its echo program are built by `make servers`. What they need of a cluster that is not there is stood in for by
`tests/support/conformance.py`.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
import yaml

from gateway.demo.registries import find_server
from tests.support.conformance import Provisioner
from tests.support.gatewayapi import a_class, a_gateway, definitions, needs_gateway_api
from tests.support.kubernetes import Cluster, needs_kubernetes
from tests.support.mappedpods import map_addresses

pytestmark = [
    pytest.mark.real,
    needs_kubernetes,
    needs_gateway_api,
    pytest.mark.skipif(find_server("gateway-api-conformance") is None, reason="no conformance tests (`make servers`)"),
    pytest.mark.skipif(os.geteuid() != 0, reason="listens on port 80"),
]

HTTPS = [
    "GatewayModifyListeners",
    "GatewaySecretInvalidReferenceGrant",
    "GatewaySecretMissingReferenceGrant",
    "GatewaySecretReferenceGrantAllInNamespace",
    "GatewaySecretReferenceGrantSpecific",
    "HTTPRouteHTTPSListener",
]
"""Core tests of listeners with TLS, which are not supported. `docs/gateway-api.md` lists them, too."""
SECONDS = {
    "GatewayMustHaveCondition": 60, "HTTPRouteMustHaveCondition": 30, "RouteMustHaveParents": 30,
    "MaxTimeToConsistency": 30, "NamespacesMustBeReady": 120,
}  # fmt: skip
OPTIONS = [
    "-test.v",
    "-test.run=TestConformance$",
    "-test.timeout=20m",
    "--gateway-class=gray",
    "--conformance-profiles=GATEWAY-HTTP",
    "--cleanup-base-resources=false",
    "--disable-parallel-tests",
    f"--skip-tests={','.join(HTTPS)}",
    f"--timeout-config-overrides={';'.join(f'{name}:{count}' for name, count in SECONDS.items())}",
    "--organization=gray-gateway",
    "--project=gray-gateway",
    "--url=https://example.org",
    "--version=0",
    "--contact=nobody",
]


async def test_the_conformance_tests_pass_but_for_listeners_with_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    map_addresses(monkeypatch)
    program = find_server("gateway-api-conformance")
    assert program is not None
    cluster = Cluster(tmp_path)  # of its own: the tests make dozens of Gateways, and count what there is
    provisioner = None
    try:
        await asyncio.to_thread(cluster.start)
        await asyncio.to_thread(cluster.kubectl, "apply", "--server-side", "-f", str(definitions()))
        for plural in ("gatewayclasses", "gateways", "httproutes", "referencegrants"):
            crd = f"crd/{plural}.gateway.networking.k8s.io"
            await asyncio.to_thread(cluster.kubectl, "wait", "--for=condition=Established", crd)
        await asyncio.to_thread(cluster.apply, a_class(), a_gateway("first"))
        provisioner = Provisioner(cluster, tmp_path)
        provisioner.start()
        await asyncio.to_thread(
            cluster.kubectl, "wait", "--for=condition=Accepted", "gatewayclass/gray", "--timeout=30s"
        )
        report = tmp_path / "report.yaml"
        running = await asyncio.create_subprocess_exec(
            program, *OPTIONS, f"--report-output={report}",
            env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig())}, cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await running.communicate()
    finally:
        if provisioner is not None:
            await provisioner.close()
        await asyncio.to_thread(cluster.stop)
    assert report.is_file(), said[-4000:].decode(errors="replace")
    [profile] = yaml.safe_load(report.read_text())["profiles"]
    for kind in ("core", "extended"):
        assert profile[kind].get("failedTests", []) == []
    assert set(profile["core"]["skippedTests"]) == set(HTTPS)
    assert profile["core"]["statistics"]["Passed"] + profile["extended"]["statistics"]["Passed"] >= 45
