"""What an instance speaks, by its metadata."""

from __future__ import annotations

import pytest

from gateway.hop import PROTOCOL_KEY, SIDECAR_KEY
from gateway.instance import Instance
from gateway.protocols import AUTO, H2, H2C, HTTP1, is_spoken, read_protocol, with_grpc_port


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, (AUTO, False)),
        ({"version": "1"}, (AUTO, False)),
        ({"protocol": "http"}, (HTTP1, False)),
        ({"protocol": "HTTP/1.1"}, (HTTP1, False)),
        ({"protocol": "h2c"}, (H2C, False)),
        ({"protocol": " gRPC "}, (H2C, False)),
        ({"protocol": "h2"}, (H2, True)),
        ({"protocol": "grpcs"}, (H2, True)),
        ({"protocol": "https"}, (AUTO, True)),
        ({"protocol": "carrier pigeon"}, (AUTO, False)),
        # Spring Cloud
        ({"secure": "true"}, (AUTO, True)),
        ({"secure": "True"}, (AUTO, True)),
        ({"secure": "false"}, (AUTO, False)),
        ({"protocol": "grpc", "secure": "true"}, (H2, True)),
        ({"protocol": "http1", "secure": "true"}, (HTTP1, True)),
        # Dubbo
        ({"protocol": "tri", "dubbo": "2.0.2"}, (H2C, False)),
        ({"dubbo.endpoints": '[{"port":50051,"protocol":"tri"}]'}, (H2C, False)),
        ({"dubbo_endpoints": '[{"port":20880,"protocol":"dubbo"},{"port":50051,"protocol":"tri"}]'}, (H2C, False)),
        ({"dubbo.endpoints": '[{"port":20880,"protocol":"tri"}]'}, (AUTO, False)),
        ({"dubbo.endpoints": "[{"}, (AUTO, False)),
        ({"dubbo.endpoints": '{"port":50051}'}, (AUTO, False)),
        ({"dubbo.endpoints": '[1, {"port":50051,"protocol":3}]'}, (AUTO, False)),
        # Kubernetes
        ({"app-protocol": "kubernetes.io/h2c"}, (H2C, False)),
        ({"app-protocol": "grpc"}, (H2C, False)),
        ({"app-protocol": "kubernetes.io/ws"}, (HTTP1, False)),
        ({"app-protocol": "kubernetes.io/wss"}, (AUTO, True)),
        ({"app-protocol": "https"}, (AUTO, True)),
        ({"app-protocol": "example.com/own"}, (AUTO, False)),
    ],
)
def test_metadata_says_it_in_the_conventions_of_the_ecosystems(
    metadata: dict[str, str], expected: tuple[str, bool]
) -> None:
    instance = Instance("10.0.0.1", 50051, metadata=metadata)
    assert read_protocol(metadata, 50051) == (instance.protocol, instance.is_secure) == expected


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"gRPC_port": "9090"}, "192.0.2.1:9090"),
        ({"gRPC.port": "9090"}, "192.0.2.1:9090"),
        ({"gRPC_port": "9091", "gRPC.port": "9090", "protocol": "http", "secure": "true"}, "192.0.2.1:9091"),
        *[({"gRPC_port": text}, None) for text in ("", "-1", "0", "65536", "8080", "x", "٣", "9" * 5000)],
        ({"gRPC_port": "9090", SIDECAR_KEY: "a"}, None),
        ({}, None),
    ],
)
def test_the_port_for_grpc_may_be_another_one(metadata: dict[str, str], expected: str | None) -> None:
    found = Instance("192.0.2.1", 8080, "gray", metadata=metadata).grpc
    assert (None if found is None else found.address) == expected
    assert found is None or (found.tag, found.protocol, found.is_secure) == ("gray", AUTO, False)


@pytest.mark.parametrize("key", ["gRPC_port", "gRPC.port", "grpc-port", "grpcPort"])
def test_who_looks_for_the_port_for_grpc_of_what_is_behind_a_sidecar_finds_the_sidecars(key: str) -> None:
    """Those who call without a gateway read the metadata themselves, and call past the sidecar else."""
    others = {"port": "1", "grpc_portal": "2", "management.port": "3"}
    assert with_grpc_port({key: "9090", **others}, 20101) == {key: "20101", **others}


@pytest.mark.parametrize(
    ("said", "registered"),
    [("9090", "1"), ("+9090", "1"), (" 9090", "1"), ("x", "1"), ("٣", "1")]
    + [(no, no) for no in ("-1", "0", "", " 00")],
)
def test_no_port_for_grpc_stays_none(said: str, registered: str) -> None:
    assert with_grpc_port({"gRPC_port": said}, 1) == {"gRPC_port": registered}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [({}, HTTP1), ({PROTOCOL_KEY: "h2c"}, H2C), ({PROTOCOL_KEY: "h3"}, HTTP1)],
)
def test_behind_a_sidecar_counts_what_that_says_and_not_what_it_copied_from_its_application(
    metadata: dict[str, str], expected: str
) -> None:
    copied = {"protocol": "grpc", "secure": "true", "app-protocol": "kubernetes.io/wss"}
    assert read_protocol({**copied, SIDECAR_KEY: "b", **metadata}, 80) == (expected, False)


def test_words_that_instances_are_called_with() -> None:
    assert all(is_spoken(word) for word in ("", "http", "kubernetes.io/h2c", "GRPC", "https"))
    assert not is_spoken("mysql")
