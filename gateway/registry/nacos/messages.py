"""What Nacos' gRPC protocol says: which request has which response, and the JSON of both. For servers and clients.

Names and shapes are those of alibaba/nacos `api/…/remote/{request,response}` (2.x and 3.x), as its clients in Java, Go and
Python send and expect them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import RegistryError

INTERNAL: Final = "internal"
NAMING: Final = "naming"
CONFIG: Final = "config"


@dataclass(frozen=True, slots=True)
class Call:
    """A request and its response. `changes`: who may only read is refused. `pushed`: the server asks, on the stream."""

    request: str
    response: str
    module: str
    changes: bool = False
    pushed: bool = False


CALLS: Final = (
    # The connection. What is asked before it is set up, and who may ask it, needs no log-in.
    Call("ServerCheckRequest", "ServerCheckResponse", INTERNAL),
    Call("ConnectionSetupRequest", "", INTERNAL),
    Call("HealthCheckRequest", "HealthCheckResponse", INTERNAL),
    Call("SetupAckRequest", "SetupAckResponse", INTERNAL, pushed=True),
    Call("ClientDetectionRequest", "ClientDetectionResponse", INTERNAL, pushed=True),
    Call("ConnectResetRequest", "ConnectResetResponse", INTERNAL, pushed=True),
    # Instances and services.
    Call("InstanceRequest", "InstanceResponse", NAMING, changes=True),
    Call("PersistentInstanceRequest", "InstanceResponse", NAMING, changes=True),
    Call("BatchInstanceRequest", "BatchInstanceResponse", NAMING, changes=True),
    Call("SubscribeServiceRequest", "SubscribeServiceResponse", NAMING),
    Call("ServiceQueryRequest", "QueryServiceResponse", NAMING),
    Call("ServiceListRequest", "ServiceListResponse", NAMING),
    Call("NotifySubscriberRequest", "NotifySubscriberResponse", NAMING, pushed=True),
    # Config values.
    Call("ConfigQueryRequest", "ConfigQueryResponse", CONFIG),
    Call("ConfigPublishRequest", "ConfigPublishResponse", CONFIG, changes=True),
    Call("ConfigRemoveRequest", "ConfigRemoveResponse", CONFIG, changes=True),
    Call("ConfigBatchListenRequest", "ConfigChangeBatchListenResponse", CONFIG),
    Call("ConfigChangeNotifyRequest", "ConfigChangeNotifyResponse", CONFIG, pushed=True),
)
BY_REQUEST: Final[Mapping[str, Call]] = {call.request: call for call in CALLS}
ACKNOWLEDGEMENTS: Final = frozenset(call.response for call in CALLS if call.pushed)
"""What a client says on the stream to what a server asks there."""

SUCCESS: Final = 200
FAILURE: Final = 500
"""`resultCode`."""
NO_RIGHT: Final = 403
NOT_FOUND: Final = 300
"""`errorCode` of a config value that is not there …"""
CONFLICT: Final = 102
"""… of one that is another one by now (`casMd5`) …"""
UNREGISTERED: Final = 301
"""… of a request on a connection that is not set up, after which a client sets up a new one …"""
NO_HANDLER: Final = 302
"""… and of one that nobody here knows."""
STARTING: Final = 503
REGISTER: Final = "registerInstance"
DEREGISTER: Final = "deregisterInstance"
BATCH_REGISTER: Final = "batchRegisterInstance"
BATCH_DEREGISTER: Final = "batchDeregisterInstance"

JSON = dict[str, Any]


def succeeded(request_id: str = "", **fields: Any) -> JSON:
    """A response that says yes."""
    said = {"requestId": request_id} if request_id else {}
    return {"resultCode": SUCCESS, "errorCode": 0, "success": True, **said, **fields}


def failed(code: int, message: str, request_id: str = "") -> JSON:
    """A response that says why not."""
    said = {"requestId": request_id} if request_id else {}
    return {"resultCode": FAILURE, "errorCode": code, "success": False, "message": message, **said}


def has_succeeded(response: Mapping[str, Any]) -> bool:
    """Whether a response says yes."""
    return response.get("resultCode") == SUCCESS


def service_name(group: str, name: str) -> str:
    """A service with its group, as instances have it: `GROUP@@name`."""
    return f"{group}@@{name}"


def service_info(
    group: str, name: str, hosts: Iterable[JSON], *, changed_at: int, clusters: str = "", full_name: bool = False
) -> JSON:
    """A service's instances, as lists over HTTP v1 have them, and subscriptions.

    `changed_at` is in milliseconds: clients take no list that is older than theirs. `full_name`: `name` is `GROUP@@name`, as
    over HTTP; over gRPC clients put the two together themselves.
    """
    return {
        "name": service_name(group, name) if full_name else name,
        "groupName": group,
        "clusters": clusters,
        "cacheMillis": 10000,
        "hosts": list(hosts),
        "lastRefTime": changed_at,
        "checksum": "",
        "allIps": False,
        "allIPs": False,
        "reachProtectionThreshold": False,
        "valid": True,
    }


class ResponseError(RegistryError):
    """A response that says no; `code` is its `errorCode`."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        reason = {NO_RIGHT: "auth", 401: "auth", STARTING: "warming"}.get(code)
        if reason is None:
            reason = "unreachable" if code == UNREGISTERED else "bad_response"
        super().__init__(reason, message)
