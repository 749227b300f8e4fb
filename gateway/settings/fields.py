"""How values are written: addresses, durations, names. What a field accepts, and what it says where it does not."""

from __future__ import annotations

import math
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from gateway.routing.instance import is_tag

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)")
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
_HOST = re.compile(r"[0-9A-Za-z._~\-]+|\[[0-9A-Fa-f:.]+\]")
_ALLOWED_HOST = re.compile(r"(\*\.)?[0-9A-Za-z_\-]+(\.[0-9A-Za-z_\-]+)*")
_PORT = re.compile(r"[0-9]{1,5}")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SERVICE = re.compile(r"[0-9A-Za-z@._:\-]{1,255}")
_RESERVED_HEADERS = frozenset(
    {
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "keep-alive",
        "cookie",
        "authorization",
        "baggage",
        "traceparent",
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
        "x-request-id",
        "b3",
        "x-b3-traceid",
        "x-gray-hop",
    }
)
MAX_DURATION = 7 * 86_400.0
"""Seconds; a longer duration is a slip of the pen rather than a wish."""


class Model(BaseModel):
    """Base of the models: unknown keys are problems, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Address(Model):
    """`host:port`; an IPv6 host stands in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _parse_address(value: Any) -> Any:
    if isinstance(value, Address):
        return value
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not colon or _PORT.fullmatch(port) is None or int(port) > 65535 or _HOST.fullmatch(host) is None:
        found = repr(value) if isinstance(value, str) else "nothing" if value is None else "no text"
        raise ValueError(f"an address is host:port, the port 0 to 65535; found {found}")
    return {"host": host.strip("[]"), "port": int(port)}


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


def _check_header(text: str) -> str:
    if _TOKEN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a header name")
    if text.lower() in _RESERVED_HEADERS:
        raise ValueError(f"header {text.lower()!r} has a meaning of its own and cannot carry the tag")
    return text.lower()


def _check_member(text: str) -> str:
    # W3C Baggage §3.3.1.1: a key is a token, and case counts.
    if _TOKEN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not the key of a baggage member: letters, digits and !#$%&'*+-.^_`|~")
    return text


def _check_logged(text: str) -> str:
    if _TOKEN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a header name")
    if text.lower() in ("authorization", "proxy-authorization"):
        raise ValueError(f"header {text.lower()!r} holds a secret and is never logged")
    return text.lower()


def _check_plain_header(text: str) -> str:
    if _TOKEN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a header name")
    return text.lower()


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
    if _TOKEN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a header name")
    if text.lower() in ("content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "trailer"):
        raise ValueError(f"header {text.lower()!r} is written by the gateway itself")
    return text


def _check_value(text: str) -> str:
    if re.fullmatch(r"[\t -~]*", text) is None:
        raise ValueError("a header's value is printable ASCII")
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
    if _HOST.fullmatch(text) is None:
        raise ValueError("a host is a name or an address, without a port")
    return text.lower()


def check_allowed_host(text: str) -> str:
    """A name by which a listener may be called, in lower case. Raises ValueError for what is none."""
    if _ALLOWED_HOST.fullmatch(text) is None:
        raise ValueError(f"a name, or `*.` and a name for all below it, without a port; found {text!r}")
    return text.lower()


def _check_path(text: str) -> str:
    if not text.startswith("/") or "?" in text or "#" in text or "//" in text or not text.isascii():
        raise ValueError("a route's path starts with '/' and has no '?', '#', '//' or non-ASCII character")
    return text


def _parse_network(value: Any) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value)
    except ValueError as error:
        raise ValueError(f"an address or network is accepted (10.0.0.0/8, host bits 0); found {value!r}") from error


def _check_weight(value: float) -> float:
    if not math.isfinite(value) or value < 0:
        raise ValueError("a weight is a number from 0 up")
    return value


_TEXT = WithJsonSchema({"type": "string"})
AddressField = Annotated[Address, BeforeValidator(_parse_address), _TEXT]
Duration = Annotated[float, BeforeValidator(_parse_duration), Field(ge=0, le=MAX_DURATION), _TEXT]
PositiveDuration = Annotated[float, BeforeValidator(_parse_duration), Field(gt=0, le=MAX_DURATION), _TEXT]
Tag = Annotated[str, AfterValidator(_check_tag)]
ServiceName = Annotated[str, AfterValidator(_check_service)]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_parse_network), _TEXT]
Weight = Annotated[float, AfterValidator(_check_weight)]
HeaderName = Annotated[str, AfterValidator(_check_header)]
BaggageKey = Annotated[str, AfterValidator(_check_member)]
LoggedHeader = Annotated[str, AfterValidator(_check_logged)]
DebugHeader = Annotated[str, AfterValidator(_check_plain_header)]
CookieName = Annotated[str, AfterValidator(_check_cookie)]
RuleName = Annotated[str, AfterValidator(_check_rule_name)]
Secret = Annotated[str, AfterValidator(_check_secret)]
ReplyHeader = Annotated[str, AfterValidator(_check_reply_header)]
HeaderValue = Annotated[str, AfterValidator(_check_value)]
Parameter = Annotated[str, AfterValidator(_check_parameter)]
Host = Annotated[str, AfterValidator(_check_host)]
AllowedHost = Annotated[str, AfterValidator(check_allowed_host)]
RoutePath = Annotated[str, AfterValidator(_check_path)]
