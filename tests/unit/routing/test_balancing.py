"""Which instance a request goes to: the less busy one, or the one that its key is bound to; always by weight."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pytest

from gateway.http.head_reader import build_request
from gateway.http.request import Request
from gateway.instance import Instance
from gateway.routing.balancing import Balancer, ConsistentHash, LeastRequest
from gateway.routing.choosing import Choosing
from gateway.routing.decision import Decision
from gateway.routing.health import Health
from gateway.routing.services import ServiceView, Turns
from gateway.routing.split import key_field
from gateway.routing.verdict import Forward

KEYS = [f"user-{number}" for number in range(2_000)]


def instance(number: int, weight: float = 1.0, tag: str = "base") -> Instance:
    return Instance(f"10.0.0.{number}", 80, tag, weight)


class Service:
    """A service of these instances, and how busy each is, by its number."""

    def __init__(self, instances: Sequence[Instance], **health: Any) -> None:
        self.busy: Counter[str] = Counter()
        self.instances = instances
        self.health = Health(**health)
        self.turns = Turns()

    def by(self, balancer: Balancer) -> Service:
        self.view = ServiceView("a", self.instances, self.turns, condition=self.health, choosing=Choosing(balancer))
        return self

    def least(self) -> Service:
        return self.by(LeastRequest(self.load, random.Random(1).random))

    def hashed(self, most: float = 0.0, key: tuple[str, str] = ("header", "x-user")) -> Service:
        return self.by(ConsistentHash(key_field(key), self.load, most))

    def load(self, address: str) -> int:
        return self.busy[address]

    def forward(self, user: str = "", tag: str = "base", ip: str = "192.0.2.1") -> Forward:
        decision = Decision(1, ip)
        decision.tag = tag
        forward = Forward(decision)
        request = request_of(user)
        assert self.view.choosing is not None
        forward.choice = self.view.choosing.choice_of(request, ip, False)
        forward.choose(self.view, "")
        return forward

    def pick(self, user: str = "", **more: str) -> Instance:
        return self.forward(user, **more).instance

    def homes(self) -> dict[str, str]:
        """Where each key is at home."""
        return {user: self.pick(user).address for user in KEYS}


@cache
def request_of(user: str) -> Request:
    return build_request("GET", f"/?user={user}", [("x-user", user), ("cookie", f"u={user}")] if user else [])


def shares(homes: Mapping[str, str]) -> dict[str, float]:
    return {address: count / len(homes) for address, count in Counter(homes.values()).items()}


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {user for user in before if before[user] != after[user]}


# --- the less busy one


def test_with_nothing_under_way_weights_are_exact() -> None:
    service = Service([instance(1, 6), instance(2, 3), instance(3, 1)]).least()
    assert Counter(service.pick().host for _ in range(100)) == {"10.0.0.1": 60, "10.0.0.2": 30, "10.0.0.3": 10}
    assert service.forward().decision.chosen_by == "least_request"


def test_an_instance_that_hangs_gets_no_more_than_others_have_under_way() -> None:
    """Others respond at once: one that does not is met as long as it looks no busier than they."""
    service = Service([instance(number) for number in range(1, 5)]).least()
    for _ in range(1_000):
        picked = service.pick()
        if picked.host == "10.0.0.1":
            service.busy[picked.address] += 1
    assert service.busy == {"10.0.0.1:80": 1}


def test_what_is_under_way_is_in_proportion_to_weights() -> None:
    service = Service([instance(1, 8), instance(2, 1), instance(3, 1)]).least()
    for _ in range(200):
        service.busy[service.pick().address] += 1
    assert service.busy["10.0.0.1:80"] == pytest.approx(160, abs=4)
    assert service.busy["10.0.0.2:80"] == pytest.approx(20, abs=4)


def test_a_newcomer_has_its_share_of_what_is_under_way() -> None:
    service = Service([instance(1), instance(2)], warming={"10.0.0.2:80": 0.1}).least()
    for _ in range(110):
        service.busy[service.pick().address] += 1
    assert service.busy["10.0.0.2:80"] == pytest.approx(10, abs=2)


def test_each_pool_is_balanced_by_itself() -> None:
    gray = [instance(number, tag="gray") for number in (3, 4)]
    service = Service([instance(1), instance(2), *gray]).least()
    service.busy["10.0.0.3:80"] = service.busy["10.0.0.1:80"] = 9
    assert {service.pick(tag="gray").host for _ in range(50)} == {"10.0.0.4"}
    assert {service.pick().host for _ in range(50)} == {"10.0.0.2"}


@pytest.mark.parametrize("kind", ["least", "hashed"])
def test_a_retry_goes_to_none_of_those_that_were_tried(kind: str) -> None:
    service = getattr(Service([instance(number) for number in range(1, 6)]), kind)()
    for user in KEYS[:50]:
        forward = service.forward(user)
        met = [forward.instance]
        while (other := forward.other()) is not None:
            forward.turn_to(other)
            met.append(other)
        assert len(met) == len(set(met)) == 5


# --- the one that a key is bound to


def test_a_key_has_one_home_whoever_asks() -> None:
    one, other = (Service([instance(number) for number in range(1, 11)]).hashed() for _ in range(2))
    assert one.homes() == other.homes()
    assert one.forward("x").decision.chosen_by == "consistent_hash"


@pytest.mark.parametrize(
    "key", [("header", "x-user"), ("cookie", "u"), ("param", "user"), ("client_ip", "")], ids=lambda key: key[0]
)
def test_what_a_key_may_be(key: tuple[str, str]) -> None:
    service = Service([instance(number) for number in range(1, 11)]).hashed(key=key)
    homes = [{service.pick(user, ip=f"192.0.2.{user}").address for _ in range(5)} for user in map(str, range(1, 30))]
    assert {len(home) for home in homes} == {1}
    assert len(set.union(*homes)) == 10


def test_requests_without_the_key_take_turns() -> None:
    service = Service([instance(1), instance(2)]).hashed()
    assert [service.pick().host for _ in range(4)] == ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2"]
    assert service.forward().decision.chosen_by == "round_robin"


@pytest.mark.parametrize("count", [3, 10, 100])
def test_only_the_keys_of_who_goes_move_and_come_back_with_it(count: int) -> None:
    everybody = [instance(number) for number in range(1, count + 1)]
    before = Service(everybody).hashed().homes()
    after = Service(everybody[1:]).hashed().homes()
    assert moved(before, after) == {user for user, home in before.items() if home == "10.0.0.1:80"}
    assert Service(everybody).hashed().homes() == before


def test_who_is_ejected_keeps_no_key_and_the_others_keep_theirs() -> None:
    everybody = [instance(number) for number in range(1, 6)]
    before = Service(everybody).hashed().homes()
    after = Service(everybody, ejected=frozenset({"10.0.0.2:80"})).hashed().homes()
    assert moved(before, after) == {user for user, home in before.items() if home == "10.0.0.2:80"}


def test_keys_are_divided_by_weight_and_a_newcomer_takes_over_little_by_little() -> None:
    everybody = [instance(1, 2), instance(2, 1), instance(3, 1)]
    settled = Service(everybody).hashed().homes()
    assert shares(settled)["10.0.0.1:80"] == pytest.approx(0.5, abs=0.06)
    warming = Service(everybody, warming={"10.0.0.3:80": 0.1}).hashed().homes()
    assert shares(warming)["10.0.0.3:80"] < 0.05
    assert {settled[user] for user in moved(warming, settled)} == {"10.0.0.3:80"}


def test_a_key_that_everybody_has_does_not_overload_its_home() -> None:
    service = Service([instance(number) for number in range(1, 5)]).hashed(1.25)
    for _ in range(100):
        service.busy[service.pick("everybody").address] += 1
    assert max(service.busy.values()) <= 32  # a quarter, and a quarter more
    unbound = Service([instance(number) for number in range(1, 5)]).hashed()
    for _ in range(100):
        unbound.busy[unbound.pick("everybody").address] += 1
    assert max(unbound.busy.values()) == 100


def test_a_bound_goes_by_weight_and_leaves_keys_at_home_that_fit() -> None:
    service = Service([instance(1, 3), instance(2, 1)]).hashed(1.25)
    homes = service.homes()
    service.busy["10.0.0.1:80"], service.busy["10.0.0.2:80"] = 30, 10
    assert service.homes() == homes
    service.busy["10.0.0.2:80"] = 16
    assert set(service.homes().values()) == {"10.0.0.1:80"}


def test_a_ring_of_many_instances_is_bounded() -> None:
    service = Service([Instance(f"10.0.{number // 250}.{number % 250}", 80) for number in range(1_000)]).hashed()
    service.pick("x")
    members = service.view.base._members
    assert members is not None
    assert 16_384 <= len(members.ring.places) <= 32_768


def test_instances_of_one_weight_have_about_as_many_keys() -> None:
    settled = Service([instance(number) for number in range(1, 11)]).hashed().homes()
    assert all(0.07 < share < 0.13 for share in shares(settled).values())


def test_the_bound_of_a_hashed_load_does_not_look_at_a_thousand_instances_for_each_request() -> None:
    """Those that are busy are asked for most of all."""
    service = Service([Instance(f"10.0.{number // 250}.{number % 250}", 80) for number in range(1_000)]).hashed(1.25)
    for item in service.instances:
        service.busy[item.address] = 1
    looks = 0
    asked = service.busy

    def load(address: str) -> int:
        nonlocal looks
        looks += 1
        return asked[address]

    service.by(ConsistentHash(key_field(("header", "x-user")), load, 1.25))
    for user in KEYS[:64]:
        service.forward(user)
    assert looks <= 64 * 100
