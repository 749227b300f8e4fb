"""A tunnel: what two connections are after the instance has switched protocols (RFC 9110 §7.8), bytes both ways.

A side that does not read stops the other. A side that ends (half-close) is passed on after what it had sent, and the other one
stays open; a side that is lost still has what it had sent delivered.
"""

from __future__ import annotations

from typing import Final

from gateway.failures import Fault
from gateway.proxy.client import Client
from gateway.proxy.record import Record
from gateway.proxy.upstream import ResponseHandler, Upstream
from gateway.routing.patience import Timeouts

FAREWELL: Final = 3600.0
"""Seconds at the most for what a side had sent before it ended."""


class Tunnel(ResponseHandler):
    """It takes what both connections say from then on, and notes how much that was."""

    __slots__ = ("_client", "_client_ended", "_instance_ended", "_record", "_timeouts", "_upstream")

    def __init__(self, client: Client, upstream: Upstream, record: Record, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._client = client
        self._upstream = upstream
        self._record = record
        self._client_ended: bool = False
        self._instance_ended: bool = False
        upstream.handler = self
        upstream.owner.detach(upstream)

    @property
    def is_blocked(self) -> bool:
        """Whether the instance does not take what the client sends."""
        return self._upstream.writes_paused

    def client_sent(self, data: bytes) -> None:
        """Passes on what the client sent."""
        self._record.received += len(data)
        self._upstream.write(data)
        self.expect()

    def response_received(self, data: bytes) -> None:
        """Passes on what the instance sent."""
        self._record.sent += len(data)
        self._client.write(data)
        self.expect()

    def expect(self) -> None:
        """Sets until when something must move: long if nobody has anything to say, soon if somebody does not read."""
        client = self._client
        if not self._upstream.writes_paused and not client.writes_paused:
            client.deadline = client.context.now + self._timeouts.tunnel_idle

    def instance_stalled(self) -> None:
        """The instance does not read: neither is what is for it."""
        self._client.pause_reading()
        self._someone_stalled()

    def instance_drained(self) -> None:
        """The instance has taken what waited."""
        self._client.resume_reading()
        self.expect()

    def client_stalled(self) -> None:
        """The client does not read: neither is what is for it."""
        self._upstream.pause_reading()
        self._someone_stalled()

    def client_drained(self) -> None:
        """The client has taken what waited."""
        self._upstream.resume_reading()
        self.expect()

    def client_ended(self) -> bool:
        """The client sends no more; returns whether its connection stays open for what the instance still sends."""
        self._client_ended = True
        if not self._upstream.end_writing():
            # TLS cannot be closed halfway: the instance has what was sent, and that was all.
            self.close()
            return False
        return not self._instance_ended and not self._client.is_encrypted

    def response_ended(self) -> bool:
        """The instance sends no more; returns whether its connection stays open for what the client still sends."""
        self._instance_ended = True
        if self._client_ended or self._upstream.is_encrypted or not self._client.end_writing():
            self.response_lost()
            return False
        return True

    def response_aborted(self, fault: Fault, detail: str) -> None:
        """The instance has given up. The client has what it had sent."""
        self.response_lost()

    def response_lost(self) -> None:
        """The instance is gone. The client has what it had sent."""
        self.close()
        self._client.tunnel_ended(not self._client_ended)

    def close(self) -> None:
        """Ends the instance's side, after it has what the client had sent."""
        self._upstream.close_when_sent(min(self._timeouts.body_idle, FAREWELL))

    def broken(self) -> None:
        """Notes that this program has hit an internal error."""
        self._client.broken()

    def _someone_stalled(self) -> None:
        self._client.deadline = self._client.context.now + self._timeouts.body_idle
