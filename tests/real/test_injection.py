"""The real API server asks the webhook as pods are created, and admits what it makes where pods are restricted."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from gateway.app.injection import InjectionProgram
from gateway.app.sockets import Sockets
from gateway.injection.certificates import FileCertificates, OwnCertificates
from gateway.injection.manifests import inject_text
from gateway.injection.pairs import DAY, RENEWAL, SETTLING
from gateway.injection.pod import Options
from gateway.kubernetes.access import open_access
from gateway.kubernetes.client import ApiClient
from tests.real.make_chart import FOLDER, rendered
from tests.support.kubernetes import Cluster, needs_kubernetes
from tests.support.pods import MSE, pod
from tests.support.wait import until

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
    files = FileCertificates(tmp_path / "tls.crt", tmp_path / "tls.key")
    program = InjectionProgram("127.0.0.1", 0, files, Options("gray-gateway:1"))
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


class Balancer:
    """Two replicas behind one address, a connection each in turn. Idle connections can be dropped, so that the next is a new one."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self.port = 0
        self.connections = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = self.ports[self.connections % len(self.ports)]
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", port)
        self._open |= {writer, back}
        await asyncio.gather(self._copy(reader, back), self._copy(there, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except OSError:
            pass
        writer.close()
        self._open.discard(writer)

    def drop(self) -> None:
        for writer in self._open:
            writer.close()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.drop()
        await until(lambda: not self._open, "the last connection")


async def test_its_own_certificates_are_rotated_by_two_replicas_without_a_refused_pod(
    cluster: Cluster, namespace: str
) -> None:
    """By an account with the role of the manifests. `failurePolicy: Fail`: a handshake that fails fails the test."""

    async def kubectl(*arguments: str, text: str | None = None) -> str:
        return await asyncio.to_thread(lambda: cluster.kubectl(*arguments, text=text))

    home = "gray-gateway-injection"
    await kubectl("apply", "-f", str(FOLDER / "injection" / "namespace.yaml"))
    await kubectl("apply", "-n", home, "-f", str(FOLDER / "injection" / "account.yaml"))
    for kind in ("role", "clusterrole"):
        binding = [f"{kind}binding", f"{home}-test", f"--{kind}={home}", "--user=gateway"]
        await kubectl("create", *binding, *(["-n", home] if kind == "role" else []))
    balancer = Balancer()
    await balancer.start()
    configuration = next(yaml.safe_load_all((FOLDER / "injection" / "webhook.yaml").read_text()))
    configuration["metadata"]["name"] = home
    (webhook,) = configuration["webhooks"]
    webhook["failurePolicy"] = "Fail"
    webhook["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    webhook["clientConfig"] = {"url": f"https://127.0.0.1:{balancer.port}/inject"}
    now = time.time() - RENEWAL - DAY  # so that every certificate is valid today
    access = open_access(str(cluster.kubeconfig("gateway", home)))
    parts = AsyncExitStack()
    replicas = [
        InjectionProgram("127.0.0.1", 0, OwnCertificates(ApiClient(access), home, home, lambda: now), Options("x:1"))
        for _ in range(2)
    ]
    text = json.dumps(configuration)
    await kubectl("apply", "-f", "-", text=text)
    number = 0

    async def injected() -> bool:
        """Two pods, one asked of each replica over a new connection; fails the test if one is refused."""
        nonlocal number
        found = []
        for _ in range(2):
            number += 1
            balancer.drop()
            item = json.dumps(restricted(f"p-{number}", MSE))
            made = json.loads(await kubectl("create", "-n", namespace, "-f", "-", "-o", "json", text=item))
            found.append("initContainers" in made["spec"])
        return all(found)

    async def authority() -> str:
        path = "jsonpath={.webhooks[0].clientConfig.caBundle}"
        return await kubectl("get", "mutatingwebhookconfiguration", home, "-o", path)

    async def look() -> None:
        for replica in replicas:
            await replica.reload()
            assert await injected()

    try:
        await asyncio.gather(*(replica.start(parts, Sockets()) for replica in replicas))
        balancer.ports = [replica.port for replica in replicas]
        async with asyncio.timeout(30):
            while not await injected():
                pass  # the API server learns of a webhook a moment later
        first = await authority()
        for seconds in (RENEWAL, SETTLING, SETTLING):
            now += seconds
            await look()
        last = await authority()
        assert first != last
        assert base64.b64decode(last).count(b"BEGIN CERTIFICATE") == 1
        # Applied again, as an upgrade does: whom to trust stays, or is told again.
        await kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=text)
        await look()
        assert await authority() == last
        # Who cannot have one is created all the same, and whoever creates it is warned; who has one gets no second.
        for name, more, warning in (
            ("node", {"hostNetwork": True}, "Warning: gray-gateway: no sidecar: it has the node's network"),
            ("windows", {"os": {"name": "windows"}}, ""),
        ):
            item = pod(MSE, **more)
            text = json.dumps(
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **item[0]}, "spec": item[1]}
            )
            create = partial(cluster.warnings, "create", "-n", namespace, "-f", "-", text=text)
            assert warning in await asyncio.to_thread(create)
            there = await kubectl("get", "pod", name, "-n", namespace, "-o", "jsonpath={.spec.initContainers}")
            assert there == ""
        made, _ = inject_text(json.dumps(restricted("twice", MSE)), "-", Options("y:1"))
        await kubectl("create", "-n", namespace, "-f", "-", text=made)
        images = "jsonpath={.spec.initContainers[*].image}"
        assert await kubectl("get", "pod", "twice", "-n", namespace, "-o", images) == "y:1"
    finally:
        await kubectl("delete", "mutatingwebhookconfiguration", home)
        await parts.aclose()
        await balancer.close()


@pytest.mark.parametrize("folder", ["injection", "injection-cert-manager"])
def test_its_manifests_are_what_the_api_server_takes(cluster: Cluster, folder: str) -> None:
    """But for the objects of cert-manager, which is not here."""
    cluster.kubectl("apply", "-f", str(FOLDER / "injection" / "namespace.yaml"))
    found = yaml.safe_load_all(rendered(FOLDER / folder))
    items = [item for item in found if "cert-manager.io/" not in item["apiVersion"]]
    cluster.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", text=yaml.safe_dump_all(items))


def test_the_role_of_sidecars_is_what_the_api_server_takes(cluster: Cluster, namespace: str) -> None:
    role = str(FOLDER / "sidecar-role.yaml")
    cluster.kubectl("apply", "--server-side", "--dry-run=server", "-n", namespace, "-f", role)
