"""What a router hands to the proxy for one request, and the choice of a pool that all routers share."""

from __future__ import annotations

from gateway.instance import Instance
from gateway.routing.debug import explain_line
from gateway.routing.decision import Decision
from gateway.routing.memory import Visit
from gateway.routing.routes import Reply
from gateway.routing.services import ABSENT, EJECTED, Pool, ServiceView
from gateway.tags import BASE

NO_INSTANCES = "no_instances"
LANE_UNAVAILABLE = "lane_unavailable"


class Peer:
    """The client at the other end of one connection. `ip` is as `plain_ip` spells it.

    `forwarded_for` and `forwarded_proto` are field lines that introduce it to upstreams; `forwarded` is both, and the
    beginning of one that wants the host asked for behind it.
    """

    __slots__ = ("forwarded", "forwarded_for", "forwarded_proto", "ip", "is_secure", "is_trusted")

    def __init__(self, ip: str, is_trusted: bool = False, scheme: str = "http") -> None:
        self.ip = ip
        self.is_trusted = is_trusted
        self.is_secure: bool = scheme == "https"
        self.forwarded_for: bytes = f"X-Forwarded-For: {ip}\r\n".encode("latin-1")
        self.forwarded_proto: bytes = f"X-Forwarded-Proto: {scheme}\r\n".encode("latin-1")
        self.forwarded: bytes = self.forwarded_for + self.forwarded_proto + b"X-Forwarded-Host: "


class Plan:
    """A decision and how to carry it out: the head to send and the pool to send it to.

    `reply` is an answer that the route gives without a service.
    `unknown` names a service whose instances are not known yet: learn them and route again. `wants_body` is how many bytes
    of the body rules want to see: read it and route again. `answer_fields` are field lines for the answer, each led by CRLF;
    `explains`: the answer is to say why. `stripped` is the prefix taken off the path that the answer is to get back. `hop` is
    the line of `head` that says which instance is meant, empty if there is none. `visit` is to be left when the request is
    over.
    """

    __slots__ = (
        "_base",
        "_pool",
        "_tried",
        "answer_fields",
        "decision",
        "explains",
        "head",
        "hop",
        "reply",
        "stripped",
        "unknown",
        "visit",
        "wants_body",
    )

    def __init__(self, decision: Decision, unknown: str = "") -> None:
        self.decision = decision
        self.unknown = unknown
        self.head: bytes = b""
        self.hop: bytes = b""
        self.visit: Visit | None = None
        self.wants_body: int = 0
        self.answer_fields: bytes = b""
        self.explains: bool = False
        self.stripped: bytes = b""
        self.reply: Reply | None = None
        self._pool: Pool | None = None
        self._base: Pool | None = None
        self._tried: list[Instance] | None = None

    def answer_lines(self) -> bytes:
        """The field lines that the answer gets, each led by CRLF."""
        return self.answer_fields + explain_line(self.decision) if self.explains else self.answer_fields

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
                instance = pool.pick() or (pool.pick_ejected() if strict else None)
                if instance is not None:
                    decision.pool = tag
                    decision.instance = instance
                    self._pool = pool
                    self._base = None if strict else view.base
                    return
                fallback = pool.lack
            if strict:
                decision.pool = tag
                has = "no instance" if pool is None else "no usable instance"
                decision.refuse(
                    LANE_UNAVAILABLE, f"the lane is strict, and service {view.name} has {has} with tag {tag}"
                )
                return
        instance = view.base.pick()
        if instance is None and fallback == EJECTED:
            # Nobody is behind the pool: better tried than refused.
            pool = view.pools[tag]
            decision.pool = tag
            decision.instance = pool.pick_ejected()
            self._pool = pool
            return
        decision.fallback = fallback
        decision.pool = BASE
        decision.instance = instance
        self._pool = view.base
        if instance is None:
            decision.refuse(NO_INSTANCES, _why_none(view))

    def other(self) -> Instance | None:
        """Another instance of the pool that was chosen, None if all of them were tried."""
        return None if self._pool is None else self._pool.pick_other(self._tried_too())

    def other_in_baseline(self) -> Instance | None:
        """An instance of the baseline behind a tagged pool, None if that is no way out or was taken already."""
        return None if self._base is None else self._base.pick_other(self._tried_too())

    def turn_to(self, instance: Instance) -> None:
        """Changes the plan to another instance of the same pool."""
        self.decision.instance = instance
        if self.hop and self.hop != instance.hop:
            # There is no other such line in the head: those that came in were cut. But the end of a client's line may read
            # the same (`Some-X-Gray-Hop: …`), so the line break in front of it belongs to what is looked for.
            self.head = self.head.replace(b"\r\n" + self.hop, b"\r\n" + instance.hop, 1)
            self.hop = instance.hop

    def fall_back_to(self, instance: Instance, reason: str) -> None:
        """Changes the plan to an instance of the baseline."""
        self._pool = self._base
        self._base = None
        self.decision.pool = BASE
        self.decision.fallback = reason
        self.turn_to(instance)

    def _tried_too(self) -> list[Instance]:
        """Who was tried, the present instance among them."""
        instance = self.decision.instance
        if self._tried is None:
            self._tried = []
        if instance is not None and instance not in self._tried:
            self._tried.append(instance)
        return self._tried


def _why_none(view: ServiceView) -> str:
    if not view.instances:
        return f"service {view.name} has no instances"
    if not view.base.size:
        return f"service {view.name} has no baseline instances, only {', '.join(sorted(view.pools))}"
    return f"none of the {view.base.size} baseline instances of service {view.name} is usable"
