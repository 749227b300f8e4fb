"""The parameters of a call: in the query, in a form, or in both, as Nacos' servers take them.

Clients of ten years say the same thing by several names. What a parameter cannot mean is refused: a value read wrongly would
send traffic somewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from gateway.printable import printable
from gateway.registry.embedded.store import Change, Lease, Refused, ServiceKey
from gateway.web.bodies import FORM, check_type, parse_json, read_body
from gateway.web.problems import Rejected, shown
from gateway.web.work import Work

SMALL: Final = 65536
"""Bytes of a form that is about an instance."""
MOST_PARAMETERS: Final = 64
MOST_LISTENED: Final = 3000
"""… and how many: what Nacos' client asks about at a time (ParamUtil.PER_TASK_CONFIG_SIZE)."""
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")
_TRUE: Final = frozenset({"true", "on", "yes", "t", "y"})
_FALSE: Final = frozenset({"false", "off", "no", "f", "n"})


async def read_parameters(request: web.Request, work: Work, limit: int = SMALL) -> dict[str, str]:
    """Query and form together; the form, of `limit` bytes at most, wins. Raises Refused, and Rejected."""
    check_type(request, {FORM})
    content = await read_body(request, limit)
    charset = request.charset or "utf-8"

    def parse(text: bytes) -> list[tuple[str, str]]:
        try:
            return parse_qsl(
                text.decode(charset),
                keep_blank_values=True,
                encoding=charset,
                errors="strict",
                max_num_fields=MOST_PARAMETERS,
            )
        except (ValueError, LookupError) as error:
            raise Refused(f"the form cannot be read: {error}") from error

    return {**request.query, **dict(await work.parse(parse, content) if content else ())}


def required(parameters: Mapping[str, str], name: str) -> str:
    """A parameter that must be there. Raises Refused."""
    value = parameters.get(name, "")
    if not value:
        raise Refused(f"Param '{name}' is required.")
    return value


def service_key(parameters: Mapping[str, str]) -> ServiceKey:
    """The service that a call is about. Raises Refused."""
    return ServiceKey.of(
        parameters.get("namespaceId", ""), parameters.get("groupName", ""), required(parameters, "serviceName")
    )


def config_key(parameters: Mapping[str, str]) -> ServiceKey:
    """The config value that a call is about, by the names of v1 or of v3. Raises Refused."""
    namespace = parameters.get("tenant") or parameters.get("namespaceId", "")
    group = parameters.get("group") or parameters.get("groupName", "")
    return ServiceKey.of(namespace, group, required(parameters, "dataId"))


def address(parameters: Mapping[str, str]) -> tuple[str, int, str]:
    """Host, port and cluster (empty: the default one) of the instance that a call is about. Raises Refused."""
    port = required(parameters, "port")
    if not port.isascii() or not port.isdigit() or len(port) > 5:
        raise Refused(f"port {shown(port)}: a number is accepted")
    return required(parameters, "ip"), int(port), parameters.get("clusterName") or parameters.get("cluster", "")


def lease_of(parameters: Mapping[str, str], known: Lease) -> Lease:
    """The instance that a call describes; what it leaves out is as in `known`. Raises Refused.

    Metadata that is given is put over the known, key by key, as in Nacos since 2.0: who changes a version keeps the tag.
    """
    return Lease(
        known.host,
        known.port,
        known.cluster,
        _number(parameters, "weight", known.weight),
        flag(parameters, "enabled", "enable", default=known.enabled),
        flag(parameters, "healthy", default=known.healthy),
        {**known.metadata, **_metadata(parameters)},
        flag(parameters, "ephemeral", default=known.ephemeral),
        known.owner,
    )


def change_of(parameters: Mapping[str, str]) -> Change:
    """What an operator changes of an instance; what is left out stays. Raises Refused."""
    has_switch = any(parameters.get(name, "").strip() for name in ("enabled", "enable"))
    return Change(
        _number(parameters, "weight", 0.0) if parameters.get("weight", "").strip() else None,
        flag(parameters, "enabled", "enable", default=True) if has_switch else None,
        _metadata(parameters),
    )


