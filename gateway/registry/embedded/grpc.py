"""The embedded registry over gRPC, as Nacos' clients since 2.0 speak it: one store with HTTP, and changes are pushed.

What is registered over a connection goes with it. Left out: fuzzy watches, locks, and config values for some clients only
(beta, tags), which are refused by name. Clients are told that abilities are not negotiated, and do without.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from gateway.registry.embedded.parameters import address, json_text, lease_of
from gateway.registry.embedded.records import record
from gateway.registry.embedded.store import Conflict, Lease, Refused, ServiceKey, Store
from gateway.registry.embedded.users import READ_ONLY, Users
from gateway.registry.nacos import messages
from gateway.registry.nacos.connected import Connected, Refusal, keep
from gateway.registry.nacos.messages import JSON, succeeded

_BAD: Final = 400
MAX_KINDS: Final = 16
"""Subscriptions of a connection to one service, for different clusters, which …"""
MAX_CLUSTERS_TEXT: Final = 1024
"""… are named in so many characters: each is a list of its own to push."""
Handler = Callable[[Connected, JSON], JSON]


class GrpcBackend:
    """See `connected.Backend`. `is_warming`, `saved`, `clock` and `users` are as `Api` has them."""

    def __init__(
        self,
        store: Store,
        is_warming: Callable[[], bool],
        saved: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
        users: Users | None = None,
    ) -> None:
        self._users = users
        self._store = store
        self._is_warming = is_warming
        self._saved = saved
        self._clock = clock
        self._subscribers: dict[ServiceKey, dict[Connected, set[str]]] = {}
        self._listeners: dict[ServiceKey, set[Connected]] = {}
        self._stamp = 0
        self._handlers: Mapping[str, Handler] = {
            "InstanceRequest": self._instance,
            "PersistentInstanceRequest": self._persistent_instance,
            "BatchInstanceRequest": self._batch,
            "SubscribeServiceRequest": self._subscribe,
            "ServiceQueryRequest": self._query,
            "ServiceListRequest": self._services,
            "ConfigQueryRequest": self._config,
            "ConfigPublishRequest": self._publish,
            "ConfigRemoveRequest": self._remove,
            "ConfigBatchListenRequest": self._listen,
        }

    # --- connected.Backend

    async def respond(self, connection: Connected, request: str, body: JSON, headers: Mapping[str, str]) -> JSON:
        """See Backend."""
        if self._users is not None:
            may = self._users.may(headers.get("accessToken", ""), messages.BY_REQUEST[request].changes)
            if not may:
                reason = "log in: the token is unknown or expired" if may is None else READ_ONLY
                raise Refusal(messages.NO_RIGHT, reason)
        try:
            response = self._handlers[request](connection, body)
        except Conflict as error:
            raise Refusal(messages.CONFLICT, str(error)) from error
        except Refused as error:
            raise Refusal(_BAD, str(error)) from error
        if messages.BY_REQUEST[request].module == messages.CONFIG and messages.BY_REQUEST[request].changes:
            await self._saved()
        return response

    def compose(self, connection: Connected, request: str, key: Any) -> JSON | None:
        """See Backend."""
        if request == "ConfigChangeNotifyRequest":
            tenant = connection.listened.get(key)
            return None if tenant is None else {"dataId": key.name, "group": key.group, "tenant": tenant}
        service, clusters = key
        if clusters not in connection.subscriptions.get(service, ()) or self._is_warming():
            return None
        named = {"namespace": service.namespace, "groupName": service.group, "serviceName": service.name}
        return {**named, "serviceInfo": self._info(service, clusters)}

    def closed(self, connection: Connected) -> None:
        """See Backend. What was registered over the connection is gone with it, unless it has come back over another one."""
        for key in list(connection.subscriptions):
            self._unsubscribe(connection, key)
        for key in list(connection.listened):
            self._stop_listening(connection, key)
        for key, host, port, cluster in connection.registered:
            lease = self._store.instance(key, host, port, cluster)
            if lease is not None and lease.owner == connection.id:
                self._store.deregister(key, host, port, cluster)

    # --- what changes

    def service_changed(self, key: ServiceKey) -> None:
        """Tells those who subscribe to a service."""
        for connection, kinds in self._subscribers.get(key, {}).items():
            for clusters in kinds:
                connection.notify("NotifySubscriberRequest", (key, clusters))

    def config_changed(self, key: ServiceKey) -> None:
        """Tells those who listen for a config value."""
        for connection in self._listeners.get(key, ()):
            connection.notify("ConfigChangeNotifyRequest", key)

    def warmed_up(self) -> None:
        """Tells everybody what was held back while instances were still missing."""
        for key in self._subscribers:
            self.service_changed(key)

    # --- instances

    def _instance(self, connection: Connected, body: JSON) -> JSON:
        return self._one(connection, body, connection.id)

    def _persistent_instance(self, connection: Connected, body: JSON) -> JSON:
        return self._one(connection, body, "")

    def _one(self, connection: Connected, body: JSON, owner: str) -> JSON:
        key = service_key(body)
        parameters = _parameters(body.get("instance"))
        kind = body.get("type")
        if kind == messages.REGISTER:
            self._register(connection, key, parameters, owner)
        elif kind == messages.DEREGISTER:
            place = _place(key, parameters)
            connection.registered.discard(place)
            self._store.deregister(*place)
        else:
            raise Refused(f"type {kind!r:.80}: {messages.REGISTER} or {messages.DEREGISTER} is accepted")
        return succeeded(type=kind)

    def _batch(self, connection: Connected, body: JSON) -> JSON:
        """All that a client has of a service, instead of what it had over this connection."""
        key, kind = service_key(body), body.get("type")
        given = body.get("instances")
        if not isinstance(given, list) or kind not in (messages.BATCH_REGISTER, messages.BATCH_DEREGISTER):
            raise Refused(f"type {messages.BATCH_REGISTER} with a list of instances is accepted")
        described = [_parameters(item) for item in given]
        places = {_place(key, parameters) for parameters in described}
        if kind == messages.BATCH_DEREGISTER:
            leaving = places
        else:
            for parameters in described:
                self._register(connection, key, parameters, connection.id)
            leaving = {place for place in connection.registered if place[0] == key} - places
        for place in leaving:
            connection.registered.discard(place)
            self._store.deregister(*place)
        return succeeded(type=kind)

    def _register(self, connection: Connected, key: ServiceKey, parameters: Mapping[str, str], owner: str) -> None:
        place = _place(key, parameters)
        _, host, port, cluster = place
        lease = lease_of(parameters, Lease(host, port, cluster, ephemeral=bool(owner)))
        lease.owner = owner
        if owner:
            keep(connection.registered, place)
        self._store.register(key, lease, self._clock())

    def _subscribe(self, connection: Connected, body: JSON) -> JSON:
        key, clusters = service_key(body), _text(body, "clusters")
        if body.get("subscribe") is False:
            self._unsubscribe(connection, key, clusters)
            return succeeded(serviceInfo=messages.service_info(key.group, key.name, (), changed_at=self._now()))
        self._check_warm()
        if key not in connection.subscriptions:
            keep(connection.subscriptions, key, set())
        kinds = connection.subscriptions[key]
        if len(clusters) > MAX_CLUSTERS_TEXT or (clusters not in kinds and len(kinds) >= MAX_KINDS):
            raise Refused(
                f"clusters: {MAX_KINDS} different ones for a service are accepted, of {MAX_CLUSTERS_TEXT} characters each"
            )
        kinds.add(clusters)
        self._subscribers.setdefault(key, {})[connection] = connection.subscriptions[key]
        return succeeded(serviceInfo=self._info(key, clusters))

    def _unsubscribe(self, connection: Connected, key: ServiceKey, clusters: str | None = None) -> None:
        kinds = connection.subscriptions.get(key, set())
        kinds.discard(clusters)
        if kinds and clusters is not None:
            return
        connection.subscriptions.pop(key, None)
        subscribers = self._subscribers.get(key, {})
        subscribers.pop(connection, None)
        if not subscribers:
            self._subscribers.pop(key, None)

    def _query(self, _: Connected, body: JSON) -> JSON:
        self._check_warm()
        healthy_only = body.get("healthyOnly", body.get("healthOnly")) is True
        return succeeded(serviceInfo=self._info(service_key(body), _text(body, "cluster"), healthy_only))

    def _services(self, _: Connected, body: JSON) -> JSON:
        self._check_warm()
        names = self._store.service_names(_text(body, "namespace"), _text(body, "groupName"))
        number, size = _whole(body, "pageNo", 1, 1_000_000), _whole(body, "pageSize", 100, 10_000)
        return succeeded(count=len(names), serviceNames=names[(number - 1) * size : number * size])

    def _info(self, key: ServiceKey, clusters: str, healthy_only: bool = False) -> JSON:
        name = messages.service_name(key.group, key.name)
        wanted = frozenset(cluster for cluster in clusters.split(",") if cluster)
        hosts = [
            record(lease, name)
            for lease in self._store.instances(key, wanted)
            if lease.enabled and (lease.healthy or not healthy_only)
        ]
        return messages.service_info(key.group, key.name, hosts, changed_at=self._now(), clusters=clusters)

    def _now(self) -> int:
        """Milliseconds, and later than all before: clients take no list for news that is as old as theirs."""
        self._stamp = max(int(time.time() * 1000), self._stamp + 1)
        return self._stamp

    def _check_warm(self) -> None:
        if self._is_warming():
            raise Refusal(messages.STARTING, "server is STARTING now, please try again later!")

    # --- config

    def _config(self, _: Connected, body: JSON) -> JSON:
        if _text(body, "tag"):
            raise Refused("tag: config values are for all clients here")
        config = self._store.config(config_key(body))
        if config is None:
            raise Refusal(messages.NOT_FOUND, "config data not exist")
        return succeeded(
            content=config.content,
            md5=config.md5,
            contentType=config.kind,
            encryptedDataKey="",
            isBeta=False,
            lastModified=0,
        )

    def _publish(self, _: Connected, body: JSON) -> JSON:
        more = body.get("additionMap") or {}
        if not isinstance(more, dict):
            raise Refused("additionMap: an object is accepted")
        for name in ("betaIps", "tag", "grayName", "encryptedDataKey"):
            if more.get(name):
                raise Refused(f"{name}: config values are for all clients here, and as they are")
        content = _text(body, "content")
        self._store.publish(config_key(body), content, _text(more, "type") or "text", _text(body, "casMd5") or None)
        return succeeded()

    def _remove(self, _: Connected, body: JSON) -> JSON:
        self._store.remove_config(config_key(body))
        return succeeded()

    def _listen(self, connection: Connected, body: JSON) -> JSON:
        """Says which of the values are other ones by now, and tells of those that become so from now on."""
        contexts = body.get("configListenContexts")
        if not isinstance(contexts, list) or not all(isinstance(context, dict) for context in contexts):
            raise Refused("configListenContexts: a list of objects is accepted")
        changed = []
        for context in contexts:
            key, tenant = config_key(context), _text(context, "tenant")
            if body.get("listen") is False:
                self._stop_listening(connection, key)
                continue
            keep(connection.listened, key, tenant)
            self._listeners.setdefault(key, set()).add(connection)
            config = self._store.config(key)
            if (config.md5 if config is not None else "") != _text(context, "md5"):
                changed.append({"dataId": key.name, "group": key.group, "tenant": tenant})
        return succeeded(changedConfigs=changed)

    def _stop_listening(self, connection: Connected, key: Any) -> None:
        connection.listened.pop(key, None)
        listeners = self._listeners.get(key, set())
        listeners.discard(connection)
        if not listeners:
            self._listeners.pop(key, None)


def service_key(body: Mapping[str, Any]) -> ServiceKey:
    """The service that a request is about. Raises Refused."""
    return ServiceKey.of(_text(body, "namespace"), _text(body, "groupName"), _needed(body, "serviceName"))


def config_key(body: Mapping[str, Any]) -> ServiceKey:
    """The config value that a request is about. Raises Refused."""
    return ServiceKey.of(_text(body, "tenant"), _text(body, "group"), _needed(body, "dataId"))


def _place(key: ServiceKey, parameters: Mapping[str, str]) -> tuple[ServiceKey, str, int, str]:
    host, port, cluster = address(parameters)
    return key, host, port, cluster or "DEFAULT"


def _parameters(instance: Any) -> dict[str, str]:
    """An instance in JSON by the names and in the words that it has over HTTP; what is null is not there. Raises Refused."""
    if not isinstance(instance, dict):
        raise Refused("instance: an object is accepted")
    said = {
        name: json_text(value, name) for name, value in instance.items() if value is not None and name != "metadata"
    }
    if instance.get("metadata") is not None:
        said["metadata"] = json.dumps(instance["metadata"])
    return said


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refused(f"{name}: text is accepted")
    return value


def _needed(body: Mapping[str, Any], name: str) -> str:
    value = _text(body, name)
    if not value:
        raise Refused(f"Param '{name}' is required.")
    return value


def _whole(body: Mapping[str, Any], name: str, default: int, largest: int) -> int:
    value = body.get(name) or default
    if not isinstance(value, int):
        raise Refused(f"{name}: a number is accepted")
    return min(largest, max(1, value))
