"""Where the API server is, and who we are: each form of a kubeconfig, a pod's account, and what is wrong with them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from gateway.errors import ConfigError
from gateway.kubernetes.access import Access, open_access

PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "x"}
CA = trustme.CA(key_type=trustme.KeyType.ECDSA)


def certificate_files(folder: Path) -> tuple[Path, Path]:
    certificate = CA.issue_cert("127.0.0.1")
    paths = folder / "one.crt", folder / "one.key"
    paths[0].write_bytes(CA.cert_pem.bytes())
    issued = certificate.cert_chain_pems[0].bytes()
    (folder / "client.crt").write_bytes(issued)
    certificate.private_key_pem.write_to_path(str(paths[1]))
    return paths


def kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any] | None = None, **context: str) -> str:
    entry = {"cluster": "c", **({} if user is None else {"user": "u"}), **context}
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "main",
                "contexts": [{"name": "other", "context": {"cluster": "x"}}, {"name": "main", "context": entry}],
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [] if user is None else [{"name": "u", "user": user}],
            },
            sort_keys=False,
        )
    )
    return str(path)


async def said(access: Access) -> str:
    return (await access.credentials.headers()).get("Authorization", "")


async def test_a_token(tmp_path: Path) -> None:
    access = open_access(kubeconfig(tmp_path, {"server": "http://127.0.0.1:1/"}, {"token": "t"}, namespace="shop"))
    assert (access.server, access.tls, access.namespace) == ("http://127.0.0.1:1", None, "shop")
    assert await said(access) == "Bearer t"


async def test_a_tokens_file_beside_the_kubeconfig_and_no_namespace(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    access = open_access(kubeconfig(tmp_path, {"server": "http://127.0.0.1:1"}, {"tokenFile": "token"}))
    assert (await said(access), access.namespace) == ("Bearer from-a-file", "default")


async def test_user_and_password(tmp_path: Path) -> None:
    user = {"username": "u", "password": "p"}
    access = open_access(kubeconfig(tmp_path, {"server": "http://127.0.0.1:1"}, user))
    assert await said(access) == "Basic " + base64.b64encode(b"u:p").decode()


async def test_nobody(tmp_path: Path) -> None:
    assert await said(open_access(kubeconfig(tmp_path, {"server": "http://127.0.0.1:1"}))) == ""


async def test_a_plugin(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text('#!/bin/sh\nprintf \'{"kind": "ExecCredential", "status": {"token": "%s-%s"}}\' "$1" "$WHO"\n')
    plugin.chmod(0o755)
    version = "client.authentication.k8s.io/v1"
    user = {
        "exec": {"apiVersion": version, "command": "./plugin", "args": ["a"], "env": [{"name": "WHO", "value": "me"}]}
    }
    access = open_access(kubeconfig(tmp_path, {"server": "http://127.0.0.1:1"}, user))
    assert await said(access) == "Bearer a-me"


async def test_a_plugin_that_wants_to_know_the_cluster(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(
        """#!/usr/bin/env python3
import json, os
cluster = json.loads(os.environ["KUBERNETES_EXEC_INFO"])["spec"]["cluster"]
print(json.dumps({"kind": "ExecCredential", "status": {"token": json.dumps(cluster)}}))
"""
    )
    plugin.chmod(0o755)
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}}
    authority = base64.b64encode(CA.cert_pem.bytes()).decode()
    cluster = {"server": "https://h", "certificate-authority-data": authority, "tls-server-name": "n"}
    user = {"exec": {**PLUGIN, "command": "./plugin", "provideClusterInfo": True}}
    access = open_access(kubeconfig(tmp_path, {**cluster, "extensions": [extension]}, user))
    told = json.loads((await said(access)).removeprefix("Bearer "))
    assert told == {**cluster, "config": {"audience": "a"}}


async def test_a_pods_own_account(tmp_path: Path) -> None:
    authority = certificate_files(tmp_path)[0]
    (tmp_path / "ca.crt").write_bytes(authority.read_bytes())
    (tmp_path / "token").write_text("pod")
    (tmp_path / "namespace").write_text("shop\n")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    access = open_access(None, environ=environ, account=tmp_path)
    assert (access.server, access.namespace, await said(access)) == ("https://[fd00::1]:6443", "shop", "Bearer pod")
    assert access.tls is not None
    assert access.tls.check_hostname


def test_no_pod_and_no_kubeconfig() -> None:
    with pytest.raises(ConfigError, match=r"this is not a pod of a cluster .* name a `kubeconfig`"):
        open_access(None, environ={})


def test_authorities_and_a_clients_certificate_in_the_file(tmp_path: Path) -> None:
    authority, key = certificate_files(tmp_path)
    own = tmp_path / "client.crt"
    data = {path.name: base64.b64encode(path.read_bytes()).decode() for path in (authority, key, own)}
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority-data": data["one.crt"]}
    user = {"client-certificate-data": data["client.crt"], "client-key-data": data["one.key"]}
    access = open_access(kubeconfig(tmp_path, cluster, user))
    assert access.tls is not None
    assert len(access.tls.get_ca_certs()) == 1


def test_unverified(tmp_path: Path) -> None:
    access = open_access(kubeconfig(tmp_path, {"server": "https://127.0.0.1:1", "insecure-skip-tls-verify": True}))
    assert access.tls is not None
    assert not access.tls.check_hostname


@pytest.mark.parametrize(
    ("cluster", "user", "context", "message"),
    [
        ({"server": "10.0.0.1:6443"}, None, "", "server '10.0.0.1:6443' is not a URL"),
        ({}, None, "", "`server` is missing"),
        ({"server": "https://h"}, None, "stage", "there is no context 'stage'"),
        ({"server": "https://h"}, None, "other", "there is no cluster 'x'"),
        ({"server": "https://h", "certificate-authority-data": "!"}, None, "", "this is not base64"),
        ({"server": "https://h", "certificate-authority": "none.pem"}, None, "", "cannot read none.pem: No such file"),
        (
            {"server": "https://h", "proxy-url": "socks5://me:secret@p"},
            None,
            "",
            "the proxy 'socks5://…@p' is not supported: a URL like http://proxy:3128 is",
        ),
        ({"server": "https://h"}, {"token": "t", "as": "boss"}, "", "`as` is not supported"),
        ({"server": "http://h"}, {"exec": {**PLUGIN, "interactiveMode": "Always"}}, "", "always asks a person"),
        ({"server": "http://h"}, {"auth-provider": {}}, "", "use `exec`"),
        ({"server": "http://h"}, {"exec": {"apiVersion": "v1", "command": "x"}}, "", "v1 or v1beta1 is needed"),
        ({"server": "http://h"}, {"exec": {"apiVersion": "v1"}}, "", "`command` is missing"),
        ({"server": "https://h"}, {"client-key-data": "eA=="}, "", "a client certificate and its key belong together"),
    ],
)
def test_what_is_wrong_with_a_kubeconfig(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any] | None, context: str, message: str
) -> None:
    path = kubeconfig(tmp_path, cluster, user)
    with pytest.raises(ConfigError) as error:
        open_access(path, context)
    (problem,) = error.value.problems
    assert message in problem.message, problem
    assert problem.file == path
    assert problem.line > 1
