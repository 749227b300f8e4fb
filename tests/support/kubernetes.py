"""A real control plane on loopback: etcd, API server, controllers, scheduler, and kwok in place of kubelets.

What it cannot show: kubelets with real probes, containers, and the network between pods. Addresses of its pods lead nowhere.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import trustme
import yaml

from gateway.demo.registries import servers_folder
from gateway.release.ports import free_port

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "kubectl")
FOUND = {program: shutil.which(program, path=servers_folder()) or shutil.which(program) for program in PROGRAMS}
"""Ours first: an etcd of a distribution may be too old for the API server."""
STAGES = Path(__file__).parent / "kwok-stages.yaml"
CONTROLLERS = (
    "deployment-controller", "replicaset-controller", "statefulset-controller", "endpointslice-controller",
    "namespace-controller", "garbage-collector-controller", "serviceaccount-controller",
    "pod-garbage-collector-controller", "resourcequota-controller",
)  # fmt: skip

needs_kubernetes = pytest.mark.skipif(
    None in FOUND.values(), reason="no Kubernetes is built (`make servers`): this is NOT tested against the real one"
)


class Cluster:
    """One control plane. `users` are names that have a token each and no permissions; `admin` may do everything."""

    def __init__(self, folder: Path, users: Sequence[str] = ()) -> None:
        self.folder = folder
        self.users = ("admin", *users)
        self.port = free_port()
        self.server = f"https://127.0.0.1:{self.port}"
        self._etcd = free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._write_files()

    def start(self) -> None:
        """Everything, until the node is ready and there is a namespace `default`."""
        self.start_etcd()
        self.start_server()
        for program, options in {
            "kube-controller-manager": (
                "--bind-address=127.0.0.1", f"--secure-port={free_port()}", "--leader-elect=false",
                f"--controllers={','.join(CONTROLLERS)}", f"--root-ca-file={self.folder / 'ca.crt'}",
                f"--service-account-private-key-file={self.folder / 'sa.key'}", "--kube-api-qps=200", "--kube-api-burst=400",
            ),
            "kube-scheduler": (
                "--bind-address=127.0.0.1", f"--secure-port={free_port()}", "--leader-elect=false",
                "--kube-api-qps=200", "--kube-api-burst=400",
            ),
            "kwok": (
                "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake", "--cidr=10.244.0.0/16",
                "--node-ip=127.0.0.1", "--node-name=kwok", f"--config={STAGES}", f"--server-address=127.0.0.1:{free_port()}",
            ),
        }.items():  # fmt: skip
            self._spawn(program, f"--kubeconfig={self.kubeconfig()}", *options)
        node = {"apiVersion": "v1", "kind": "Node"}
        name = {"name": "node-1", "annotations": {"kwok.x-k8s.io/node": "fake"}}
        self.apply({**node, "metadata": name, "spec": {}})
        self.wait(
            lambda: "True" in self.kubectl(
                "get", "node", "node-1", "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
            ),
            "the node",
        )  # fmt: skip

    def start_etcd(self) -> None:
        """The store."""
        client, peer = f"http://127.0.0.1:{self._etcd}", f"http://127.0.0.1:{free_port()}"
        self._spawn(
            "etcd", "--name=h", f"--data-dir={self.folder / 'etcd'}", f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=h={peer}", "--unsafe-no-fsync", "--log-level=error",
        )  # fmt: skip
        self.wait(lambda: _responds(f"{client}/health"), "etcd")

    def start_server(self) -> None:
        """The API server, until it is ready."""
        file = self.folder
        self._spawn(
            "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self._etcd}", "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1", f"--secure-port={self.port}", "--endpoint-reconciler-type=none",
            f"--tls-cert-file={file / 'server.crt'}", f"--tls-private-key-file={file / 'server.key'}",
            f"--token-auth-file={file / 'tokens.csv'}", "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={file / 'sa.key'}",
            f"--service-account-signing-key-file={file / 'sa.key'}", "--service-cluster-ip-range=10.0.0.0/24",
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition", "--shutdown-delay-duration=0s",
        )  # fmt: skip
        self.wait(lambda: self._kubectl("get", "--raw", "/readyz").returncode == 0, "the API server")

    def stop_server(self) -> None:
        """The API server alone, at once; the others wait for it."""
        self._processes["kube-apiserver"].kill()  # asked to end, it waits for every watch
        self._end("kube-apiserver")

    def stop(self) -> None:
        """Everything: clients first, the store last."""
        for program in reversed(list(self._processes)):
            if program not in ("kube-apiserver", "etcd"):
                self._end(program)
        for program in ("kube-apiserver", "etcd"):
            if program in self._processes:
                self._end(program)

    def kubeconfig(self, user: str = "admin", namespace: str = "default") -> Path:
        """A kubeconfig of a user. It is written once: a program that has just been started may be reading it."""
        path = self.folder / f"{user}-{namespace}.kubeconfig"
        if path.exists():
            return path
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
                    "clusters": [{"name": "c", "cluster": {"server": self.server, "certificate-authority": "ca.crt"}}],
                    "users": [{"name": "u", "user": {"token": f"token-of-{user}"}}],
                }
            )
        )
        return path

    def kubectl(self, *arguments: str, text: str | None = None, user: str = "admin") -> str:
        """What kubectl prints. Fails the test if it fails."""
        done = self._kubectl(*arguments, text=text, user=user)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def warnings(self, *arguments: str, text: str | None = None) -> str:
        """What kubectl warns of, though it does as it is told. Fails the test if it fails."""
        done = self._kubectl(*arguments, text=text)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stderr

    def says(self, *arguments: str) -> str:
        """What kubectl prints, whether it fails or not."""
        return self._kubectl(*arguments).stdout.strip()

    def refused(self, *arguments: str, text: str | None = None, user: str = "admin") -> str:
        """What kubectl complains of. Fails the test if it does not."""
        done = self._kubectl(*arguments, text=text, user=user)
        assert done.returncode != 0, f"kubectl {' '.join(arguments)}: {done.stdout}"
        return done.stderr

    def apply(self, *objects: dict[str, Any], namespace: str = "default") -> None:
        """Creates or changes objects, as `kubectl apply`."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-n", namespace, "-f", "-", text=json.dumps(items))

    def _kubectl(
        self, *arguments: str, text: str | None = None, user: str = "admin"
    ) -> subprocess.CompletedProcess[str]:
        program = FOUND["kubectl"]
        assert program is not None
        return subprocess.run(
            [program, f"--kubeconfig={self.kubeconfig(user)}", f"--cache-dir={self.folder / 'cache'}", *arguments],
            input=text, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 90.0) -> None:
        """Waits for a condition; says what the programs said if it does not come."""
        deadline = time.monotonic() + seconds
        while True:
            ended = [name for name, process in self._processes.items() if process.poll() is not None]
            assert not ended, f"{ended[0]} ended: {self._log(ended[0])}"
            if condition():
                return
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
            time.sleep(0.05)

    def _spawn(self, program: str, *options: str) -> None:
        path = FOUND[program]
        assert path is not None
        with (self.folder / f"{program}.log").open("ab") as log:
            self._processes[program] = subprocess.Popen([path, *options], stdout=log, stderr=log, cwd=self.folder)

    def _end(self, program: str) -> None:
        process = self._processes.pop(program)
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _log(self, program: str) -> str:
        return (self.folder / f"{program}.log").read_text(errors="replace")[-1500:]

    def _write_files(self) -> None:
        authority = trustme.CA(key_type=trustme.KeyType.RSA)
        authority.cert_pem.write_to_path(self.folder / "ca.crt")
        own = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)
        own.private_key_pem.write_to_path(self.folder / "server.key")
        own.private_key_pem.write_to_path(self.folder / "sa.key")
        for blob in own.cert_chain_pems:
            blob.write_to_path(self.folder / "server.crt", append=True)
        rows = [f"token-of-{user},{user},{user}{',system:masters' * (user == 'admin')}" for user in self.users]
        (self.folder / "tokens.csv").write_text("\n".join(rows) + "\n")


def _responds(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False
