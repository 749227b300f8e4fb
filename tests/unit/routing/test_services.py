"""Pools and the choice among their instances."""

from __future__ import annotations

from collections import Counter

from gateway.instance import Instance, sorted_instances
from gateway.routing.decision import Decision
from gateway.routing.health import Health
from gateway.routing.services import ServiceView, Turns
from gateway.routing.verdict import Forward
from gateway.tags import BASE, INVALID, is_tag


def instance(port: int, tag: str = BASE, weight: float = 1.0, healthy: bool = True, enabled: bool = True) -> Instance:
    return Instance("10.0.0.1", port, tag, weight, healthy, enabled)


def view(*instances: Instance) -> ServiceView:
    return ServiceView("orders", instances, Turns())


def choose(service: ServiceView, tag: str, fallback: str = "") -> tuple[str, str, str, int | None]:
    """Pool, fallback reason, error and port of the choice."""
    decision = Decision(1)
    decision.tag = tag
    Forward(decision).choose(service, fallback)
    port = None if decision.instance is None else decision.instance.port
    return decision.pool, decision.fallback, decision.error, port


def test_weighted_round_robin_is_exact_and_spread() -> None:
    pool = view(instance(1, weight=5), instance(2, weight=1), instance(3, weight=1)).base
    picks = [pool.pick() for _ in range(14)]
    assert Counter(pick.port for pick in picks if pick) == {1: 10, 2: 2, 3: 2}
    assert [pick.port for pick in picks[:7] if pick] == [1, 2, 1, 1, 1, 3, 1]


def test_equal_weights_take_turns() -> None:
    pool = view(instance(1, weight=0.5), instance(2, weight=0.5)).base
    assert [pool.pick().port for _ in range(4)] == [1, 2, 1, 2]  # type: ignore[union-attr]


def test_a_new_view_goes_on_where_the_old_one_was() -> None:
    turns = Turns()
    instances = (instance(1), instance(2))
    assert ServiceView("orders", instances, turns).base.pick() == instances[0]
    assert ServiceView("orders", instances, turns).base.pick() == instances[1]


def test_unhealthy_disabled_and_weightless_instances_get_nothing() -> None:
    pool = view(instance(1, healthy=False), instance(2, enabled=False), instance(3, weight=0), instance(4)).base
    assert {pool.pick().port for _ in range(8)} == {4}  # type: ignore[union-attr]
    assert pool.size == 4


def test_baseline_traffic_goes_to_the_baseline_only() -> None:
    assert choose(view(instance(1), instance(2, "gray")), BASE) == (BASE, "", "", 1)
    assert choose(view(instance(2, "gray")), BASE) == (BASE, "", "no_instances", None)
    assert choose(view(instance(1, healthy=False), instance(2, "gray")), BASE) == (BASE, "", "no_instances", None)


def test_marked_traffic_falls_back_to_the_baseline_with_a_reason() -> None:
    assert choose(view(instance(1), instance(2, "gray")), "gray") == ("gray", "", "", 2)
    assert choose(view(instance(1)), "gray") == (BASE, "absent", "", 1)
    assert choose(view(instance(1), instance(2, "gray", healthy=False)), "gray") == (BASE, "all_unhealthy", "", 1)
    assert choose(view(instance(1), instance(2, "gray")), "gray", "not_in_group") == (BASE, "not_in_group", "", 1)


def test_another_lanes_instances_are_nobodys_fallback() -> None:
    assert choose(view(instance(1), instance(2, "blue")), "gray") == (BASE, "absent", "", 1)
    assert choose(view(instance(2, "blue")), "gray") == (BASE, "absent", "no_instances", None)


def test_an_unreadable_tag_is_never_baseline() -> None:
    assert choose(view(instance(1, INVALID)), BASE) == (BASE, "", "no_instances", None)
    assert not is_tag(INVALID)


def forwardned(service: ServiceView, tag: str = BASE, strict: bool = False) -> Forward:
    decision = Decision(1)
    decision.tag = tag
    forward = Forward(decision)
    forward.choose(service, "", strict)
    return forward


def test_after_a_refused_connection_the_pool_is_tried_before_the_baseline() -> None:
    forward = forwardned(view(instance(1), instance(2, "gray"), instance(3, "gray")), "gray")
    decision = forward.decision
    first, second = decision.instance, forward.other()
    assert first is not None
    assert second is not None
    assert {first.port, second.port} == {2, 3}
    forward.turn_to(second)
    assert (forward.other(), decision.fallback) == (None, "")
    third = forward.other_in_baseline()
    assert third == instance(1)
    forward.fall_back_to(third, "connect_error")
    assert (decision.instance, decision.pool, decision.fallback) == (third, BASE, "connect_error")
    assert (forward.other(), forward.other_in_baseline()) == (None, None)


