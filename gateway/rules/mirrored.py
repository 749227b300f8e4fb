"""The lanes that get copies of unmarked requests, ready to be chosen."""

from __future__ import annotations

from collections.abc import Sequence


# A value of many parts: no behaviour.
class MirroredLane:
    """A lane that gets a `share` of the unmarked requests to `services` (empty: every service) with one of `methods`.

    A gRPC call has the method `package.Service/Method`, which `package.Service/*` means too. The others say what of the responses
    is compared, as `rules.mirrors.Compare` has it. `lane` is `group/lane`.
    """

    __slots__ = (
        "body",
        "compares_status",
        "headers",
        "ignored",
        "lane",
        "methods",
        "services",
        "share",
        "tag",
        "tolerance",
    )

    def __init__(
        self,
        lane: str,
        tag: str,
        services: frozenset[str],
        methods: frozenset[str],
        share: float,
        *,
        compares_status: bool = True,
        headers: tuple[str, ...] = (),
        body: str = "none",
        ignored: tuple[str, ...] = (),
        tolerance: float = 0.0,
    ) -> None:
        self.lane = lane
        self.tag = tag
        self.services = services
        self.methods = methods
        self.share = share
        self.compares_status = compares_status
        self.headers = headers
        self.body = body
        self.ignored = ignored
        self.tolerance = tolerance


class MirroredLanes:
    """In the order in which they are tried: a request is copied once at the most."""

    __slots__ = ("_lanes",)

    def __init__(self, lanes: Sequence[MirroredLane]) -> None:
        self._lanes: tuple[MirroredLane, ...] = tuple(lanes)

    def has(self, lane: str) -> bool:
        """Whether a lane (`group/lane`) mirrors."""
        return any(item.lane == lane for item in self._lanes)

    def find(self, service: str, method: str, draw: float) -> MirroredLane | None:
        """The lane that gets a copy of a request, if one does. `draw` is a random number from 0 up to 1."""
        slash = method.find("/")
        kind = method if slash < 0 else method[:slash] + "/*"
        for lane in self._lanes:
            takes = method in lane.methods or kind in lane.methods
            if takes and (not lane.services or service in lane.services):
                if draw < lane.share:
                    return lane
                draw -= lane.share
        return None
