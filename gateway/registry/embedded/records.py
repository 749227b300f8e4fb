"""An instance as every list has it, over HTTP and gRPC."""

from __future__ import annotations

from typing import Any

from gateway.registry.embedded.store import Lease


def record(lease: Lease, name: str, has_id: bool = True) -> dict[str, Any]:
    """The JSON of an instance; `name` is its service's, with the group. `has_id`: the v3 API gives none."""
    instance_id = {"instanceId": f"{lease.host}#{lease.port}#{lease.cluster}#{name}"} if has_id else {}
    return {
        **instance_id,
        "ip": lease.host,
        "port": lease.port,
        "weight": lease.weight,
        "healthy": lease.healthy,
        "enabled": lease.enabled,
        "ephemeral": lease.ephemeral,
        "clusterName": lease.cluster,
        "serviceName": name,
        "metadata": lease.metadata,
        "instanceHeartBeatInterval": int(lease.heartbeat * 1000),
        "instanceHeartBeatTimeOut": int(lease.unhealthy_after * 1000),
        "ipDeleteTimeout": int(lease.removed_after * 1000),
        "instanceIdGenerator": "simple",
    }
