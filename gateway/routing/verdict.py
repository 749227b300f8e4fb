"""What a router decides for one request: one of five verdicts, each with what is needed to carry it out and no more."""

from __future__ import annotations

from collections.abc import Callable, Collection

from gateway.failures import LANE_UNAVAILABLE, NO_INSTANCES, Failure
from gateway.http.compression import Compression
from gateway.http.edits import HeaderEdit
from gateway.instance import Instance
from gateway.routing.choosing import Choice
from gateway.routing.decision import Decision
from gateway.routing.memory import Visit
from gateway.routing.replies import RouteResponse
from gateway.routing.services import ABSENT, EJECTED, NOBODY, Pool, ServiceView
from gateway.rules.mirrored import MirroredLane
from gateway.tags import BASE


class Verdict:
    """A decision, and (in the subclasses) what is to be done."""

    __slots__ = ("decision",)

    def __init__(self, decision: Decision) -> None:
        self.decision = decision

    def ended(self) -> None:
        """The request is over, whatever became of it. To be called once."""

    def abandoned(self, now: float) -> None:
        """It is about to end without a whole response. `now` is seconds on the loop's clock."""


class Refuse(Verdict):
    """Tell the client why the request goes nowhere: `detail` is a sentence for a person."""

    __slots__ = ("detail", "failure")

    def __init__(self, decision: Decision, failure: Failure, detail: str) -> None:
        super().__init__(decision)
        self.failure = failure
        self.detail = detail
        decision.refuse(failure.code, detail)


class Reply(Verdict):
    """Give the route's own response."""

    __slots__ = ("response",)

    def __init__(self, decision: Decision, response: RouteResponse) -> None:
        super().__init__(decision)
        self.response = response


class NeedBody(Verdict):
    """Read the body, as far as `limit` bytes, and route again with its content: rules look at it."""

    __slots__ = ("limit",)

    def __init__(self, decision: Decision, limit: int) -> None:
        super().__init__(decision)
        self.limit = limit


class NeedService(Verdict):
    """Learn the instances of `service`, and route again."""

    __slots__ = ("service",)

    def __init__(self, decision: Decision, service: str) -> None:
        super().__init__(decision)
        self.service = service


