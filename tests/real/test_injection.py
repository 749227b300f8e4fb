"""The real API server asks the webhook as pods are created, and admits what it makes where pods are restricted."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from gateway.app.injection import InjectionProgram
from gateway.app.sockets import Sockets
from gateway.injection.pod import Options
from tests.real.make_chart import FOLDER
from tests.support.kubernetes import Cluster, needs_kubernetes
from tests.support.pods import MSE, pod

pytestmark = [pytest.mark.real, needs_kubernetes]


def restricted(name: str, labels: dict[str, str], **spec: Any) -> dict[str, Any]:
    metadata, pod_spec = pod(labels, **spec)
    profile = {"seccompProfile": {"type": "RuntimeDefault"}, "runAsNonRoot": True, "allowPrivilegeEscalation": False}
    pod_spec["containers"][0]["securityContext"] = {**profile, "capabilities": {"drop": ["ALL"]}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": pod_spec}


async def test_pods_get_a_sidecar_by_their_labels_or_a_warning(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    issued.private_key_pem.write_to_path(tmp_path / "tls.key")
    program = InjectionProgram("127.0.0.1", 0, tmp_path / "tls.crt", tmp_path / "tls.key", Options("gray-gateway:1"))
    parts = AsyncExitStack()
    await program.start(parts, Sockets())
    configuration = next(yaml.safe_load_all((FOLDER / "injection" / "webhook.yaml").read_text()))
    (webhook,) = configuration["webhooks"]
    webhook["clientConfig"] = {
        "url": f"https://127.0.0.1:{program.port}/inject",
        "caBundle": base64.b64encode(authority.cert_pem.bytes()).decode(),
    }
    namespaced = {"gray-gateway.io/injection": "enabled", "pod-security.kubernetes.io/enforce": "restricted"}
    labels = [f"{key}={value}" for key, value in namespaced.items()]

    async def kubectl(*arguments: str, text: str | None = None) -> str:
        return await asyncio.to_thread(lambda: cluster.kubectl(*arguments, text=text))

    async def created(item: dict[str, Any]) -> dict[str, Any]:
        text = await kubectl("create", "-n", namespace, "-f", "-", "-o", "json", text=json.dumps(item))
        return dict(json.loads(text))

    await kubectl("label", "namespace", namespace, *labels)
    await kubectl("apply", "-f", "-", text=json.dumps(configuration))
    try:
        number = 0
        async with asyncio.timeout(30):
            while True:  # the API server learns of a webhook a moment later
                number += 1
                item = await created(restricted(f"a-{number}", {**MSE, "lane": "gray"}))
                if "initContainers" in item["spec"]:
                    break
        (sidecar,) = item["spec"]["initContainers"]
        assert (sidecar["image"], sidecar["restartPolicy"]) == ("gray-gateway:1", "Always")
        assert {"name": "TAG", "value": "gray"} in sidecar["env"]
        assert item["metadata"]["labels"]["gray-gateway.io/inbound-port"] == "15080"
        assert "initContainers" not in (await created(restricted("plain", {"app": "x"})))["spec"]
        # Away: pods are created all the same.
        await parts.aclose()
        assert "initContainers" not in (await created(restricted("later", MSE)))["spec"]
    finally:
        await parts.aclose()
        await kubectl("delete", "mutatingwebhookconfiguration", "gray-gateway-injection")


def test_its_manifests_are_what_the_api_server_takes(cluster: Cluster, namespace: str) -> None:
    """But for those of cert-manager, which is not here."""
    for file in (FOLDER / "injection" / "webhook.yaml", FOLDER / "sidecar-role.yaml"):
        cluster.kubectl("apply", "--server-side", "--dry-run=server", "-n", namespace, "-f", str(file))
