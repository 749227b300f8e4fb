"""Requests that the gateway answers itself: by what their route says, because of an error, or as the server that was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.proxy.replies import STATUS_OF, error_reply, options_reply

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange


def may_keep(exchange: Exchange) -> bool:
    """Whether the client's connection takes another request behind an answer of our own."""
    return exchange.request.keep_alive and exchange.request_done and not exchange.context.is_draining


def answer_error(exchange: Exchange) -> None:
    """Answers a request that the router did not want to go anywhere."""
    decision = exchange.plan.decision
    if decision.error == "no_route" and exchange.request.path == "*":
        # RFC 9110 §9.3.7: `OPTIONS *` asks the server, and that is us.
        decision.error, decision.route = "", "*"
        keeps = may_keep(exchange)
        exchange.over(204)
        exchange.downstream.write(options_reply(keeps))
        exchange.downstream.exchange_ended(keeps)
    else:
        exchange.fail(STATUS_OF[decision.error], decision.error, decision.detail)


def reply_when_done(exchange: Exchange) -> None:
    """Gives the route's own answer, after the body: what it says is nobody's business."""
    if exchange.upload is not None:
        exchange.upload.drop()
    reply = exchange.plan.reply
    if reply is None or not exchange.request_done:
        return
    keeps = may_keep(exchange)
    request = exchange.request
    has_body = request.method != "HEAD"
    exchange.sent = len(reply.body) if has_body else 0
    exchange.over(reply.status)
    added = exchange.plan.answer_lines()
    if keeps and request.version == 1 and not added:
        exchange.downstream.write(reply.whole if has_body else reply.head + b"\r\n")
    else:
        connection = b"Connection: keep-alive" if keeps else b"Connection: close"
        exchange.downstream.write(reply.head + connection + added + b"\r\n\r\n" + (reply.body if has_body else b""))
    exchange.downstream.exchange_ended(keeps)


def give_error(exchange: Exchange, status: int, code: str, detail: str) -> None:
    """Answers with an error; nobody else answers any more."""
    exchange.cause = code
    keeps = may_keep(exchange)
    exchange.plan.decision.refuse(code, detail)
    exchange.over(status)
    lines = exchange.plan.answer_lines()
    exchange.downstream.write(error_reply(status, code, detail, exchange.request, keeps, lines))
    exchange.downstream.exchange_ended(keeps)