def test_a_refused_baseline_never_leads_to_gray() -> None:
    forward = forwardned(view(instance(1), instance(2, "gray")))
    assert (forward.other(), forward.other_in_baseline()) == (None, None)


def test_a_strict_lane_has_no_baseline_behind_it() -> None:
    forward = forwardned(view(instance(1), instance(2, "gray")), "gray", strict=True)
    assert (forward.other(), forward.other_in_baseline()) == (None, None)


def test_the_head_says_which_instance_is_meant_whoever_is_turned_to() -> None:
    forward = forwardned(view(instance(1), instance(2, "gray")), "gray")
    assert forward.decision.instance is not None
    forward.target_line = forward.decision.instance.target_line
    forward.head = b"GET / HTTP/1.1\r\nHost: a\r\n" + forward.target_line + b"Via: x\r\n\r\n"
    assert forward.target_line == b"X-Gray-Hop: gray\r\n"
    forward.fall_back_to(instance(1), "connect_error")
    assert forward.head == b"GET / HTTP/1.1\r\nHost: a\r\nX-Gray-Hop: base\r\nVia: x\r\n\r\n"


def test_canonical_order_drops_duplicates() -> None:
    old, new = instance(1), Instance("10.0.0.1", 1, healthy=False)
    assert sorted_instances([instance(2), old, new]) == (new, instance(2))


def test_address_brackets_ipv6() -> None:
    assert Instance("::1", 80).address == "[::1]:80"


def conditioned(condition: Health, *instances: Instance) -> ServiceView:
    return ServiceView("orders", instances, Turns(), frozenset(), condition)


def test_the_ejected_get_nothing_and_a_lane_without_others_falls_back_and_says_so() -> None:
    out = Health(ejected=frozenset({"10.0.0.1:1", "10.0.0.1:3"}))
    service = conditioned(out, instance(1), instance(2), instance(3, "gray"))
    assert choose(service, BASE) == (BASE, "", "", 2)
    assert choose(service, "gray") == (BASE, "ejected", "", 2)
    # Of the baseline somebody is always left: better tried than refused.
    assert choose(conditioned(out, instance(1)), BASE) == (BASE, "", "", 1)


def test_a_pool_that_is_ejected_whole_is_tried_if_nobody_is_behind_it() -> None:
    out = Health(ejected=frozenset({"10.0.0.1:3"}))
    assert choose(conditioned(out, instance(3, "gray")), "gray") == ("gray", "", "", 3)
    strict = forwardned(conditioned(out, instance(1), instance(3, "gray")), "gray", strict=True).decision
    assert (strict.instance, strict.error) == (instance(3, "gray"), "")
    assert choose(conditioned(out, instance(1, healthy=False), instance(3, "gray")), BASE)[2] == "no_instances"


def test_who_is_not_who_the_registry_says_is_nobody() -> None:
    """Not even the last one of the baseline, and not where all are unhealthy."""
    other = Health(misdirected=frozenset({"10.0.0.1:1", "10.0.0.1:3"}), uses_unhealthy=True)
    service = conditioned(other, instance(1), instance(2, healthy=False), instance(3, "gray"))
    assert choose(service, BASE) == (BASE, "", "", 2)
    assert choose(service, "gray")[3] == 2
    assert choose(conditioned(other, instance(1)), BASE)[2] == "no_instances"


def test_newcomers_get_a_share_of_their_weight() -> None:
    service = conditioned(Health(warming={"10.0.0.1:2": 0.1}), instance(1), instance(2))
    assert Counter(pick.port for pick in (service.base.pick() for _ in range(22)) if pick) == {1: 20, 2: 2}


def test_unhealthy_instances_are_used_where_that_is_asked_for_and_nobody_else_is_there() -> None:
    panic = Health(uses_unhealthy=True)
    sick = instance(2, "gray", healthy=False)
    assert choose(conditioned(panic, instance(1), sick), "gray") == ("gray", "", "", 2)
    assert choose(conditioned(panic, instance(1), sick, instance(3, "gray")), "gray")[3] == 3
    assert choose(conditioned(panic, instance(1, enabled=False)), BASE)[2] == "no_instances"


def test_a_service_that_is_forgotten_begins_with_its_first_instance_and_no_other_does() -> None:
    turns = Turns()
    for service in ("a", "b"):
        for tag in (BASE, "gray"):
            turns.of(service, tag).count = 7
    turns.forget("a")
    assert [turns.of(service, tag).count for service in ("a", "b") for tag in (BASE, "gray")] == [0, 0, 7, 7]
