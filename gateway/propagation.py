"""Carries a tag through message queues, in Python: from the headers of a message to the calls and messages that follow from it.

No proxy sees inside a broker's protocol, so producers and consumers do here what sidecars do for HTTP. Only the standard library
is needed, not what the gateway itself depends on.

    carriers = Propagator()
    with carriers.carrying(message.headers()) as tag:       # a consumer
        requests.get(url, headers=carriers.fields())        # its calls
        producer.send(topic, value, headers=carriers.pairs())  # its messages
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from gateway.signedtag import read_signed
from gateway.tags import BASE, is_tag
from gateway.telemetry.baggage import member, without_members

TRACE: Final[tuple[str, ...]] = ("traceparent", "tracestate")
BAGGAGE: Final[str] = "baggage"
MAX_VALUE: Final = 8192
"""Characters of a value that is carried on: the bound of W3C Baggage (§3.3.2)."""
Headers = Mapping[str, object] | Iterable[tuple[str, object]]
"""Of a message: a mapping, or pairs as Kafka has them. Values are text or bytes; others are ignored."""

_NOTHING: Final[Mapping[str, str]] = {}


class Propagator:
    """Reads and writes the carriers. `header` and `baggage` are named as in the `carriers` of gateways and sidecars.

    What is carried is kept for the current context (`contextvars`): for the current thread or task, and for tasks that it starts.
    Threads of a pool do not inherit it: run `contextvars.copy_context().run` there.
    """

    def __init__(self, header: str = "x-gray-tag", baggage: str = "x-gray-tag") -> None:
        self._header = header.lower()
        self._member = baggage.encode()
        self._carried: ContextVar[tuple[str, Mapping[str, str]]] = ContextVar("carried", default=(BASE, _NOTHING))

    def extract(self, headers: Headers | None) -> str:
        """The tag in the headers of a message: from the tag header, or else from `baggage`; `base` if there is none."""
        return self._read(headers)[0]

    @contextmanager
    def carrying(self, headers: Headers | None) -> Iterator[str]:
        """Meanwhile, `tag`, `fields` and `pairs` are those of the message. Gives its tag."""
        found = self._read(headers)
        token = self._carried.set(found)
        try:
            yield found[0]
        finally:
            self._carried.reset(token)

    @property
    def tag(self) -> str:
        """The tag of the current context; `base` if it has none."""
        return self._carried.get()[0]

    def fields(self) -> dict[str, str]:
        """What a call or message of the current context has to carry, by name; all of them are optional."""
        return dict(self._carried.get()[1])

    def pairs(self) -> list[tuple[str, bytes]]:
        """The same as Kafka takes it."""
        return [(name, value.encode()) for name, value in self.fields().items()]

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """Adds these fields to headers. A `traceparent` that an agent has put there stays, with its `tracestate`."""
        spelled = {name.lower(): name for name in headers}
        has_trace = TRACE[0] in spelled
        for name in (self._header, BAGGAGE):
            if name in spelled:
                del headers[spelled[name]]
        headers.update({name: value for name, value in self.fields().items() if not (has_trace and name in TRACE)})

    def _read(self, headers: Headers | None) -> tuple[str, Mapping[str, str]]:
        given = _texts(headers or _NOTHING)
        baggage = [given[BAGGAGE].encode()] if BAGGAGE in given else []
        value = given.get(self._header, "")
        tag = _tag_of(value)
        if tag == BASE and value != BASE:
            value = member(baggage, self._member) or ""
            tag = _tag_of(value)
        carried = {name: given[name] for name in TRACE if name in given and TRACE[0] in given}
        rest = without_members(baggage, (self._member,)).decode()
        if tag != BASE:
            carried[self._header] = value
            own = f"{self._member.decode()}={value}"
            rest = f"{rest},{own}" if rest else own
        if rest:
            carried[BAGGAGE] = rest
        return tag, carried


def _tag_of(value: str) -> str:
    """The tag that a carrier's value says; `base` if it is none. A signed one is verified by the gateways and sidecars."""
    claim = read_signed(value)
    if claim is not None:
        return claim.tag
    return value if is_tag(value) else BASE


def takes(tag: str, own: str, served: Collection[str] = ()) -> bool:
    """Whether a consumer with the tag `own` takes a message with `tag`. `served` are the tags that have consumers of their own.

    The baseline takes what has no tag, and the messages of lanes that have no consumer; a lane's consumer takes its own alone.
    """
    return tag == own or (own == BASE and tag not in served)


def _texts(headers: Headers) -> dict[str, str]:
    """The values by lower-case name, the last one if a name is repeated; without what cannot be in a header field."""
    found: dict[str, str] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else value
        if (
            isinstance(name, str)
            and isinstance(text, str)
            and len(text) <= MAX_VALUE
            and text.isascii()
            and text.isprintable()
        ):
            found[name.lower()] = text
    return found
