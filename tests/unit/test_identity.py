"""Who a certificate says its holder is, and which names look like a pattern."""

from __future__ import annotations

import pytest

from gateway.identity import IdentityPattern, first_match, identities, whole_domain

SPIFFE = "spiffe://mesh.example/ns/*/sa/{service}"


@pytest.mark.parametrize(
    ("pattern", "service", "identity", "matches"),
    [
        (SPIFFE, "b", "spiffe://mesh.example/ns/shop/sa/b", True),
        (SPIFFE, "b", "spiffe://mesh.example/ns/shop/sa/bb", False),
        (SPIFFE, "b", "spiffe://mesh.example/ns/shop/x/sa/b", False),
        (SPIFFE, "b", "spiffe://mesh.example.evil/ns/shop/sa/b", False),
        (SPIFFE, "b", "spiffe://mesh-example/ns/shop/sa/b", False),
        (SPIFFE, "b", "SPIFFE://mesh.example/ns/shop/sa/b", False),
        (SPIFFE, "B", "spiffe://mesh.example/ns/shop/sa/b", False),
        (SPIFFE, ".*", "spiffe://mesh.example/ns/shop/sa/b", False),
        (SPIFFE, "*", "spiffe://mesh.example/ns/shop/sa/b", False),
        ("spiffe://mesh.example/**", "", "spiffe://mesh.example/ns/shop/sa/b", True),
        ("spiffe://mesh.example/**", "", "spiffe://mesh.example/a\r\nb", False),
        ("{service}.mesh.example", "Orders", "orders.mesh.example", True),
        ("{service}.mesh.example", "orders", "ORDERS.mesh.example", True),
        ("*.mesh.example", "", "a.b.mesh.example", False),
        ("**.mesh.example", "", "a.b.mesh.example", True),
        ("**", "", "spiffe://mesh.example/a", False),
        ("**", "", 'a";Subject="', False),
    ],
)
def test_a_pattern_holds_for_whole_names_and_the_service_s_name_is_taken_as_it_is(
    pattern: str, service: str, identity: str, matches: bool
) -> None:
    assert IdentityPattern(pattern, service).matches(identity) is matches


@pytest.mark.parametrize(
    "text", ["", "spiffe://", "spiffe://Mesh/x", "https://mesh.example/x", "a b", "a..b", "{name}.x", "spiffe://m/{x}"]
)
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither a SPIFFE ID"):
        IdentityPattern(text)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([("DNS", "b.example"), ("URI", "spiffe://m/b")], ("spiffe://m/b", "b.example")),
        ([("URI", "spiffe://m/b"), ("URI", "spiffe://m/c")], ()),
        ([("URI", "spiffe://m/b"), ("URI", "https://b.example")], ()),
        ([("URI", "https://b.example"), ("IP Address", "127.0.0.1")], ()),
        ([("DNS", "spiffe://m/b")], ()),
        ([], ()),
    ],
)
def test_a_certificate_has_one_spiffe_id_or_nobody_s(names: list[tuple[str, str]], found: tuple[str, ...]) -> None:
    assert identities({"subjectAltName": tuple(names)}) == found


def test_without_a_certificate_there_is_nobody() -> None:
    assert identities(None) == ()


def test_the_trust_domain_of_a_pattern_is_everybody_in_it() -> None:
    assert whole_domain(SPIFFE) == "spiffe://mesh.example/**"
    assert whole_domain("{service}.mesh.example") == "**.mesh.example"
    patterns = [IdentityPattern(whole_domain(SPIFFE))]
    assert first_match(patterns, ("b.example", "spiffe://mesh.example/gateway")) == "spiffe://mesh.example/gateway"
    assert first_match(patterns, ("b.example", "spiffe://other.example/gateway")) == ""
