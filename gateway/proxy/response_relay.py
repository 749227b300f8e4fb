"""One response on its way down: interim responses, a switch of protocols, a sidecar's refusal, the final head, the body."""

from __future__ import annotations

import re
from typing import Final

from gateway import hop
from gateway.errors import ProtocolError
from gateway.failures import BAD_RESPONSE
from gateway.grpc.status import is_fault
from gateway.http.prefix import Prefix
from gateway.http.response import MAX_INTERIM, UNTIL_CLOSE, Response, without
from gateway.proxy.blame import blame
from gateway.proxy.client import Client
from gateway.proxy.record import Record
from gateway.proxy.relay import Relay
from gateway.proxy.request_body import RequestBody
from gateway.proxy.response_body import ENDED, MORE, ResponseBody
from gateway.routing.verdict import Forward

_CODING_FIELD: Final = re.compile(rb"\r\ntransfer-encoding:[^\r]*", re.IGNORECASE)

# What has become of the response, beside what `response_body` says of a body.
SWITCHED: Final = 4
"""The instance has switched protocols, and the client was notified."""
REFUSED: Final = 5
"""A sidecar has refused the request unprocessed: see `refused`. The client was sent nothing."""


class ResponseRelay(Relay):
    """From HTTP/1 to HTTP/1: packets are passed on as they come, as far as that can be."""

    __slots__ = ("_body", "_client", "_forward", "_interims", "_partial", "_record")

    def __init__(self, client: Client, record: Record, forward: Forward) -> None:
        super().__init__()
        self._client = client
        self._record = record
        self._forward = forward
        self._interims: int = 0
        self._partial: bytes = b""
        self._body: ResponseBody | None = None

    @property
    def is_in_head(self) -> bool:
        """Whether part of a head has come."""
        return bool(self._partial)

    @property
    def is_told_by_closing(self) -> bool:
        """Whether only the close of its connection tells the client that it has the whole response."""
        return self._body is not None and self._body.is_told_by_closing

    def receive(self, data: bytes, request_body: RequestBody | None) -> int:
        """See `Relay`."""
        return self._read(data, request_body) if self._body is None else self._body.receive(data)

    def begin(self, head: bytes, data: bytes, request_body: RequestBody | None) -> int:
        """See `Relay`."""
        return self._read(head + data, request_body, len(head) - 4)

    def _read(self, data: bytes, request_body: RequestBody | None, end: int = -1) -> int:
        """Reads heads until the final one, and passes on what there is. The first one ends at `end`, if that is known."""
        seen = len(self._partial)
        if seen:
            data = self._partial + data
        request = self._record.request
        reader = self._client.context.response_reader
        is_edited = self._forward.response_edit is not None
        while True:
            if end >= 0:
                response: Response | None = reader.read_whole(data, end, request.method, is_edited)
                end = -1
            else:
                response = reader.read(data, request.method, seen, is_edited=is_edited)
            if response is None:
                self._partial = data
                return MORE
            if response.status >= 200:
                break
            if response.status == 101:
                self._switch(response, data, request_body)
                return SWITCHED
            self._interims += 1
            if self._interims > MAX_INTERIM:
                raise ProtocolError(BAD_RESPONSE, f"the instance sent more than {MAX_INTERIM} interim responses")
            # RFC 9110 §15.2: 1xx are passed on, but not to HTTP/1.0. We have said 100 ourselves if the client expected it.
            if request.version and not (response.status == 100 and request.expects_continue):
                self._client.send_interim(response.head(data, b""))
            data = data[response.end :]
            seen = 0
            if not data:
                self._partial = b""
                return MORE
        self._partial = b""
        if response.told and self._forward.target_line and hop.STATUS_OF.get(response.told) == response.status:
            self.refused = response
            self._partial = data
            return REFUSED
        return self._pass_head(response, data, request_body)

    def pass_refusal(self, request_body: RequestBody | None) -> int:
        """Passes on a refusal that is the response after all. Returns and raises as `receive`."""
        response, data = self.refused, self._partial
        assert response is not None
        self.refused = None
        self._partial = b""
        return self._pass_head(response, data, request_body)

    def proceed(self, has_ended: bool = False) -> int:
        """Passes on what was left for a later turn; all of it, if the instance has ended. Returns and raises as `receive`."""
        return MORE if self._body is None else self._body.proceed(has_ended)

    def take_trailers(self, lines: bytes) -> None:
        """See `Relay`."""
        body = self._body
        if body is not None:
            body.take_trailers(lines)

    def end(self) -> bool:
        """Takes that the instance has closed, and meant to; returns whether that is the end of the response."""
        body = self._body
        if body is None or not body.ends_with_connection:
            return False
        body.end()
        return True

    def _switch(self, response: Response, data: bytes, request_body: RequestBody | None) -> None:
        """Passes 101 on."""
        is_whole = request_body is None or request_body.is_done
        if not self._record.request.upgrade or not response.upgrade or not is_whole:
            raise ProtocolError(BAD_RESPONSE, "the instance switched protocols without being asked to")
        switch = b"\r\nConnection: Upgrade\r\nUpgrade: " + response.upgrade
        self._client.write(response.head(data, switch) + data[response.end :])

    def _added(self, response: Response, data: bytes) -> bytes:
        """The field lines, each led by CRLF, that are added to the response's."""
        record = self._record
        record.grpc_status = response.grpc_status
        decision = record.decision
        added = decision.response_lines() if decision.explains or decision.response_fields else b""
        stripped = self._forward.stripped
        if response.status >= 500 or (response.grpc_status > 0 and is_fault(response.grpc_status)):
            added += blame(record, self._forward, response.told)
        if stripped and response.has_places:
            forward = self._forward
            prefix = Prefix(stripped, record.request, self._client.peer.is_trusted, forward.replacement)
            added = prefix.restore(response, data) + added
        edit = self._forward.response_edit
        if edit is not None:
            response.cut_named(data[response.line_end + 2 : response.end - 4].split(b"\r\n"), edit.names)
            added += edit.led
        return added

    def _pass_head(self, response: Response, data: bytes, request_body: RequestBody | None) -> int:
        """Passes on a final head, and what came after it."""
        client = self._client
        record = self._record
        request = record.request
        body = response.body
        keeps = self.keeps = (
            request.keep_alive
            and (request_body is None or request_body.is_done)
            and not client.context.is_draining
            and (body >= 0 or request.version == 1)
        )
        end = response.end
        size = len(data) - end
        added = self._added(response, data)
        self.response = response
        record.upstream_status = response.status
        record.response_head = end
        if keeps and 0 <= body >= size and response.minor == 1 and request.version == 1 and not added:
            # The common case: the packet as it came, less the hop-by-hop fields, in one write.
            cuts = response.cuts
            client.write(without(data, 0, len(data), cuts) if cuts else data)
            record.sent = size
            if body == size:
                return ENDED
            self._body = ResponseBody(body - size, False, client, record, self._forward, response.hidden)
            return MORE
        if body == UNTIL_CLOSE and request.version == 1:
            added += b"\r\nTransfer-Encoding: chunked"
        if not keeps:
            added += b"\r\nConnection: close"
        elif request.version == 0:
            added += b"\r\nConnection: keep-alive"
        head = response.head(data, added)
        if request.version == 0:
            head = _CODING_FIELD.sub(b"", head)
        relayed = self._body = ResponseBody(body, request.version == 0, client, record, self._forward, response.hidden)
        try:
            return relayed.receive(data[end:], head)
        except ProtocolError:
            if not relayed.is_begun:
                # Nothing of it was passed on: the client can still get a whole 502.
                self.response = None
                record.upstream_status = record.response_head = 0
            raise
