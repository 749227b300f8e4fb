"""How instances are chosen: balancing, and cookies that keep a client at its instance."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gateway.settings.fields import CookieName, Model, Parameter


def _check_token(text: str) -> str:
    if re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}", text) is None:
        raise ValueError(f"a name is 1 to 256 letters, digits and !#$%&'*+-.^_`|~; found {text!r}")
    return text


_Token = Annotated[str, AfterValidator(_check_token)]


class KeySettings(Model):
    """What clients are told apart by."""

    cookie: _Token | None = None
    """The cookie of this name."""
    header: _Token | None = None
    """The header field of this name."""
    param: Parameter | None = None
    """The query parameter of this name."""
    client_ip: bool = False
    """The client's address."""

    @model_validator(mode="after")
    def _is_one(self) -> KeySettings:
        if sum((bool(self.cookie), bool(self.header), bool(self.param), self.client_ip)) != 1:
            raise ValueError("exactly one of `cookie`, `header`, `param` and `client_ip: true` is needed")
        return self

    @property
    def key(self) -> tuple[str, str]:
        """The source of conditions, and its name."""
        for source in ("cookie", "header", "param"):
            name = getattr(self, source)
            if name:
                return source, name
        return "client_ip", ""


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
