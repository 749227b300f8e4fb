"""What people are told of tags whose signature is not as it should be."""

from __future__ import annotations

from gateway.app.signatures import REMEDIES, describe_signatures
from gateway.routing.tagsigner import EXPIRED, FORGED, UNSIGNED
from gateway.telemetry.counters import Traffic


def test_what_was_counted_by_listener_and_why() -> None:
    inbound, outbound = Traffic(), Traffic()
    for why in (FORGED, EXPIRED, FORGED):
        inbound.count_rejected(why)
    outbound.unsigned = 4
    assert describe_signatures({"inbound": inbound, "outbound": outbound, "entry": Traffic()}) == [
        {"listener": "inbound", "why": "expired", "accepted": False, "count": 1},
        {"listener": "inbound", "why": "forged", "accepted": False, "count": 2},
        {"listener": "outbound", "why": "unsigned", "accepted": True, "count": 4},
    ]


def test_there_is_a_remedy_for_all_of_it() -> None:
    assert set(REMEDIES) == {FORGED, EXPIRED, UNSIGNED}
