"""Errors of this program that a peer's bytes set off: logged once, counted, and the end of no more than one connection."""

from __future__ import annotations

import logging

_log = logging.getLogger("gateway.proxy")

_told: set[tuple[str, int]] = set()
"""Where errors were raised: bounded by the lines of the program."""


def tell_once(error: Exception) -> None:
    """Logs an error with its traceback, unless one from the same line was logged before: a peer may repeat it at will."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = ("", 0) if place is None else (place.tb_frame.f_code.co_filename, place.tb_lineno)
    if where not in _told:
        _told.add(where)
        _log.error(
            "unexpected: the program has a bug; counted, and logged once for this place",
            exc_info=error,
        )
