"""Servers that the tests of this folder share: a Kubernetes control plane, and a Java Nacos."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.support.javanacos import JavaNacos
from tests.support.kubernetes import Cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), users=("gateway",))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    name = f"shop-{uuid4().hex[:6]}"
    cluster.kubectl("create", "namespace", name)
    return name


@pytest.fixture(scope="session")
def java_nacos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JavaNacos]:
    server = JavaNacos(tmp_path_factory.mktemp("nacos"))
    try:
        server.wait_up()
        yield server
    finally:
        server.kill()
