"""How instances are chosen: balancing, and cookies that keep a client at its instance."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gateway.settings.fields import CookieName, Model
from gateway.settings.gates import KeySettings


class BalancingSettings(Model):
    """How requests are divided among the instances of a pool, in proportion to their weights."""

    policy: Literal["round_robin", "least_request", "consistent_hash"] = "round_robin"
    """`round_robin`: by turns. `least_request`: the less busy one of two. `consistent_hash`: requests with the same key go to the
    same instance."""
    by: KeySettings | None = None
    """The key of `consistent_hash`. Requests without it take turns."""
    max_load: float | None = Field(default=None, ge=1.05, le=100)
    """With `consistent_hash`: how much more than its share of the requests in flight an instance may have (1.25: a quarter).
    Beyond that, another one takes the request. Default: any number."""

    @model_validator(mode="after")
    def _is_one(self) -> BalancingSettings:
        if self.policy == "consistent_hash":
            if self.by is None:
                raise ValueError("`consistent_hash` needs `by`: a cookie, a header, a param or `client_ip: true`")
        elif self.by is not None or self.max_load is not None:
            name = "by" if self.by is not None else "max_load"
            raise ValueError(f"`{name}` has no effect with `policy: {self.policy}`: it is for `consistent_hash`")
        return self


class StickyInstanceSettings(Model):
    """The cookie by which a client stays at its instance, as long as that can be picked from the pool of its requests."""

    cookie: CookieName
    """The cookie's name, one for each service."""
