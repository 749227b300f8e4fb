"""How far the lists of a registry are trusted.

What comes is accepted at once; what *goes* may be the registry's own trouble. Three things make it doubtful:

* the list is empty: a restarted Nacos returns 200 with an empty list until its clients have registered again;
* the registry was away, or empty, a moment ago: its clients come back one by one;
* most instances of a tag go in one step.

Then what went is kept until the same list has lasted for a while, but for those that the registry knows to be no more: an
address of theirs may be somebody else's. A *tag* that goes while its service stays is accepted at
once: closing a gray environment looks just like that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.instance import Instance
from gateway.tags import BASE

EMPTY: Final = "empty"
RETURNED: Final = "returned"
DROP: Final = "drop"
DOUBTS: Final = (EMPTY, RETURNED, DROP)
"""Why a list is not accepted (yet)."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How many equal lists over how many seconds confirm what is doubtful."""

    lists: int = 3
    seconds: float = 15.0
    """A Nacos client's heartbeat time-out, within which a living instance registers again."""
    drop_lists: int = 2
    drop_seconds: float = 5.0
    longest: float = 60.0
    """Seconds after which a list that is not empty is accepted, though it kept changing; since the registry was away last."""
    empty_lists: int = 20
    empty_seconds: float = 300.0
    """How often, and for how long, an empty list confirms itself though errors come between."""
    drop_share: float = 0.6
    drop_least: int = 3
    """A drop is more than this share of a tag's instances, and at least so many."""


class ListGuard:
    """The accepted list of one service. `doubt` is why the last response is not accepted whole; empty if it is."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self.instances: tuple[Instance, ...] = ()
        self.doubt = ""
        self._was_away = False
        self._candidate: frozenset[str] = frozenset()
        self._since = 0.0
        self._doubted_since = 0.0
        self._changing_since = 0.0
        self._has_returned = False
        self._repeats = 0
        self._empties = 0

    def restore(self, instances: tuple[Instance, ...]) -> None:
        """Takes what was known in an earlier life of this process; the registry has yet to confirm it."""
        self.instances = instances
        self._was_away = True

    def interrupted(self, was_away: bool) -> None:
        """A lookup failed. `was_away`: the registry may have restarted."""
        self._repeats = 0
        self._was_away = self._was_away or was_away
        self._has_returned = self._has_returned or was_away

    def take(
        self, found: tuple[Instance, ...], now: float, is_gone: Callable[[Instance], bool] = lambda _: False
    ) -> None:
        """Accepts a list, at a time in seconds. `is_gone` says of whom there is no doubt."""
        addresses = frozenset(instance.address for instance in found)
        missing = tuple(
            instance for instance in self.instances if instance.address not in addresses and not is_gone(instance)
        )
        doubted = self._doubted(found, missing)
        if not doubted:
            self.accept(found)
            return
        doubt, kept = doubted
        if not self.doubt:
            self._doubted_since = now
        if not self.doubt or self._has_returned:
            # Its clients begin to come back only now, however long they have been doubted.
            self._changing_since = now
            self._has_returned = False
        if addresses != self._candidate or not self._repeats:
            self._candidate, self._since, self._repeats = addresses, now, 0
        self._repeats += 1
        self._empties = self._empties + 1 if doubt == EMPTY else 0
        if self._is_confirmed(doubt, bool(found), now):
            self.accept(found)
            return
        if doubt == EMPTY:
            self._was_away = self._has_returned = True  # its clients will come back one by one
        self.doubt = doubt
        merged = {instance.address: instance for instance in (*found, *kept)}
        self.instances = tuple(merged[address] for address in sorted(merged))

    def accept(self, found: tuple[Instance, ...]) -> None:
        """Takes a list that is beyond doubt."""
        self.instances = found
        self.doubt = ""
        self._was_away = False
        self._repeats = self._empties = 0

    def _doubted(
        self, found: tuple[Instance, ...], missing: tuple[Instance, ...]
    ) -> tuple[str, tuple[Instance, ...]] | None:
        """Why the missing ones may be there all the same, and which are kept for it."""
        if not missing:
            return None
        if not found:
            return EMPTY, missing
        if self._was_away:
            return RETURNED, missing
        kept = tuple(instance for instance in missing if self._has_dropped(instance.tag, found, missing))
        return (DROP, kept) if kept else None

    def _has_dropped(self, tag: str, found: tuple[Instance, ...], missing: tuple[Instance, ...]) -> bool:
        patience = self._patience
        gone = sum(instance.tag == tag for instance in missing)
        left = sum(instance.tag == tag for instance in found)
        if gone < patience.drop_least or (not left and tag != BASE):
            return False
        before = sum(instance.tag == tag for instance in self.instances)
        return gone / before > patience.drop_share

    def _is_confirmed(self, doubt: str, is_something: bool, now: float) -> bool:
        patience = self._patience
        lists, seconds = patience.lists, patience.seconds
        if doubt == DROP:
            lists, seconds = patience.drop_lists, patience.drop_seconds
        if self._repeats >= lists and now - self._since >= seconds:
            return True
        if is_something:
            return now - self._changing_since >= patience.longest
        return self._empties >= patience.empty_lists and now - self._doubted_since >= patience.empty_seconds
