"""Signed tags: what is signed is read as it was, whatever carried it, and nothing else is."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.http.head_reader import HeadReader
from gateway.routing.carriers import Carriers
from gateway.routing.decision import Decision
from gateway.routing.tagsigner import TagSigner
from tests.support.examples import examples
from tests.support.rules import NOW

KEYS = [b"k" * 32, b"l" * 40]
READER = HeadReader("x-gray-tag", keeps_forwarded=True)
TAGS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)
TERMS = st.from_regex(r"[0-9a-f]{12}", fullmatch=True)


def signer(*keys: bytes) -> TagSigner:
    signer = TagSigner(keys, lambda: NOW, 600.0)
    signer.renews()
    return signer


def read(field: str, value: bytes) -> Decision:
    """What a sidecar makes of a request with this field."""
    carriers = Carriers()
    carriers.sign_with(signer(*KEYS))
    decision = Decision(1)
    carriers.read(READER.read(b"GET / HTTP/1.1\r\nHost: x\r\n%s: %s\r\n\r\n" % (field.encode(), value)), decision)
    return decision


def encode_all(text: str) -> str:
    return "".join(f"%{ord(letter):02x}" for letter in text)


def as_it_is(text: str) -> str:
    return text


def encode_component(text: str) -> str:
    """As JavaScript's encodeURIComponent, which OpenTelemetry for Node uses."""
    return quote(text, safe="!~*'()")


@pytest.mark.parametrize("propagate", [as_it_is, quote_plus, encode_component, encode_all])
@examples(60)
@given(tag=TAGS, terms=TERMS, key=st.sampled_from(KEYS))
def test_what_was_signed_is_read_however_a_propagator_writes_it(
    propagate: object, tag: str, terms: str, key: bytes
) -> None:
    assert callable(propagate)
    value = propagate(signer(key).sign(tag, terms)).encode()
    for field, sent, source in (
        ("x-gray-tag", value, "header"),
        ("baggage", b"a=b;c, x-gray-tag = " + value + b" ;p=q", "baggage"),
    ):
        decision = read(field, sent)
        assert (decision.tag, decision.tag_source, decision.rules) == (tag, source, terms)
        assert (decision.signature, decision.is_rejected) == ("verified", False)


def test_propagators_that_encode_leave_it_as_it_is() -> None:
    """Letters, digits, `_`, `-` and `.` are unreserved everywhere."""
    text = signer(*KEYS).sign("v1.2_x-y", "4f2a90c81b7e")
    assert quote_plus(text) == encode_component(text) == text


@examples(100)
@given(tag=TAGS, terms=TERMS, data=st.data())
def test_whatever_is_changed_it_is_dropped(tag: str, terms: str, data: st.DataObject) -> None:
    """A letter replaced, left out, or put in, anywhere; the tag, the terms or the expiry of another."""
    text = signer(*KEYS).sign(tag, terms)
    place = data.draw(st.integers(3, len(text)))
    letter = data.draw(st.sampled_from("abcXYZ019._-"))
    dropped = data.draw(st.integers(0, 1))
    changed = text[:place] + letter + text[place + dropped :]
    assume(changed != text)
    for field, sent in (("x-gray-tag", changed), ("baggage", f"x-gray-tag={changed}")):
        decision = read(field, sent.encode())
        assert (decision.tag, decision.tag_source) == ("base", "none")
        assert (decision.signature, decision.is_rejected) == ("forged", True)


@examples(100)
@given(tag=TAGS, terms=TERMS, key=st.binary(min_size=32, max_size=64))
def test_what_another_key_signed_is_dropped(tag: str, terms: str, key: bytes) -> None:
    assume(key not in KEYS)
    decision = read("x-gray-tag", signer(key).sign(tag, terms).encode())
    assert (decision.tag, decision.signature, decision.is_rejected) == ("base", "forged", True)
