"""How values are written: addresses, durations, names. What each field accepts, and its error for anything else."""

from __future__ import annotations

import math
import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

from gateway.docstrings import describe_fields
from gateway.tags import is_tag
from gateway.telemetry.linefile import STDOUT
from gateway.telemetry.tracecontext import ID_FIELDS

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)")
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
_HOST = re.compile(r"[0-9A-Za-z._~\-]+|\[[0-9A-Fa-f:.]+\]")
_ALLOWED_HOST = re.compile(r"(\*\.)?[0-9A-Za-z_\-]+(\.[0-9A-Za-z_\-]+)*")
_PORT = re.compile(r"[0-9]{1,5}")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NOT_NORMAL = re.compile(
    r"[\x00-\x20\x7f\\]|%(?![0-9A-F]{2})|%(?:00|2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])|/\.{1,2}(?:;[^/]*)?(?=/|\Z)"
)
_NACOS_NAME = re.compile(r"[0-9A-Za-z._:\-]{1,128}")
_SERVICE = re.compile(r"[0-9A-Za-z@._:\-]{1,255}")
_FRAMING_HEADERS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive"}
)
_RESERVED_HEADERS = _FRAMING_HEADERS | frozenset(
    {
        "cookie",
        "authorization",
        "baggage",
        "traceparent",
        "tracestate",
        "via",
        "proxy-connection",
        "proxy-authorization",
        "http2-settings",
        "content-type",
        "content-encoding",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-real-ip",
        *(f"x-gray-{name}" for name in ("hop", "explain", "fault", "mirror")),
        *(field.name.decode() for field in ID_FIELDS),
    }
)
MAX_DURATION = 7 * 86_400.0
"""Seconds; a longer duration is more likely a typo than intended."""


class Model(BaseModel):
    """Base of the models: unknown keys are problems, values do not change. Each is built when it is first used."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra=describe_fields, defer_build=True, allow_inf_nan=False
    )


class Address(Model):
    """`host:port`; an IPv6 host is in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine reaches it."""
        host = _plain_host(self.host).lower()
        return host in ("localhost", "::1") or re.fullmatch(r"127(\.[0-9]{1,3}){3}", host) is not None

    def meets(self, other: Address) -> bool:
        """Whether two addresses lead to one socket of this machine, or cannot both be listened on."""
        if self.port != other.port or not self.port:
            return False
        hosts = {_plain_host(self.host), _plain_host(other.host)}
        is_any = "0.0.0.0" in hosts and not any(":" in host for host in hosts)
        return len(hosts) == 1 or "::" in hosts or is_any


def _plain_host(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return "127.0.0.1" if text.lower() == "localhost" else text.lower()


def _parse_address(value: Any) -> Any:
    if isinstance(value, Address):
        return value
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not colon or _PORT.fullmatch(port) is None or int(port) > 65535 or _HOST.fullmatch(host) is None:
        found = repr(value) if isinstance(value, str) else "nothing" if value is None else "a value that is not text"
        raise ValueError(f"an address is host:port, the port 0 to 65535; found {found}")
    host = host.strip("[]")
    if not _is_host(host):
        raise ValueError(f"an address is host:port, and '{host}' is neither a name nor an address; found {value!r}")
    return {"host": host, "port": int(port)}


def _is_host(text: str) -> bool:
    """Whether a text is a name, or a valid address if it looks like one: digits and dots, or colons. Names are resolved later."""
    if ":" in text or text.replace(".", "").isdigit():
        try:
            ip_address(text)
        except ValueError:
            return False
    return True


def _check_target(address: Address) -> Address:
    if not address.port:
        raise ValueError(f"port 0 cannot be connected to: 1 to 65535 is accepted; found '{address}'")
    return address


def _check_file(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    if not text.strip() or "\0" in text:
        raise ValueError(f"the name of a file or directory is accepted; found {text!r}")
    return text


def _resolve(text: str, info: ValidationInfo) -> str:
    """The file beside the configuration's, whose folder the context has (`folder`); as it is written if none has one."""
    folder = (info.context or {}).get("folder")
    return text if folder is None else str(folder / text)


def _resolve_log(text: str, info: ValidationInfo) -> str:
    return text if text == STDOUT else _resolve(text, info)


def _resolve_folder(path: Path, info: ValidationInfo) -> Path:
    return Path(_resolve(str(path), info))


def _check_credential(text: str) -> str:
    # It is sent in a header. The usual mistake is a line feed at its end, from the file that it was read from.
    if re.fullmatch(r"[!-~]*", text) is None:
        raise ValueError("a token is printable ASCII without spaces and line feeds")
    return text


