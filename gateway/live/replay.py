"""A recorded request as rules see it: for what another set of them would do with it."""

from __future__ import annotations

from gateway.errors import ProtocolError
from gateway.http.head_reader import HeadReader
from gateway.live.store import Stored
from gateway.rules.context import MatchContext
from gateway.ruletools.whatif import Recorded

JUDGED = ("rule", "none")
"""Where the tag of a request came from that lanes have decided about."""


def recorded(stored: Stored, *, reader: HeadReader) -> Recorded | None:
    """The request of a record; None if its head was not kept, or no lane had a say.

    It has no body: conditions on that do not hold.
    """
    record = stored.record
    if not record.head or record.tag_source not in JUDGED:
        return None
    try:
        request = reader.read(record.head)
    except ProtocolError:
        return None
    return Recorded(MatchContext(request, record.client_ip, service=record.service), record.time, stored.id)
