"""When each lane last took a request."""

from __future__ import annotations

from gateway.live.hits import NONE, Hits, LaneHits


def test_a_lane_was_hit_when_its_count_has_grown() -> None:
    hits = LaneHits()
    assert hits.of("demo", "gray") == NONE
    hits.look({"demo": {"gray": 2}}, 100.0)
    hits.look({"demo": {"gray": 2, "blue": 1}}, 105.0)
    assert (hits.of("demo", "gray"), hits.of("demo", "blue")) == (Hits(2, 100.0), Hits(1, 105.0))
    hits.look({"demo": {"gray": 3, "blue": 1}}, 110.0)
    assert (hits.of("demo", "gray"), hits.of("demo", "blue")) == (Hits(3, 110.0), Hits(1, 105.0))


def test_a_lane_that_is_gone_is_forgotten() -> None:
    hits = LaneHits()
    hits.look({"demo": {"gray": 2}}, 100.0)
    hits.look({}, 105.0)
    assert hits.of("demo", "gray") == NONE
