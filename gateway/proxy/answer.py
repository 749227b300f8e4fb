"""What an instance says before the body of its answer: interim answers, a switch of protocols, the final head."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gateway import hop
from gateway.errors import ProtocolError
from gateway.http.prefix import Prefix
from gateway.http.response import UNTIL_CLOSE, Response, without
from gateway.proxy.attempts import turn_away
from gateway.proxy.download import Download
from gateway.tags import BASE

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange

MAX_INTERIM: Final = 64
"""Interim answers (1xx) to one request: each costs a look at a head, and a write."""
_CODING_FIELD: Final = re.compile(rb"\r\ntransfer-encoding:[^\r]*", re.IGNORECASE)


def receive_head(exchange: Exchange, data: bytes) -> None:
    """Takes what came before the final head was whole, and passes on what can be."""
    seen = len(exchange.partial)
    if seen:
        data = exchange.partial + data
    while True:
        try:
            response = exchange.context.response_reader.read(data, exchange.request.method, seen)
        except ProtocolError as error:
            exchange.answer_failed("bad_answer", error.detail)
            return
        if response is None:
            exchange.partial = data
            return
        if response.status >= 200:
            break
        if response.status == 101:
            _switch(exchange, response, data)
            return
        exchange.interims += 1
        if exchange.interims > MAX_INTERIM:
            exchange.answer_failed("bad_answer", f"the instance gave more than {MAX_INTERIM} interim answers")
            return
        _pass_interim(exchange, response, data)
        data = data[response.end :]
        seen = 0
        if not data:
            exchange.partial = b""
            return
    exchange.partial = b""
    if response.hop and exchange.plan.hop and _took_refusal(exchange, response.hop, response.status):
        return
    _pass_head(exchange, response, data)


def _took_refusal(exchange: Exchange, reason: bytes, status: int) -> bool:
    """Whether this was a sidecar's refusal, and was dealt with: the request goes elsewhere, or there is nobody else."""
    if hop.STATUS_OF.get(reason) != status:
        return False
    decision = exchange.plan.decision
    instance = decision.instance
    goes_on = turn_away(exchange, reason)
    if not goes_on and reason == hop.UNAVAILABLE:
        return False  # what it says of its application is the answer
    exchange.answered_at = 0.0
    if goes_on:
        exchange.begin_again()
    else:
        address = "" if instance is None else instance.address
        upload = exchange.upload
        is_whole = upload is None or upload.can_replay
        why = "there is no other one" if is_whole else "the body is too long to be sent again"
        code = "lane_unavailable" if is_whole and decision.pool != BASE else "no_instances"
        exchange.fail(
            503, code, f"{address} is not the instance of service {decision.service} that was meant, and {why}"
        )
    return True


def _switch(exchange: Exchange, response: Response, data: bytes) -> None:
    """Passes 101 on: from here on the connections are a tunnel."""
    if not exchange.request.upgrade or not response.upgrade or not exchange.request_done:
        exchange.answer_failed("bad_answer", "the instance switched protocols unasked")
        return
    switch = b"\r\nConnection: Upgrade\r\nUpgrade: " + response.upgrade
    exchange.downstream.write(response.head(data, switch) + data[response.end :])
    exchange.open_tunnel()


def _pass_interim(exchange: Exchange, response: Response, data: bytes) -> None:
    # RFC 9110 §15.2: 1xx are passed on, but not to HTTP/1.0. We have said 100 ourselves where the client expected it.
    request = exchange.request
    if request.version == 1 and not (response.status == 100 and request.expects_continue):
        exchange.downstream.write(response.head(data, b""))


def _pass_head(exchange: Exchange, response: Response, data: bytes) -> None:
    """Passes on a final head, and what came behind it."""
    request = exchange.request
    body = response.body
    exchange.response = response
    if exchange.upload is not None:
        exchange.upload.give_up()
    keeps = exchange.keeps = (
        request.keep_alive
        and exchange.request_done
        and not exchange.context.is_draining
        and (body >= 0 or request.version == 1)
    )
    end = response.end
    size = len(data) - end
    plan = exchange.plan
    added = plan.answer_lines() if plan.explains or plan.answer_fields else b""
    if plan.stripped and response.has_places:
        added = Prefix(plan.stripped, request, exchange.downstream.peer.is_trusted).restore(response, data) + added
    if keeps and 0 <= body >= size and response.minor == 1 and request.version == 1 and not added:
        # The common case: the packet as it came, less the hop-by-hop fields, in one write.
        cuts = response.cuts
        exchange.downstream.write(without(data, 0, len(data), cuts) if cuts else data)
        exchange.sent = size
        if body == size:
            exchange.answer_ended(True)
        else:
            exchange.download = Download(body - size, False)
            exchange.expect_answer()
        return
    if body == UNTIL_CLOSE and request.version == 1:
        added += b"\r\nTransfer-Encoding: chunked"
    if not keeps:
        added += b"\r\nConnection: close"
    elif request.version == 0:
        added += b"\r\nConnection: keep-alive"
    head = response.head(data, added)
    if request.version == 0:
        head = _CODING_FIELD.sub(b"", head)
    download = exchange.download = Download(body, request.version == 0)
    download.receive(exchange, data[end:], head)
    if not exchange.is_over:
        exchange.expect_answer()
