"""What proxies in front say: every form that they are known to write, and what is believed of each."""

from __future__ import annotations

import pytest

from gateway.http.forwarded import (
    FORWARDED_ELEMENTS,
    FORWARDED_FOR,
    FORWARDED_PREFIX,
    FORWARDED_PROTO,
    MAX_NODES,
    Forwarded,
    read_elements,
)


def said(**lines: list[bytes]) -> Forwarded:
    forwarded = Forwarded()
    meanings = {
        "nodes": FORWARDED_FOR,
        "proto": FORWARDED_PROTO,
        "prefix": FORWARDED_PREFIX,
        "elements": FORWARDED_ELEMENTS,
    }
    for name, values in lines.items():
        for value in values:
            forwarded.note(meanings[name], value)
    return forwarded


@pytest.mark.parametrize(
    ("lines", "chain"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"nodes": [b"a, b,c"]}, ["c", " b", "a"], id="the nearest is first"),
        pytest.param({"nodes": [b"a", b"b"]}, ["b", "a"], id="lines are one list"),
        pytest.param({"nodes": [b"a,, ,b,"]}, ["b", "a"], id="empty entries are none"),
        pytest.param({"nodes": [b"a"], "elements": [b"for=b"]}, ["a"], id="X-Forwarded-For goes before Forwarded"),
        pytest.param({"elements": [b'for=a;proto=http, For="[2001:db8::1]:80"']}, ["[2001:db8::1]:80", "a"], id="RFC 7239"),
        pytest.param({"elements": [b"for=a, proto=https"]}, ["", "a"], id="an element without `for` names nobody"),
        pytest.param({"elements": [b'for=a, for="b']}, [], id="of a malformed Forwarded nothing is believed"),
    ],
)  # fmt: skip
def test_the_chain_of_senders(lines: dict[str, list[bytes]], chain: list[str]) -> None:
    assert said(**lines).chain == chain


def test_a_chain_is_looked_at_from_its_near_end() -> None:
    assert said(nodes=[b",".join(b"%d" % number for number in range(100))]).chain == [
        str(number) for number in range(99, 99 - MAX_NODES, -1)
    ]


@pytest.mark.parametrize(
    ("lines", "secure"),
    [
        ({"proto": [b"https"]}, True),
        ({"proto": [b"HTTPS"]}, True),
        ({"proto": [b"https, http"]}, True),
        ({"proto": [b"https", b"http"]}, True),
        ({"proto": [b" wss "]}, True),
        ({"proto": [b"http, https"]}, False),
        ({"proto": [b"http"]}, False),
        ({"proto": [b"httpsx"]}, False),
        ({"elements": [b'for=a;proto="https", for=b;proto=http']}, True),
        ({"elements": [b"for=a;Proto=HTTPS"]}, True),
        ({"proto": [b"http"], "elements": [b"proto=https"]}, False),
    ],
)
def test_the_outermost_scheme_counts(lines: dict[str, list[bytes]], secure: bool) -> None:
    assert said(**lines).is_secure(not secure) is secure


@pytest.mark.parametrize("lines", [{}, {"elements": [b"for=a"]}, {"proto": [b""]}])
def test_where_no_scheme_is_said_the_connections_counts(lines: dict[str, list[bytes]]) -> None:
    assert said(**lines).is_secure(True)
    assert not said(**lines).is_secure(False)


@pytest.mark.parametrize(
    ("lines", "prefix"),
    [
        ([b"/outer"], b"/outer"),
        ([b"/outer/"], b"/outer"),
        ([b"/a, /b/c/"], b"/a/b/c"),
        ([b"/a", b"/b"], b"/a/b"),
        ([b"/"], b""),
        ([b"//evil.example"], b""),
        ([b"/a//b"], b""),
        ([b"/a/../b"], b""),
        ([b"https://evil.example/a"], b""),
        ([b"/a?b"], b""),
        ([b"/a\\b"], b""),
    ],
)
def test_prefixes_are_one_path(lines: list[bytes], prefix: bytes) -> None:
    assert said(prefix=lines).path_prefix == prefix


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        (b"", []),
        (b'For="[2001:db8:cafe::17]:4711"', [{b"for": b"[2001:db8:cafe::17]:4711"}]),
        (b"for=192.0.2.60;proto=http;by=203.0.113.43", [{b"for": b"192.0.2.60", b"proto": b"http", b"by": b"203.0.113.43"}]),
        (b"for=192.0.2.43, for=198.51.100.17", [{b"for": b"192.0.2.43"}, {b"for": b"198.51.100.17"}]),
        (b'for="a,b;c=d";host="x\\"y"', [{b"for": b"a,b;c=d", b"host": b'x"y'}]),
        (b" , for=a ;; by=b ,", [{b"for": b"a", b"by": b"b"}]),
        (b"for=a;for=b", []),
        (b"for = a", []),
        (b'for="a', []),
        (b'for="a"b', []),
        (b"for", []),
        (b"=a", []),
    ],
)  # fmt: skip
def test_elements_of_rfc_7239(value: bytes, elements: list[dict[bytes, bytes]]) -> None:
    assert read_elements(value) == elements
