"""What a router hands to the proxy for one request, and the choice of a pool that all routers share."""

from __future__ import annotations

from gateway.routing.debug import explain_line
from gateway.routing.decision import Decision
from gateway.routing.instance import BASE, Instance
from gateway.routing.routes import Reply
from gateway.routing.services import ABSENT, ALL_UNHEALTHY, CONNECT_ERROR, EJECTED, Pool, ServiceView

NO_INSTANCES = "no_instances"
LANE_UNAVAILABLE = "lane_unavailable"


class Peer:
    """The client at the other end of one connection.

    `forwarded` is the field lines that introduce it to upstreams; the last one wants the host asked for behind it.
    """

    __slots__ = ("forwarded", "ip", "is_secure", "is_trusted")

    def __init__(self, ip: str, is_trusted: bool = False, scheme: str = "http") -> None:
        self.ip = ip
        self.is_trusted = is_trusted
        self.is_secure: bool = scheme == "https"
        self.forwarded: bytes = f"X-Forwarded-For: {ip}\r\nX-Forwarded-Proto: {scheme}\r\nX-Forwarded-Host: ".encode(
            "latin-1"
        )


class Plan:
    """A decision and how to carry it out: the head to send and the pool to send it to.

    `reply` is an answer that the route gives without a service.
    `unknown` names a service whose instances are not known yet: learn them and route again. `wants_body` is how many bytes
    of the body rules want to see: read it and route again. `cookies` are field lines for the answer, each led by CRLF;
    `explains`: the answer is to say why.
    """

    __slots__ = (
        "_base",
        "_pool",
        "_tried",
        "cookies",
        "decision",
        "explains",
        "head",
        "reply",
        "unknown",
        "wants_body",
    )

    def __init__(self, decision: Decision, unknown: str = "") -> None:
        self.decision = decision
        self.unknown = unknown
        self.head: bytes = b""
        self.wants_body: int = 0
        self.cookies: bytes = b""
        self.explains: bool = False
        self.reply: Reply | None = None
        self._pool: Pool | None = None
        self._base: Pool | None = None
        self._tried: list[Instance] | None = None

    def answer_lines(self) -> bytes:
        """The field lines that the answer gets, each led by CRLF."""
        return self.cookies + explain_line(self.decision) if self.explains else self.cookies

    def choose(self, view: ServiceView, fallback: str, strict: bool = False) -> None:
        """Picks the pool of the decision's tag and an instance of it, or falls back to the baseline and says why.

        `fallback` is a reason to use the baseline whatever the pools hold, or empty. Baseline traffic never leaves the
        baseline: where that has nothing usable the decision becomes an error, 503 with a reason. `strict`: the tag's pool or
        an error.
        """
        decision = self.decision
        tag = decision.tag
        if tag != BASE and not fallback:
            pool = view.pools.get(tag)
            if pool is None:
                fallback = ABSENT
            else:
                instance = pool.pick()
                if instance is not None:
                    decision.pool = tag
                    decision.instance = instance
                    self._pool = pool
                    self._base = None if strict else view.base
                    return
                fallback = EJECTED if pool.is_ejected else ALL_UNHEALTHY
            if strict:
                decision.pool = tag
                has = "no instance" if pool is None else "no usable instance"
                decision.refuse(
                    LANE_UNAVAILABLE, f"the lane is strict, and service {view.name} has {has} with tag {tag}"
                )
                return
        decision.fallback = fallback
        decision.pool = BASE
        self._pool = view.base
        decision.instance = view.base.pick()
        if decision.instance is None:
            decision.refuse(NO_INSTANCES, _why_none(view))

    def choose_other(self) -> Instance | None:
        """Another instance after the chosen one refused the connection: of the same pool first, then the baseline's.

        Returns None (the decision unchanged) where everything was tried.
        """
        decision = self.decision
        pool = self._pool
        if pool is None or decision.instance is None:
            return None
        if self._tried is None:
            self._tried = []
        self._tried.append(decision.instance)
        instance = pool.pick_other(self._tried)
        if instance is None and self._base is not None:
            instance = self._base.pick_other(self._tried)
            if instance is not None:
                self._pool = self._base
                self._base = None
                decision.pool = BASE
                decision.fallback = CONNECT_ERROR
        if instance is not None:
            decision.instance = instance
        return instance


def _why_none(view: ServiceView) -> str:
    if not view.instances:
        return f"service {view.name} has no instances"
    if not view.base.size:
        return f"service {view.name} has no baseline instances, only {', '.join(sorted(view.pools))}"
    return f"none of the {view.base.size} baseline instances of service {view.name} is usable"
