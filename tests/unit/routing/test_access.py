"""Which clients are served: refusals first, then who is on the list."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.routing import access
from gateway.routing.access import AccessList

TEN, SOME, SIX = (ip_network(text) for text in ("10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"))


@pytest.mark.parametrize(
    ("allow", "deny", "served"),
    [
        ((), (SOME,), ["10.2.0.1", "192.0.2.1", "2001:db8::1", "unknown"]),
        ((TEN,), (), ["10.2.0.1", "10.1.0.1"]),
        ((TEN, SIX), (SOME,), ["10.2.0.1", "2001:db8::1"]),
        ((SOME,), (TEN,), []),
    ],
    ids=["all but some", "only some", "both", "what is refused is never served"],
)
def test_who_is_served(allow: tuple[object, ...], deny: tuple[object, ...], served: list[str]) -> None:
    clients = ["10.2.0.1", "10.1.0.1", "192.0.2.1", "2001:db8::1", "unknown"]
    found = AccessList(allow, deny)  # type: ignore[arg-type]
    for _ in range(2):  # the second time from memory
        assert [ip for ip in clients if found.serves(ip)] == sorted(served, key=clients.index)


def test_an_address_of_a_link_counts_without_its_zone() -> None:
    assert not AccessList((), (ip_network("fe80::/10"),)).serves("fe80::1%eth0")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "MAX_KNOWN", 4)
    found = AccessList((TEN,))
    for number in range(100):
        assert found.serves(f"10.0.0.{number}")
    assert len(found._known) <= 4
