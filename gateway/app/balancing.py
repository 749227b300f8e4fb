"""From settings to how instances are chosen."""

from __future__ import annotations

import random

from gateway.routing.balancing import LEAST_REQUEST, ROUND_ROBIN, Balancer, ConsistentHash, LeastRequest, Load
from gateway.routing.choosing import BY_TURNS, Choosers, Choosing, StickyCookie
from gateway.routing.split import key_field
from gateway.settings import ServingSettings
from gateway.settings.balancing import BalancingSettings


def make_choosers(settings: ServingSettings, load: Load) -> Choosers:
    """How the instances of each service are chosen. `load` says how busy one is, by its address."""
    default = _choosing(_balancer(settings.balancing, load), None)
    special: dict[str, Choosing | None] = {}
    for name, service in settings.services.items():
        sticky: StickyCookie | None = None
        if service.sticky_instance is not None and settings.cookie_settings is not None:
            sticky = StickyCookie(service.sticky_instance.cookie, settings.cookie_settings.secret)
        if sticky is not None or service.balancing is not None:
            special[name] = _choosing(_balancer(service.balancing or settings.balancing, load), sticky)
    return BY_TURNS if default is None and not special else Choosers(default, special)


def _choosing(balancer: Balancer | None, sticky: StickyCookie | None) -> Choosing | None:
    return None if balancer is None and sticky is None else Choosing(balancer, sticky)


def _balancer(settings: BalancingSettings, load: Load) -> Balancer | None:
    """None: by turns."""
    if settings.policy == ROUND_ROBIN:
        return None
    if settings.policy == LEAST_REQUEST:
        return LeastRequest(load, random.random)
    assert settings.by is not None
    return ConsistentHash(key_field(settings.by.key), load, settings.max_load or 0.0)