# More public members than most: what an exchange goes through on its way, and what each protocol does with the head.
class Forward(Verdict):
    """Send `head` to the decision's instance.

    `stripped` is the prefix taken off the path that the response is to get back, `replacement` what is there instead.
    `target_line` is the line of `head` that says which instance is meant, empty if there is none. `response_edit` is what is
    changed of the response's fields. `copied_to` is the lane that gets a copy of the request. `choice` is how its instance is
    chosen; None: by turns.
    """

    __slots__ = (
        "_base",
        "_pool",
        "_tried",
        "choice",
        "copied_to",
        "head",
        "replacement",
        "response_edit",
        "stripped",
        "target_line",
    )

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.head: bytes = b""
        self.stripped: bytes = b""
        self.replacement: bytes = b""
        self.target_line: bytes = b""
        self.response_edit: HeaderEdit | None = None
        self.copied_to: MirroredLane | None = None
        self.choice: Choice | None = None
        self._pool = NOBODY
        self._base = NOBODY
        self._tried: tuple[Instance, ...] = ()

    @property
    def instance(self) -> Instance:
        """Where the request goes, after `choose`."""
        instance = self.decision.instance
        assert instance is not None
        return instance

    def choose(self, view: ServiceView, fallback: str, strict: bool = False) -> Refuse | None:
        """Picks the pool of the decision's tag and an instance of it, or falls back to the baseline and says why.

        `fallback` is a reason to use the baseline whatever the pools hold, or empty. Baseline traffic never leaves the
        baseline: if that has nothing usable, the request is refused. `strict`: the tag's pool or a refusal.
        """
        decision = self.decision
        tag = decision.tag
        if tag != BASE and not fallback:
            pool = view.pools.get(tag)
            if pool is None:
                fallback = ABSENT
            else:
                instance = self._pick(pool) or (pool.pick_ejected() if strict else None)
                if instance is not None:
                    decision.pool = tag
                    self._pool = pool
                    if not strict:
                        self._base = view.base
                    self._take(instance)
                    return None
                fallback = pool.lack
            if strict:
                decision.pool = tag
                has = "no instance" if pool is None else "no usable instance"
                why = f"the lane is strict, and service {view.name} has {has} with tag {tag}"
                return Refuse(decision, LANE_UNAVAILABLE, why)
        instance = self._pick(view.base)
        if instance is None and fallback == EJECTED:
            # Nobody is behind the pool: better tried than refused.
            pool = view.pools[tag]
            decision.pool = tag
            self._pool = pool
            instance = pool.pick_ejected()
        else:
            decision.fallback = fallback
            decision.pool = BASE
            self._pool = view.base
        if instance is None:
            return Refuse(decision, NO_INSTANCES, _why_none(view))
        self._take(instance)
        return None

    def waits(self) -> None:
        """The request waits for a connection: the instance does not have it."""

    def goes_on(self) -> None:
        """It has waited, and the instance gets it now."""

    def other(self) -> Instance | None:
        """Another instance of the pool that was chosen, None if all of them were tried."""
        return self._pick(self._pool, self._tried_too())

    def other_but(self, is_out: Callable[[Instance], bool]) -> Instance | None:
        """Another instance of the pool that is not out, None if there is none."""
        pool = self._pool
        passed = frozenset((*self._tried_too(), *[instance for instance in pool.usable if is_out(instance)]))
        # Of a pool that is down, every request asks for one.
        return None if passed.issuperset(pool.usable) else self._pick(pool, passed)

    def other_in_baseline(self) -> Instance | None:
        """An instance of the baseline behind a tagged pool, None if that is not a way out or was taken already."""
        return self._pick(self._base, self._tried_too())

    def turn_to(self, instance: Instance) -> None:
        """Turns to another instance of the same pool."""
        self._take(instance)
        line = self.target_line
        if line and line != instance.target_line:
            # There is no other such line in the head: those that came in were cut. But the end of a client's line may read
            # the same (`Some-X-Gray-Hop: …`), so the line break in front of it belongs to what is looked for.
            self.head = self.head.replace(b"\r\n" + line, b"\r\n" + instance.target_line, 1)
            self.target_line = instance.target_line

    def fall_back_to(self, instance: Instance, reason: str) -> None:
        """Turns to an instance of the baseline."""
        self._pool = self._base
        self._base = NOBODY
        self.decision.pool = BASE
        self.decision.fallback = reason
        self.turn_to(instance)

    def _pick(self, pool: Pool, tried: Collection[Instance] = ()) -> Instance | None:
        choice = self.choice
        if choice is not None:
            return pool.pick_by(choice, tried)
        return pool.pick_other(tried) if tried else pool.pick()

    def _take(self, instance: Instance) -> None:
        decision = self.decision
        decision.instance = instance
        choice = self.choice
        if choice is not None:
            pool = self._pool
            decision.chosen_by = choice.how
            decision.response_fields = choice.pin(pool.service, pool.tag, instance, decision.response_fields)

    def _tried_too(self) -> tuple[Instance, ...]:
        """Who was tried, the present instance among them."""
        instance = self.decision.instance
        if instance is not None and instance not in self._tried:
            self._tried = (*self._tried, instance)
        return self._tried


class CompressedForward(Forward):
    """A request whose response may be compressed. `give_back` is called at the end, if that has taken a place."""

    __slots__ = ("compression", "give_back")

    def __init__(self, decision: Decision, compression: Compression) -> None:
        super().__init__(decision)
        self.compression = compression
        self.give_back: Callable[[], None] | None = None

    def ended(self) -> None:
        """The request is over."""
        if self.give_back is not None:
            self.give_back()


class InboundForward(Forward):
    """A request that is remembered for as long as it is under way."""

    __slots__ = ("_visit",)

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision)
        self._visit: Visit | None = None

    def remember(self, visit: Visit) -> None:
        """Takes the visit that is to be left at the end."""
        self._visit = visit

    def has_failed_call(self, since: float, now: float) -> bool:
        """Whether a call that the application made for this request failed `since` then, or waits in vain.

        Times are `perf_counter`'s.
        """
        return self._visit is not None and self._visit.has_failed_call(since, now)

    def waits(self) -> None:
        """See `Forward`."""
        if self._visit is not None:
            self._visit.leave()

    def goes_on(self) -> None:
        """See `Forward`."""
        if self._visit is not None:
            self._visit.come_back()

    def abandoned(self, now: float) -> None:
        """See `Verdict`."""
        if self._visit is not None:
            self._visit.abandon(now)

    def ended(self) -> None:
        """The request is over."""
        if self._visit is not None:
            self._visit.leave()


def _why_none(view: ServiceView) -> str:
    if not view.instances:
        return f"service {view.name} has no instances"
    if not view.base.size:
        return f"service {view.name} has no baseline instances, only {', '.join(sorted(view.pools))}"
    return f"none of the {view.base.size} baseline instances of service {view.name} is usable"
