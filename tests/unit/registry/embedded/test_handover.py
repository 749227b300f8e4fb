"""What a registry knows goes to the process that takes its place: all of it, and nothing else stays."""

from __future__ import annotations

import json

from gateway.registry.embedded.handover import dump, restore
from gateway.registry.embedded.store import Change, Lease, ServiceKey, Store

A, B = ServiceKey.of("", "", "a"), ServiceKey.of("prod", "shop", "b")


def filled() -> Store:
    store = Store()
    store.register(A, Lease("10.0.0.1", 80, weight=0.5, metadata={"gray.tag": "gray"}), 1.0)
    store.register(A, Lease("10.0.0.2", 80, enabled=False, healthy=False, ephemeral=False), 2.0)
    store.register(B, Lease("10.0.0.1", 80, cluster="east"), 3.0)
    store.update(B, ("10.0.0.1", 80, "east"), Change(weight=3.0, metadata={"version": "2"}))
    store.publish(ServiceKey.of("", "", "config"), "value: 商品", "yaml")
    return store


def test_everything_comes_over_as_json() -> None:
    state = json.loads(json.dumps(dump(filled())))
    store = Store()
    restore(store, state, 100.0)
    assert dump(store) == state
    assert [lease.renewed_at for lease in store.instances(A)] == [
        100.0,
        100.0,
    ]  # nobody expires for having been handed over


def test_what_an_operator_has_changed_comes_over_too() -> None:
    store = Store()
    restore(store, json.loads(json.dumps(dump(filled()))), 1.0)
    store.register(B, Lease("10.0.0.1", 80, cluster="east", metadata={"version": "1"}), 2.0)
    assert [(lease.weight, lease.metadata) for lease in store.instances(B)] == [(3.0, {"version": "2"})]


def test_what_went_in_the_meantime_goes() -> None:
    old, new = filled(), Store()
    restore(new, dump(old), 1.0)
    old.deregister(A, "10.0.0.1", 80, "")
    old.remove_config(ServiceKey.of("", "", "config"))
    old.register(B, Lease("10.0.0.9", 80), 4.0)
    restore(new, dump(old), 2.0)
    assert dump(new) == dump(old)


def test_a_config_that_is_the_same_is_not_written_again() -> None:
    store = filled()
    changes: list[ServiceKey] = []
    store.config_changed = changes.append
    restore(store, dump(store), 5.0)
    assert changes == []


def test_another_version_may_know_more_of_an_instance_or_less() -> None:
    store = Store()
    key = {"namespace": "public", "group": "DEFAULT_GROUP", "name": "a"}
    restore(store, {"instances": [[key, {"host": "10.0.0.1", "port": 80, "colour": "red"}]]}, 1.0)
    assert store.instances(A) == [Lease("10.0.0.1", 80, renewed_at=1.0)]
