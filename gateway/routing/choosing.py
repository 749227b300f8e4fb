"""How the instances of a service are chosen, where that is more than taking turns: by balancing, and by clients' cookies."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import Final

from gateway.http.request import Request
from gateway.instance import Instance
from gateway.routing.balancing import ROUND_ROBIN, UNBOUND, Balancer, Members
from gateway.routing.cookies import cookie_line

COOKIE: Final = "cookie"
"""The client's cookie has decided."""


class StickyCookie:
    """The cookie by which a client stays at its instance, within one pool.

    It calls an instance by a keyed hash (HMAC-SHA256, the first 15 bytes in base64url) of service, tag, address and who is there:
    it shows nothing of the network, and nothing else is called the same. All gateways with the same secret understand it.
    """

    __slots__ = ("_key", "name")

    def __init__(self, name: str, secret: str) -> None:
        self.name = name
        self._key: bytes = hashlib.sha256(b"gray-gateway instance\0" + secret.encode()).digest()

    def value(self, service: str, tag: str, instance: Instance) -> str:
        """What an instance is called in a pool."""
        content = f"{service}\0{tag}\0{instance.address}\0".encode() + instance.identity
        return base64.urlsafe_b64encode(hmac.digest(self._key, content, "sha256")[:15]).decode("ascii")

    def find(self, service: str, tag: str, members: Members, value: str) -> Instance | None:
        """The instance of a pool that is called so, None if that may not be picked, or there is none."""
        pinned = members.pinned
        if pinned is None:
            pinned = members.pinned = {self.value(service, tag, item): item for item in members.instances}
        return pinned.get(value)


class Choice:
    """The choice for one request. `how` says what has decided: a kind of balancing, or COOKIE."""

    __slots__ = ("_balancer", "_is_secure", "_line", "_place", "_sticky", "_wish", "how")

    def __init__(
        self, balancer: Balancer | None, place: int, sticky: StickyCookie | None, wish: str, is_secure: bool
    ) -> None:
        self._balancer = balancer
        self._place = place
        self._sticky = sticky
        self._wish = wish
        self._is_secure = is_secure
        self._line: bytes = b""
        self.how: str = ROUND_ROBIN

    def choose(self, service: str, tag: str, members: Members, turn: Instance, tried: Collection[Instance]) -> Instance:
        """An instance of the pool of a tag, none of those that were tried before. `turn` is whose turn it is, of the others."""
        if self._wish and self._sticky is not None:
            instance = self._sticky.find(service, tag, members, self._wish)
            if instance is not None and instance not in tried:
                self.how = COOKIE
                return instance
        balancer = self._balancer
        if balancer is None:
            self.how = ROUND_ROBIN
            return turn
        self.how = balancer.name_at(self._place)
        return balancer.choose(members, turn, self._place, tried)

    def pin(self, service: str, tag: str, instance: Instance, fields: bytes) -> bytes:
        """The field lines `fields` of the response, with a cookie of where the request goes now, unless the client has that."""
        sticky = self._sticky
        if sticky is None:
            return fields
        if self._line:
            fields = fields.replace(self._line, b"", 1)
            self._line = b""
        value = sticky.value(service, tag, instance)
        if value != self._wish:
            self._line = cookie_line(sticky.name, value, self._is_secure)
        return fields + self._line


class Choosing:
    """How the instances of one service are chosen."""

    __slots__ = ("_balancer", "_sticky")

    def __init__(self, balancer: Balancer | None, sticky: StickyCookie | None = None) -> None:
        self._balancer = balancer
        self._sticky = sticky

    def choice_of(self, request: Request, client_ip: str, is_secure: bool) -> Choice:
        """The choice for a request of this client, who came by https or not."""
        balancer, sticky = self._balancer, self._sticky
        place = UNBOUND if balancer is None else balancer.place_of(request, client_ip)
        wish = None if sticky is None else request.cookie(sticky.name)
        return Choice(balancer, place, sticky, wish or "", is_secure)


class Choosers:
    """How the instances of every service are chosen: as `special` says of some, else as `default`. None: by turns."""

    __slots__ = ("_default", "_special")

    def __init__(self, default: Choosing | None = None, special: Mapping[str, Choosing | None] | None = None) -> None:
        self._default = default
        self._special: dict[str, Choosing | None] = dict(special or {})

    def of(self, service: str) -> Choosing | None:
        """How those of one service are."""
        return self._special.get(service, self._default)


BY_TURNS: Final = Choosers()
"""All services take turns."""