def _check_nacos_name(text: str) -> str:
    if _NACOS_NAME.fullmatch(text) is None:
        raise ValueError(f"a name in Nacos is 1 to 128 letters, digits, '.', '_', '-' or ':'; found {text!r}")
    return text


def _check_namespace(text: str) -> str:
    if text:
        _check_nacos_name(text)
    # Nacos itself shows the public namespace by this name, but some versions accept only the empty one.
    return "" if text == "public" else text


def _check_consul_name(text: str) -> str:
    if re.fullmatch(r"[0-9A-Za-z_-]{0,64}", text) is None:
        raise ValueError(f"a name in Consul is up to 64 letters, digits, '_' or '-'; found {text!r}")
    return text


def _check_kubernetes_name(text: str) -> str:
    # RFC 1123 label, as namespaces and services are named.
    if text and re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text) is None:
        raise ValueError(f"a name in Kubernetes is up to 63 lower-case letters, digits or '-'; found {text!r}")
    return text


def _check_kubernetes_object(text: str) -> str:
    # RFC 1123 subdomain, as ConfigMaps are named.
    if len(text) > 253 or re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", text) is None:
        raise ValueError(
            f"an object's name in Kubernetes is 1 to 253 lower-case letters, digits, '-' or '.'; found {text!r}"
        )
    return text


def _check_tag_key(text: str) -> str:
    if re.fullmatch(r"[!-~]{1,128}", text) is None or re.search(r"[0-9A-Za-z]", text) is None:
        raise ValueError(f"a key of metadata is 1 to 128 printable ASCII characters without spaces; found {text!r}")
    return text