def of_beat(parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters with what a heartbeat says of its instance in JSON, where it does. Raises Refused."""
    beat = json_object(parameters.get("beat", ""), "beat")
    said = {
        name: json_text(beat[name], name) for name in ("ip", "port", "weight", "cluster") if beat.get(name) is not None
    }
    if "cluster" in said:
        said["clusterName"] = said.pop("cluster")
    if beat.get("metadata") is not None:
        said["metadata"] = json.dumps(beat["metadata"])
    return {**parameters, **said}


def flag(parameters: Mapping[str, str], *names: str, default: bool) -> bool:
    """A switch by the first of its names that is there, in the words that Nacos knows. Raises Refused."""
    for name in names:
        word = parameters.get(name, "").strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        if word:
            raise Refused(f"{name} {shown(word)}: true or false is accepted")
    return default


def whole(parameters: Mapping[str, str], name: str, default: int, largest: int) -> int:
    """A count, from 1 to `largest`. Raises Refused."""
    text = parameters.get(name) or f"{default}"
    if not text.isascii() or not text.isdigit():
        raise Refused(f"{name} {shown(text)}: a number is accepted")
    return min(largest, max(1, int(text[:9])))


def json_object(text: str, name: str) -> dict[str, Any]:
    """A JSON object; empty where there is none. Raises Refused."""
    if not text:
        return {}
    try:
        value = parse_json(text.encode())
    except Rejected as rejected:
        raise Refused(f"{name} {shown(text)}: a JSON object is accepted ({rejected.detail})") from rejected
    if value is not None and not isinstance(value, dict):
        raise Refused(f"{name} {shown(text)}: a JSON object is accepted")
    return value or {}


def _metadata(parameters: Mapping[str, str]) -> dict[str, str]:
    """What there is to know of an instance; Nacos takes `key=value,key=value`, too. A key that is null is not there."""
    text = parameters.get("metadata", "").strip()
    if text and text[0] not in "{[" and "=" in text:
        pairs = [part.partition("=") for part in text.split(",")]
        if not all(equals for _, equals, _ in pairs):
            raise Refused(f"metadata {shown(text)}: a JSON object is accepted")
        return {key: value for key, _, value in pairs}
    found = json_object(text, "metadata")
    return {key: json_text(value, f"metadata {key}") for key, value in found.items() if value is not None}


def json_text(value: Any, name: str) -> str:
    """A plain JSON value as JSON writes it, a text without its quotes: that is how Nacos' own reader takes it.

    Raises Refused.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        raise Refused(f"{printable(name)}: text is accepted, not {json.dumps(value)[:80]}")
    return json.dumps(value)


def _number(parameters: Mapping[str, str], name: str, default: float) -> float:
    text = parameters.get(name, "").strip()
    if not text:
        return default
    if _NUMBER.fullmatch(text) is None:
        raise Refused(f"{name} {printable(text)}: a number is accepted")
    return float(text)


def listened(text: str) -> list[tuple[str, ServiceKey, str]]:
    """What a long poll asks about: the key as it is answered, the key, and the MD5 that the client has."""
    found: list[tuple[str, ServiceKey, str]] = []
    text = unquote(text)
    if text.count("\x01") > MOST_LISTENED:
        raise Refused(f"Listening-Configs: more than {MOST_LISTENED} config values")
    for line in text.split("\x01"):
        if line:
            parts = line.split("\x02")
            if len(parts) not in (3, 4):
                raise Refused("Listening-Configs: expected dataId%02group%02md5[%02tenant]%01")
            tenant = parts[3] if len(parts) == 4 else ""
            name = "\x02".join((parts[0], parts[1], *([tenant] if tenant else []))) + "\x01"
            found.append((name, ServiceKey.of(tenant, parts[1], parts[0]), parts[2]))
    return found


def is_meant(wanted: str, name: str, is_blurred: bool) -> bool:
    """Whether a name is meant: any is by an empty one; `*` stands for anything in a blurred one."""
    if not wanted:
        return True
    if not is_blurred:
        return wanted == name
    return fnmatchcase(name, wanted.replace("[", "[[]").replace("?", "[?]")) if "*" in wanted else wanted in name
