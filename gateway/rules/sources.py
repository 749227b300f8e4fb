"""What conditions can look at, an entry each: everything that the program does differently for one source.

A new source is a field of `conditions.Condition` (its name's type, and its reference), a class in `fields` that reads it, an
entry here, and a row in `docs/rules.md`, which a test compares with both. `read` is the naive reading of the same thing, against
which the index is tested.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.http.grammar import field_pattern
from gateway.http.meanings import is_of_proxies
from gateway.rules import fields, forms
from gateway.rules.context import MatchContext
from gateway.rules.examples import RequestParts
from gateway.rules.fields import Claims, Field
from gateway.rules.forms import Part, check_characters
from gateway.rules.pointer import claim_pointer, find_text
from gateway.telemetry.baggage import member


@dataclass(frozen=True, slots=True)
class Source:
    """One thing that conditions look at."""

    field: type[Field]
    """Reads it while matching."""
    read: Callable[[MatchContext, str, Claims], str | None]
    """The naive reading: the value of a name in a request, or None."""
    put: Callable[[RequestParts, str, str], object]
    """Gives a name a value in a request that is made up."""
    is_named: bool = False
    """Whether it is beside the operator, with a name. One without a name takes the operator inside."""
    form: Callable[[str, Part], str] | None = None
    """A rule's text as values have it, raising ValueError for what none can be; None: a value can be any text."""
    check_pattern: Callable[[str, bool], None] | None = None
    """Raises ValueError for a pattern (and whether it ignores case) with a part that no value can match."""
    is_caseless: bool = False
    """Case never matters: values are in one case already."""
    is_respelt: bool = False
    """Whether its form may change a text."""
    is_unescaped: bool = False
    """Whether values are decoded before they are compared."""
    is_always_there: bool = False
    """Whether every request has a value."""
    is_given: bool = False
    """Whether a made-up request has one anyway, so that a wish for none is not looked into."""
    samples: tuple[str, ...] = ("x",)
    """Values that are worth trying; the first one is what others are made of."""


def _header(context: MatchContext, name: bytes) -> str | None:
    pattern = field_pattern(re.escape(name))
    return context.request.told(pattern, name) if is_of_proxies(name) else context.request.header(pattern)


SOURCES: Final[Mapping[str, Source]] = {
    "param": Source(
        fields.ParamField,
        lambda context, name, _: context.request.param(name),
        lambda parts, name, value: parts.query.append((name, value)),
        is_named=True,
        is_unescaped=True,
    ),
    "header": Source(
        fields.HeaderField,
        lambda context, name, _: _header(context, name.lower().encode()),
        lambda parts, name, value: parts.headers.append((name, value)),
        is_named=True,
        form=forms.header,
    ),
    "cookie": Source(
        fields.CookieField,
        lambda context, name, _: context.cookie(name),
        lambda parts, name, value: parts.cookies.append((name, value)),
        is_named=True,
        form=forms.cookie,
    ),
    "baggage": Source(
        fields.BaggageField,
        lambda context, name, _: member(context.request.baggage, name.encode()),
        lambda parts, name, value: parts.baggage.append((name, value)),
        is_named=True,
        is_unescaped=True,
    ),
    "body": Source(
        fields.BodyField,
        lambda context, name, _: None if context.content is None else find_text(context.content, name),
        lambda parts, name, value: parts.put_content(name, value),
        is_named=True,
    ),
    "jwt": Source(
        fields.ClaimField,
        lambda context, name, claims: find_text(claims(context), claim_pointer(name)),
        lambda parts, name, value: parts.put_claim(claim_pointer(name), value),
        is_named=True,
    ),
    "path": Source(
        fields.PathField,
        lambda context, *_: context.request.path,
        lambda parts, _, value: parts.plain.update(path=value),
        form=forms.path,
        check_pattern=forms.path_pattern,
        is_respelt=True,
        is_always_there=True,
        is_given=True,
        samples=("/x",),
    ),
    "method": Source(
        fields.MethodField,
        lambda context, *_: context.request.aim.upper(),
        lambda parts, _, value: parts.plain.update(method=value),
        form=forms.method,
        check_pattern=forms.method_pattern,
        is_caseless=True,
        is_respelt=True,
        is_always_there=True,
        is_given=True,
        samples=("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"),
    ),
    "host": Source(
        fields.HostField,
        lambda context, *_: context.request.host or None,
        lambda parts, _, value: parts.plain.update(host=value),
        form=forms.host,
        check_pattern=forms.host_pattern,
        is_caseless=True,
        is_respelt=True,
        is_given=True,
        samples=("shop.example",),
    ),
    "client_ip": Source(
        fields.ClientField,
        lambda context, *_: context.client_ip or None,
        lambda parts, _, value: parts.around.update(client_ip=value),
        form=forms.address,
        is_given=True,
        samples=("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"),
    ),
    "grpc_service": Source(
        fields.CallServiceField,
        lambda context, *_: context.request.path.split("/")[1] if context.request.call else None,
        lambda parts, _, value: parts.call.update(service=value),
        form=forms.call_name("grpc_service"),
        samples=("shop.Orders",),
    ),
    "grpc_method": Source(
        fields.CallMethodField,
        lambda context, *_: context.request.path.split("/")[2] if context.request.call else None,
        lambda parts, _, value: parts.call.update(method=value),
        form=forms.call_name("grpc_method"),
        samples=("Get",),
    ),
    "service": Source(
        fields.ServiceField,
        lambda context, *_: context.service or None,
        lambda parts, _, value: parts.around.update(service=value),
        form=forms.service("service"),
    ),
    "caller": Source(
        fields.CallerField,
        lambda context, *_: context.caller or None,
        lambda parts, _, value: parts.around.update(caller=value),
        form=forms.service("caller"),
    ),
    "caller_tag": Source(
        fields.CallerTagField,
        lambda context, *_: context.caller_tag or None,
        lambda parts, _, value: parts.around.update(caller_tag=value),
        form=forms.tag,
    ),
}
"""By the key that a condition has. `time`, which has windows instead of operators, is apart."""


def in_form(source: str, text: str, part: Part = "whole") -> str:
    """A rule's text as values of this source have it. Raises ValueError, which says what is accepted."""
    check_characters(text)
    form = SOURCES[source].form
    return text if form is None else form(text, part)


def is_possible(source: str, text: str) -> bool:
    """Whether a value of this source can be what a text says."""
    try:
        in_form(source, text)
    except ValueError:
        return False
    return True


def values_in_form(source: str, values: Iterable[str]) -> frozenset[str]:
    """A segment's values as values of this source have them; what can never be one is left out."""
    if not SOURCES[source].is_respelt:
        return values if isinstance(values, frozenset) else frozenset(values)
    return frozenset([in_form(source, text) for text in values if is_possible(source, text)])
