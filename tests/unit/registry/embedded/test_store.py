"""The embedded registry's memory: leases, their time, and config values."""

from __future__ import annotations

import pytest

from gateway.registry.embedded.store import Change, Lease, Refused, ServiceKey, Store

KEY = ServiceKey.of("", "", "orders")
PLACE = ("10.0.0.1", 80, "DEFAULT")


def lease(port: int = 80, **values: object) -> Lease:
    return Lease("10.0.0.1", port, **values)  # type: ignore[arg-type]


def test_keys_are_what_their_default_spellings_mean() -> None:
    assert ServiceKey.of("", "", "orders") == ServiceKey.of("public", "DEFAULT_GROUP", "orders")
    assert ServiceKey.of("", "", "shop@@orders") == ServiceKey.of("", "shop", "orders")
    with pytest.raises(Refused, match="serviceName"):
        ServiceKey.of("", "", "or ders")


@pytest.mark.parametrize("text", ["a b", "\x1b[31m", "<b>", "ü", "x" * 129])
def test_what_is_said_of_a_namespace_or_a_cluster_is_short_and_plain(text: str) -> None:
    """They are kept, logged and shown."""
    with pytest.raises(Refused, match="namespace '") as refused:
        ServiceKey.of(text, "", "orders")
    assert len(str(refused.value)) < 200
    with pytest.raises(Refused, match="clusterName '"):
        Store().register(KEY, lease(cluster=text), 0.0)


def test_an_instance_that_falls_silent_is_unhealthy_after_15_s_and_gone_after_30() -> None:
    store = Store()
    store.register(KEY, lease(), 100.0)
    seen = []
    for now in (114.9, 115.0, 129.9, 130.0):
        store.expire(now)
        seen.append([instance.healthy for instance in store.instances(KEY)])
    assert seen == [[True], [False], [False], []]
    assert store.service_names("", "") == []


def test_a_change_keeps_the_lease_and_is_told() -> None:
    store = Store()
    told: list[ServiceKey] = []
    store.register(KEY, lease(metadata={"gray.tag": "gray"}), 0.0)
    store.expire(16.0)
    store.service_changed = told.append
    store.update(KEY, PLACE, Change(weight=2.0))
    assert told == [KEY]
    found = store.instance(KEY, "10.0.0.1", 80, "")
    assert found is not None
    assert (found.weight, found.renewed_at) == (2.0, 0.0)
    with pytest.raises(Refused, match="weight"):
        store.update(KEY, PLACE, Change(weight=-1.0))
    store.expire(30.0)
    assert store.instance(KEY, "10.0.0.1", 80, "") is None
    with pytest.raises(Refused, match="not found"):
        store.update(KEY, PLACE, Change(weight=2.0))


def shown(store: Store) -> list[tuple[float, bool, dict[str, str]]]:
    return [(found.weight, found.enabled, found.metadata) for found in store.instances(KEY)]


def test_what_an_operator_has_changed_stays_when_the_instance_registers_again() -> None:
    """As in Nacos since 2.0: key by key, and until the instance has been gone for a minute."""
    store = Store()
    store.register(KEY, lease(metadata={"gray.tag": "gray", "version": "1"}), 0.0)
    store.update(KEY, PLACE, Change(weight=5.0, metadata={"version": "2"}))
    store.update(KEY, ("10.0.0.1", 80, ""), Change(enabled=False))
    store.register(KEY, lease(metadata={"gray.tag": "gray", "version": "1", "new": "yes"}), 1.0)
    changed = (5.0, False, {"gray.tag": "gray", "version": "2", "new": "yes"})
    assert shown(store) == [changed]
    store.deregister(KEY, *PLACE)
    store.expire(10.0)
    store.expire(69.0)
    store.register(KEY, lease(metadata={"gray.tag": "gray", "new": "yes"}), 69.0)
    store.expire(70.0)
    assert shown(store) == [changed]
    store.deregister(KEY, *PLACE)
    store.expire(71.0)
    store.expire(131.0)
    store.register(KEY, lease(), 131.0)
    assert shown(store) == [(1.0, True, {})]


