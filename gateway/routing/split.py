"""Backends: the services among which a route divides its requests, by weight and by the requests' tags."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from gateway.http.edits import HeaderEdit
from gateway.routing.services import ServiceView
from gateway.rules.buckets import BUCKETS, bucket_of
from gateway.rules.checks import NO_CLAIMS
from gateway.rules.context import MatchContext
from gateway.rules.fields import Field
from gateway.rules.sources import SOURCES
from gateway.tags import BASE


class Backend:
    """One service. `tag` is what its requests are marked with, if that is known beforehand; `problem` is why none can be sent.

    The edits are what is changed of the fields of its requests and responses.
    """

    __slots__ = ("problem", "request_edit", "response_edit", "service", "tag", "weight")

    def __init__(
        self,
        service: str,
        weight: int,
        tag: str = "",
        problem: str = "",
        *,
        request_edit: HeaderEdit | None = None,
        response_edit: HeaderEdit | None = None,
    ) -> None:
        self.service = service
        self.weight = weight
        self.tag = tag
        self.problem = problem
        self.request_edit = request_edit
        self.response_edit = response_edit

    def lane_of(self, services: Mapping[str, ServiceView]) -> str:
        """The tag of what goes there: the one it was given, or that of all its instances; `base` for none."""
        if self.tag:
            return self.tag
        view = services.get(self.service)
        return BASE if view is None else view.sole_tag


class Split:
    """All backends of a route. `by` is the source and the name of what clients are told apart by (see `rules.shares`)."""

    __slots__ = ("_key", "_salt", "_weighed", "backends")

    def __init__(self, backends: Sequence[Backend], by: tuple[str, str] | None = None, salt: str = "") -> None:
        self.backends: tuple[Backend, ...] = tuple(backends)
        self._weighed: list[Backend] = [backend for backend in backends if backend.weight > 0]
        self._salt = salt
        self._key: Field | None = None
        if by is not None:
            self._key = key_field(by)

    def choose(
        self, tag: str, context: MatchContext, services: Mapping[str, ServiceView], source: random.Random
    ) -> Backend | None:
        """The backend of a request that is marked with `tag`, or is not (`base`); None if there is none.

        A marked one goes to the backend of its tag, whatever the weights, or else to one without a tag. Weights are for the
        others.
        """
        weighed = self._weighed
        if tag != BASE:
            for backend in self.backends:
                if not backend.problem and backend.lane_of(services) == tag and _has_instances(backend, services):
                    return backend
            weighed = [backend for backend in weighed if backend.lane_of(services) == BASE] or weighed
        if len(weighed) < 2:
            return weighed[0] if weighed else None
        total = 0
        for backend in weighed:
            total += backend.weight
        point = self._draw(context, source) * total
        for backend in weighed:
            point -= backend.weight
            if point < 0:
                return backend
        return weighed[-1]

    def _draw(self, context: MatchContext, source: random.Random) -> float:
        """From 0 to 1: the same for one client always, if it can be told."""
        value = None if self._key is None else self._key.read(context)
        return source.random() if value is None else bucket_of(self._salt, value) / BUCKETS


def key_field(by: tuple[str, str]) -> Field:
    """What reads a value that clients are told apart by: `by` is a source of conditions (but `time` and `jwt`), and a name."""
    return SOURCES[by[0]].field(by[1], False, _no_time, _no_claims)


def _has_instances(backend: Backend, services: Mapping[str, ServiceView]) -> bool:
    view = services.get(backend.service)
    return view is not None and bool(view.instances)


def _no_time() -> float:
    return 0.0


def _no_claims(_: MatchContext) -> Mapping[str, object]:
    return NO_CLAIMS
