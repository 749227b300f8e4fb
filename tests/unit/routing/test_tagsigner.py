"""The signed tag: what it says, for how long, and whose it is."""

from __future__ import annotations

import re

import pytest

from gateway.routing.tagsigner import TagSigner
from gateway.signedtag import Claim, is_signed, read_signed
from tests.support.rules import NOW

OLD, NEW, FOREIGN = b"o" * 32, b"n" * 32, b"f" * 32
TERMS = "4f2a90c81b7e"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def signed(*keys: bytes, tag: str = "gray", clock: Clock | None = None) -> str:
    signer = TagSigner(keys, clock or Clock(), 600.0)
    assert signer.renews()
    return signer.sign(tag, TERMS)


def said(claim: Claim | None) -> tuple[str, str, float] | None:
    return None if claim is None else (claim.tag, claim.terms, claim.expires)


def test_what_is_signed_is_read_by_those_who_have_the_key() -> None:
    text = signed(OLD)
    assert re.fullmatch(r"_1\.gray\.4f2a90c81b7e\.[0-9a-f]{8}\.[A-Za-z0-9_-]{22}", text)
    assert said(TagSigner([OLD], Clock(), 1.0).verify(text)) == ("gray", TERMS, NOW + 750)
    assert TagSigner([FOREIGN], Clock(), 1.0).verify(text) is None


def test_the_first_key_signs_and_two_are_accepted() -> None:
    """So a key can be replaced: first everybody accepts the new one, then signs with it, then forgets the old one."""
    before, both, after = [OLD, NEW], [NEW, OLD], [NEW]
    for signing in (before, both):
        for accepting in (before, both):
            assert TagSigner(accepting, Clock(), 1.0).verify(signed(*signing)) is not None
    assert TagSigner(after, Clock(), 1.0).verify(signed(*both)) is not None
    assert TagSigner(after, Clock(), 1.0).verify(signed(*before)) is None
    assert TagSigner([NEW, FOREIGN, OLD], Clock(), 1.0).verify(signed(OLD)) is None


def test_a_tag_is_signed_anew_for_each_quarter_of_the_lifetime() -> None:
    clock = Clock()
    signer = TagSigner([OLD], clock, 600.0)
    assert signer.renews()
    first = signer.sign("gray", TERMS)
    clock.now += 149.0
    assert not signer.renews()
    assert signer.sign("gray", TERMS) == first
    clock.now += 1.0
    assert signer.renews()
    assert signer.sign("gray", TERMS) != first


@pytest.mark.parametrize("passed", [0.0, 149.9])
def test_a_signature_is_good_for_the_lifetime_at_least_and_a_quarter_more_at_most(passed: float) -> None:
    clock = Clock()
    clock.now += passed
    signer = TagSigner([OLD], clock, 600.0)
    signer.renews()
    claim = signer.verify(signer.sign("gray", TERMS))
    assert claim is not None
    assert 600.0 <= claim.expires - clock.now <= 750.0


def test_a_clock_that_was_set_back_does_not_make_signatures_that_last_longer() -> None:
    clock = Clock()
    signer = TagSigner([OLD], clock, 600.0)
    signer.renews()
    clock.now -= 10_000.0
    assert signer.renews()
    claim = signer.verify(signer.sign("gray", TERMS))
    assert claim is not None
    assert claim.expires - clock.now <= 750.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gray",
        "_1.",
        "_1.gray",
        f"_1.gray.{TERMS}.6a2a9c10",
        f"_1.no tag.{TERMS}.6a2a9c10.x",
        f"_1..{TERMS}.6a2a9c10.x",
        "_1.gray.terms.6a2a9c10.x",
        f"_1.gray.{TERMS}.soon.x",
        f"_1.gray.{TERMS}.6a2a9c1g.x",
        f"_2.gray.{TERMS}.6a2a9c10.x",
        f"_1.gray.{TERMS}.6a2a9c10.{'x' * 256}",
    ],
)
def test_what_has_not_the_form_is_nobodys(text: str) -> None:
    assert read_signed(text) is None
    assert TagSigner([OLD], Clock(), 1.0).verify(text) is None


def test_a_tag_with_dots_is_read_whole() -> None:
    assert said(read_signed(signed(OLD, tag="v1.2_x-y.z"))) == ("v1.2_x-y.z", TERMS, NOW + 750)


def test_no_bare_tag_looks_signed() -> None:
    assert not is_signed("gray")
    assert is_signed(signed(OLD))
