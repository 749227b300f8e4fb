"""Responses of the release API: orders with their revision, pieces of logs."""

from __future__ import annotations

import re
from pathlib import Path

from aiohttp import web

from gateway.release.ledger import NotThere
from gateway.release.order import Order

MAX_LOG = 1 << 20
"""Bytes of a log that a response has."""


def etag(order: Order) -> str:
    """The ETag of an order's revision."""
    return f'"{order.revision}"'


def revision_of(etag: str) -> int:
    """The revision that an ETag stands for; -1: there is no such revision."""
    found = re.fullmatch(r'"([0-9]{1,15})"', etag)
    return -1 if found is None else int(found[1])


def order_response(order: Order, status: int = 200) -> web.Response:
    """An order, with its ETag."""
    return web.json_response(order.view(), status=status, headers={"ETag": etag(order)})


def created(order: Order) -> web.Response:
    """An order that is new, and where it is."""
    response = order_response(order, 201)
    response.headers["Location"] = f"/api/v1/orders/{order.id}"
    return response


def log_piece(path: Path, offset: int) -> web.Response:
    """A piece of a log from an offset on, and where the next one begins."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(min(offset, size))
            body = file.read(MAX_LOG)
            following = file.tell()
    except OSError as error:
        raise NotThere(f"there is no log: {error.strerror or error}") from error
    return web.json_response({"text": body.decode(errors="replace"), "next": following})