def _parse_duration(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError(f"a duration is a number with ms, s, m or h; found {value!r}")
    return float(match[1]) * _UNITS[match[2]]


def _check_tag(text: str) -> str:
    if not is_tag(text):
        raise ValueError("a tag is 1 to 63 letters, digits, '.', '_' or '-', starting with a letter or digit")
    return text


def _check_tag_header(text: str) -> str:
    return _check_free_header(text, "the tag")


def _check_debug_header(text: str) -> str:
    return _check_free_header(text, "the secret")


def header_name(text: str) -> str:
    """A header's name, in lower case."""
    if _TOKEN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a header name")
    return text.lower()


def _check_free_header(text: str, what: str) -> str:
    name = header_name(text)
    if name in _RESERVED_HEADERS:
        raise ValueError(f"header {name!r} has its own meaning and cannot carry {what}")
    return name


def _check_id_field(text: str) -> str:
    names = [field.name.decode("ascii") for field in ID_FIELDS]
    if text.lower() not in names:
        raise ValueError(f"{text!r} is not a field whose ids are understood: {', '.join(names)}")
    return text.lower()


def _check_member(text: str) -> str:
    # W3C Baggage §3.3.1.1: a key is a token, and case counts.
    if _TOKEN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not the key of a baggage member: letters, digits and !#$%&'*+-.^_`|~")
    return text


def _check_logged(text: str) -> str:
    name = header_name(text)
    if name in ("authorization", "proxy-authorization"):
        raise ValueError(f"header {name!r} holds a secret and is never logged")
    return name


def _check_token_header(text: str) -> str:
    name = header_name(text)
    if name in _FRAMING_HEADERS:
        raise ValueError(f"header {name!r} controls how a message is sent and cannot carry a token")
    return name


def _check_cookie(text: str) -> str:
    if _TOKEN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a cookie's name")
    return text


def _check_rule_name(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", text) is None:
        raise ValueError("a name is 1 to 63 letters, digits, '.', '_' or '-', starting with a letter or digit")
    return text


def _check_secret(text: str) -> str:
    # It is compared with what a client sent, which is printable ASCII without spaces.
    if re.fullmatch(r"[!-:<-~]{16,256}", text) is None:
        raise ValueError("a secret is 16 to 256 printable ASCII characters without spaces and semicolons")
    return text


def _check_reply_header(text: str) -> str:
    if header_name(text) in ("content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "trailer"):
        raise ValueError(f"header {text.lower()!r} is set by the gateway itself")
    return text


def _check_value(text: str) -> str:
    if re.fullmatch(r"[\t -~]*", text) is None:
        raise ValueError(f"a header's value is printable ASCII; found {text!r}")
    return text


def _check_parameter(text: str) -> str:
    if not text or not text.isascii() or "&" in text or "=" in text:
        raise ValueError(f"{text!r} is not the name of a query parameter as it is written in a URL")
    return text


def _check_service(text: str) -> str:
    if _SERVICE.fullmatch(text) is None or text in (".", ".."):
        raise ValueError("a service name is 1 to 255 letters, digits, '.', '_', '-', ':' or '@'")
    return text


def _check_host(text: str) -> str:
    if _HOST.fullmatch(text) is None or not _is_host(text.strip("[]")):
        raise ValueError(f"a host is a name or an address, without a port; found {text!r}")
    return text.lower().removesuffix(".")


def _check_advertised(text: str) -> str:
    if not _is_host(text) or re.fullmatch(r"[0-9A-Za-z._:-]+", text) is None:
        raise ValueError(f"a name or an address is accepted, without port and brackets; found {text!r}")
    return text


def check_allowed_host(text: str) -> str:
    """A host name that a listener accepts, in lower case. Raises ValueError for anything else."""
    if _ALLOWED_HOST.fullmatch(text) is None:
        raise ValueError(f"a name, or `*.` and a name for all below it, without a port; found {text!r}")
    return text.lower()


def _check_path(text: str) -> str:
    if not text.startswith("/") or "?" in text or "#" in text or "//" in text or not text.isascii():
        raise ValueError(
            f"a route's path starts with '/' and has no '?', '#', '//' or non-ASCII character; found {text!r}"
        )
    # Paths of requests are compared in their normal form (RFC 3986 §6.2.2): a route in another one would match nothing.
    if _NOT_NORMAL.search(text) is not None:
        raise ValueError(
            "a route's path must be normalized: no white space, backslash or dot segment, escapes in upper case (%2F), and no "
            f"escaped letters, digits or -._~; found {text!r}"
        )
    return text


def _parse_network(value: Any) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(value)
    except ValueError as error:
        raise ValueError(f"an address or network is accepted (10.0.0.0/8, host bits 0); found {value!r}") from error
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped is not None:
        # Clients have their IPv4 address, whatever the listener sees.
        return IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


def _check_weight(value: float) -> float:
    if not math.isfinite(value) or value < 0:
        raise ValueError("a weight is a number from 0 up")
    return value


_TEXT = WithJsonSchema({"type": "string"})
AddressField = Annotated[Address, BeforeValidator(_parse_address), _TEXT]
TargetField = Annotated[Address, BeforeValidator(_parse_address), AfterValidator(_check_target), _TEXT]
"""An address that is connected to."""
Duration = Annotated[float, BeforeValidator(_parse_duration), Field(ge=0, le=MAX_DURATION), _TEXT]
PositiveDuration = Annotated[float, BeforeValidator(_parse_duration), Field(gt=0, le=MAX_DURATION), _TEXT]
Tag = Annotated[str, AfterValidator(_check_tag)]
ServiceName = Annotated[str, AfterValidator(_check_service)]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_parse_network), _TEXT]
Weight = Annotated[float, AfterValidator(_check_weight)]
HeaderName = Annotated[str, AfterValidator(_check_tag_header)]
IdFieldName = Annotated[str, AfterValidator(_check_id_field)]
DebugHeader = Annotated[str, AfterValidator(_check_debug_header)]
BaggageKey = Annotated[str, AfterValidator(_check_member)]
LoggedHeader = Annotated[str, AfterValidator(_check_logged)]
TokenHeader = Annotated[str, AfterValidator(_check_token_header)]
CookieName = Annotated[str, AfterValidator(_check_cookie)]
RuleName = Annotated[str, AfterValidator(_check_rule_name)]
Secret = Annotated[str, AfterValidator(_check_secret)]
ReplyHeader = Annotated[str, AfterValidator(_check_reply_header)]
HeaderValue = Annotated[str, AfterValidator(_check_value)]
Parameter = Annotated[str, AfterValidator(_check_parameter)]
SourceName = Annotated[str, AfterValidator(_check_file)]
"""A file or directory as it is written: what it is called does not depend on where the configuration is."""
FileName = Annotated[SourceName, AfterValidator(_resolve)]
LogFileName = Annotated[SourceName, AfterValidator(_resolve_log)]
FolderPath = Annotated[Path, BeforeValidator(_check_file), AfterValidator(_resolve_folder)]
Credential = Annotated[str, AfterValidator(_check_credential)]
NacosName = Annotated[str, AfterValidator(_check_nacos_name)]
NacosNamespace = Annotated[str, AfterValidator(_check_namespace)]
ConsulName = Annotated[str, AfterValidator(_check_consul_name)]
KubernetesName = Annotated[str, AfterValidator(_check_kubernetes_name)]
KubernetesObjectName = Annotated[str, AfterValidator(_check_kubernetes_object)]
TagKey = Annotated[str, AfterValidator(_check_tag_key)]
AdvertisedHost = Annotated[str, AfterValidator(_check_advertised)]
Host = Annotated[str, AfterValidator(_check_host)]
AllowedHost = Annotated[str, AfterValidator(check_allowed_host)]
RoutePath = Annotated[str, AfterValidator(_check_path)]
