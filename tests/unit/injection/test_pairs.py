"""The webhook's own certificates over their life. Times are days since an arbitrary one; names are those the API server calls."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest

from gateway.injection.pairs import DAY, LIFE, RENEWAL, SETTLING, Pair, Pairs, make_pair, read_pair

NAMES = frozenset({"webhook.ns.svc", "127.0.0.1"})
NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def old() -> Pair:
    return make_pair(NAMES, NOW)


@pytest.fixture(scope="module")
def new() -> Pair:
    return make_pair(NAMES, NOW + RENEWAL)


def test_a_pair_says_what_it_is_for_and_until_when(old: Pair) -> None:
    assert (old.names, old.made, old.expires.timestamp()) == (NAMES, NOW, NOW + LIFE)
    assert read_pair(old.chain, old.key) == old
    ssl.create_default_context(cadata=old.authority)


def test_what_is_no_pair_is_none(old: Pair, new: Pair) -> None:
    leaf = old.chain[: old.chain.index(b"-----BEGIN", 1)]
    for chain, key in ((b"", b""), (old.chain, b"junk"), (b"junk", old.key), (old.chain, new.key), (leaf, old.key)):
        assert read_pair(chain, key) is None


def test_a_certificate_of_two_thirds_of_its_life_is_replaced_and_not_a_moment_sooner(old: Pair) -> None:
    pairs = Pairs(old)
    assert pairs.renewed(None, NAMES, NOW + RENEWAL - 1) == pairs
    renewed = pairs.renewed(None, NAMES, NOW + RENEWAL)
    assert renewed.newest is not None
    assert (renewed.previous, renewed.newest.made) == (old, NOW + RENEWAL)


def test_a_certificate_that_lacks_a_name_is_replaced(old: Pair) -> None:
    renewed = Pairs(old).renewed(None, frozenset({"other.ns.svc"}), NOW + 1)
    assert renewed.newest is not None
    assert (set(renewed.newest.names), renewed.previous) == ({"other.ns.svc"}, old)


def test_a_new_certificate_is_trusted_first_and_used_then(old: Pair, new: Pair) -> None:
    pairs = Pairs(new, old)
    made = NOW + RENEWAL
    assert pairs.in_use(pairs.trusted, made) == old
    assert pairs.in_use(pairs.trusted, made + SETTLING - 1) == old
    assert pairs.in_use(pairs.trusted, made + SETTLING) == new
    assert pairs.in_use(old.authority, made + DAY) == old, "the API server was not told yet"
    assert pairs.in_use(old.authority, NOW + LIFE) == new, "the old one is of no use to anybody"
    assert pairs.trusted == new.authority + old.authority


def test_the_old_one_is_trusted_until_every_replica_uses_the_new_one(old: Pair, new: Pair) -> None:
    pairs = Pairs(new, old)
    assert pairs.renewed(None, NAMES, new.made + 2 * SETTLING - 1) == pairs
    assert pairs.renewed(None, NAMES, new.made + 2 * SETTLING) == Pairs(new)


def test_the_one_in_use_stays_in_use_for_a_while_after_the_secret_was_emptied(old: Pair) -> None:
    """As somebody does who no longer trusts a key."""
    renewed = Pairs().renewed(old, NAMES, NOW + DAY)
    assert renewed.previous == old
    assert renewed.in_use(renewed.trusted, NOW + DAY) == old
    assert renewed.renewed(old, NAMES, NOW + DAY + 2 * SETTLING).previous is None


def test_the_first_one_is_used_at_once() -> None:
    pairs = Pairs().renewed(None, NAMES, NOW)
    assert pairs.in_use("", NOW) == pairs.newest
    assert pairs.previous is None


def test_one_made_by_a_clock_that_was_wrong_is_replaced_and_the_new_one_used_at_once(old: Pair) -> None:
    """Nobody would accept it."""
    early = NOW - DAY
    renewed = Pairs(old).renewed(old, NAMES, early)
    assert renewed.newest is not None
    assert renewed.newest != old
    assert renewed.in_use(renewed.trusted, early) == renewed.newest


def test_one_that_is_not_signed_by_its_authority_is_none(old: Pair, new: Pair) -> None:
    """Both authorities have names of their own, so that Go tells them apart as well."""
    leaf = old.chain[: old.chain.index(b"-----BEGIN", 1)]
    assert read_pair(leaf + new.authority.encode(), old.key) is None