def test_changes_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever registers, changes and leaves again and again cannot fill the memory."""
    store = Store()
    store.register(KEY, lease(80), 0.0)
    store.register(KEY, lease(81), 0.0)
    monkeypatch.setattr("gateway.registry.embedded.store.MAX_INSTANCES", 1)
    store.update(KEY, PLACE, Change(weight=5.0))
    with pytest.raises(Refused, match="limit of 1 instances"):
        store.update(KEY, ("10.0.0.1", 81, ""), Change(weight=5.0))
    store.update(KEY, PLACE, Change(weight=6.0))


def test_config_values_are_bounded_in_number_and_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.registry.embedded.store.MAX_CONFIGS", 3)
    monkeypatch.setattr("gateway.registry.embedded.store.MAX_ALL_CONFIGS", 100)
    store = Store()
    keys = [ServiceKey.of("", "", f"c{number}") for number in range(4)]
    for key in keys[:3]:
        store.publish(key, "x" * 30)
    with pytest.raises(Refused, match="3 config values, or of 100 bytes"):
        store.publish(keys[3], "x")
    store.publish(keys[0], "ü" * 20)  # a change of one that is there counts by its difference
    with pytest.raises(Refused, match="limit"):
        store.publish(keys[0], "x" * 41)
    store.remove_config(keys[1])
    store.publish(keys[3], "x" * 30)
    assert sum(config.size for config in store.configs().values()) == 100
    with pytest.raises(Refused, match="type"):
        store.publish(keys[0], "x", "a\r\nSet-Cookie: b")


def test_a_heartbeat_heals() -> None:
    store = Store()
    store.register(KEY, lease(), 0.0)
    store.expire(20.0)
    assert store.renew(KEY, "10.0.0.1", 80, "", 20.0) is not None
    store.expire(34.0)
    assert [instance.healthy for instance in store.instances(KEY)] == [True]
    assert store.renew(KEY, "10.0.0.1", 81, "", 20.0) is None


def test_preserved_metadata_sets_an_instances_own_times() -> None:
    store = Store()
    times = {"preserved.heart.beat.timeout": "1000", "preserved.ip.delete.timeout": "2000"}
    store.register(KEY, lease(metadata=times), 0.0)
    store.register(KEY, lease(81, metadata={"preserved.heart.beat.timeout": "soon"}), 0.0)
    store.expire(1.5)
    assert [(i.port, i.healthy) for i in store.instances(KEY)] == [(80, False), (81, True)]
    store.expire(2.0)
    assert [i.port for i in store.instances(KEY)] == [81]


def test_a_persistent_instance_does_not_expire() -> None:
    store = Store()
    store.register(KEY, lease(ephemeral=False), 0.0)
    store.expire(1e6)
    assert [instance.healthy for instance in store.instances(KEY)] == [True]


def test_registering_again_replaces() -> None:
    store = Store()
    store.register(KEY, lease(weight=1.0), 0.0)
    store.register(KEY, lease(weight=5.0), 0.0)
    assert [instance.weight for instance in store.instances(KEY)] == [5.0]
    assert store.deregister(KEY, "10.0.0.1", 80, "")
    assert not store.deregister(KEY, "10.0.0.1", 80, "")


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (lease(0), "port 0"),
        (lease(65536), "port 65536"),
        (Lease("a b", 80), "ip 'a b'"),
        (lease(weight=float("nan")), "weight nan"),
        (lease(weight=-1.0), "weight -1"),
        (lease(metadata={"k": "v" * 1024}), "metadata: 1025 characters"),
    ],
)
def test_what_cannot_be_registered(bad: Lease, problem: str) -> None:
    with pytest.raises(Refused, match=problem):
        Store().register(KEY, bad, 0.0)


def test_changes_are_told_once_each() -> None:
    store = Store()
    told: list[str] = []
    store.service_changed = lambda key: told.append(key.name)
    store.register(KEY, lease(), 0.0)
    store.renew(KEY, "10.0.0.1", 80, "", 1.0)
    store.expire(5.0)
    store.expire(20.0)
    store.expire(21.0)
    store.expire(40.0)
    assert told == ["orders"] * 3  # registered, unhealthy, gone


def test_config_values() -> None:
    store = Store()
    told: list[str] = []
    store.config_changed = lambda key: told.append(key.name)
    store.publish(KEY, "base", "text")
    config = store.config(KEY)
    assert config is not None
    assert (config.content, config.md5) == ("base", "593616de15330c0fb2d55e55410bf994")
    store.remove_config(KEY)
    store.remove_config(KEY)
    assert store.config(KEY) is None
    assert told == ["orders", "orders"]
    with pytest.raises(Refused, match="content"):
        store.publish(KEY, "")
