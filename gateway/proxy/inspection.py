"""A body that rules look at is kept until it is whole, or longer than they look; then the request is routed by what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.http.content import read_content

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange


def gather(exchange: Exchange) -> None:
    """Goes on with a request of which more of the body has been kept."""
    context = exchange.context
    upload = exchange.upload
    assert upload is not None
    context.inspected += upload.held - exchange.inspected
    exchange.inspected = upload.held
    wanted = exchange.plan.wants_body
    if not upload.is_done and upload.held <= wanted:
        most = context.limits.inspected_bytes
        if context.inspected > most:
            exchange.fail(503, "overloaded", f"bodies of {most} bytes wait for rules already")
        return
    request = exchange.request
    request.is_inspected = True
    if upload.is_done and upload.received <= wanted:
        request.content = read_content(request, upload.kept)
    exchange.plan = context.router.route(request, exchange.downstream.peer, context.now)
    request.content = None  # what was parsed is many times larger than the body, and has done its part
    stop_gathering(exchange)
    exchange.carry_out()


def stop_gathering(exchange: Exchange) -> None:
    """Gives back what the exchange has of the bytes that may be kept for rules."""
    exchange.context.inspected -= exchange.inspected
    exchange.inspected = 0
