"""The access log: a line for each request, rendered from what is noted of its exchange.

Own code for one line, because `logging` costs 15 µs a line and this about 2. Values that a client chose are escaped; a
line is a line whatever they hold (CWE-117).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from time import gmtime, strftime, time
from typing import Final

from gateway.failures import Failure
from gateway.grpc.status import NAMES
from gateway.http.grammar import field_pattern
from gateway.http.masking import Mask
from gateway.http.request import VERSIONS, Request
from gateway.proxy.record import Record
from gateway.routing.decision import Decision
from gateway.telemetry.linefile import LineFile

JSON: Final = "json"
COMBINED: Final = "combined"
MAX_VALUE: Final = 2048
"""Bytes of a value that a client chose; the rest is cut off."""

MAX_DECISIONS: Final = 1024
"""Decisions whose part of the line is kept ready."""

QUOTE: Final = 0x22
BACKSLASH: Final = 0x5C

_UNSAFE: Final = re.compile(rb"[^ !#-\[\]-~]")
_REFERER: Final = field_pattern(rb"referer")
_USER_AGENT: Final = field_pattern(rb"user-agent")


class AccessLog:
    """Writes a share of the exchanges to `file`: everything that is not a plain response, and `sample` (0 to 1) of the rest.

    `headers` are request headers to log, `masked` query parameters whose values are not: see `Mask`.
    """

    __slots__ = (
        "_credit",
        "_decisions",
        "_file",
        "_headers",
        "_is_json",
        "_listener",
        "_mask",
        "_millisecond",
        "_sample",
        "_stamp",
    )

    def __init__(
        self,
        file: LineFile,
        listener: str,
        kind: str = JSON,
        sample: float = 1.0,
        headers: Sequence[str] = (),
        masked: Sequence[str] = (),
    ) -> None:
        self._file = file
        self._listener = listener
        self._is_json: bool = kind == JSON
        self._sample = sample
        self._credit: float = 0.0
        self._headers: list[tuple[str, re.Pattern[bytes]]] = [
            (name.lower(), field_pattern(re.escape(name.encode("ascii")))) for name in headers
        ]
        self._mask = Mask(masked)
        self._decisions: dict[tuple[object, ...], str] = {}
        self._millisecond: int = 0
        self._stamp: str = ""

    @property
    def dropped(self) -> int:
        """Lines that could not be written."""
        return self._file.dropped

    def flush(self) -> None:
        """Has the lines so far written."""
        self._file.flush()

    def record(self, record: Record, now: float, overhead: float) -> bool:
        """Logs an exchange that ended `now` (`perf_counter`'s seconds); returns whether it did.

        `overhead` is this program's own share in seconds, negative if there was no response to take it from.
        """
        if record.cause is None and record.status < 500:
            self._credit += self._sample
            if self._credit < 1.0:
                return False
            self._credit -= 1.0
        text = self._json(record, now, overhead) if self._is_json else self._combined(record)
        self._file.add(text.encode("ascii"))
        return True

    def record_refused(self, client_ip: str, failure: Failure) -> None:
        """Logs a request that could not be read."""
        stamp = self._time()
        if self._is_json:
            text = (
                f'{{"ts":"{stamp}","listener":"{self._listener}","client":"{client_ip}","method":null,"target":null,'
                f'"status":{failure.status},"cause":"{failure.code}"}}\n'
            )
        else:
            text = f'{client_ip} - - [{_clf(stamp)}] "-" {failure.status} 0 "-" "-"\n'
        self._file.add(text.encode("ascii"))

    def _json(self, record: Record, now: float, overhead: float) -> str:
        request = record.request
        responded = record.responded_at
        upstream = str(int((responded - record.sent_at) * 1e6)) if responded else "null"
        own = str(int(overhead * 1e6)) if overhead >= 0.0 else "null"
        cause = record.cause
        trace = request.trace_id
        headers = ""
        for name, pattern in self._headers:
            match = pattern.search(request.head, request.line_end)
            if match is not None:
                headers += f'{"," if headers else ""}"{name}":"{_escaped(self._mask.field(name, match[2]))}"'
        return (
            f'{{"ts":"{self._time()}","listener":"{self._listener}","client":"{record.decision.client_ip}",'
            f'"method":"{request.method}","host":"{request.authority.decode("ascii")}",'
            f'"target":"{self._target(request)}","version":"{VERSIONS[request.version]}",'
            f'"status":{record.status},"upstream_status":{record.upstream_status or "null"},'
            f'"cause":{"null" if cause is None else _name(cause.code)},'
            f"{_grpc(record.grpc_status)}"
            f'"bytes_in":{record.received},"bytes_out":{record.sent},'
            f'"duration_us":{int((now - record.started) * 1e6)},"upstream_us":{upstream},"overhead_us":{own},'
            f'{self._decided(record.decision)},"attempts":{record.attempts or 1},'
            f'"trace_id":{_name(trace.decode("ascii"))},"headers":{{{headers}}}}}\n'
        )

    def _decided(self, decision: Decision) -> str:
        """What the line says about a decision: there are few of them, compared with the requests."""
        instance = decision.instance
        key = (
            decision.route,
            decision.service,
            decision.group,
            decision.lane,
            decision.tag,
            decision.tag_source,
            decision.pool,
            decision.fallback,
            decision.lost,
            "" if instance is None else instance.address,
            decision.revision,
            decision.signature,
            decision.rules,
            "" if decision.fault is None else decision.fault.kind,
            decision.is_copy,
        )
        text = self._decisions.get(key)
        if text is None:
            text = (
                f'"route":{_name(decision.route)},"service":{_name(decision.service)},"group":{_name(decision.group)},'
                f'"lane":{_name(decision.lane)},"tag":"{decision.tag}","tag_source":"{decision.tag_source}",'
                f'"pool":"{decision.pool}","fallback":{_name(decision.fallback)},"lost":{_name(decision.lost)},'
                f'"signature":{_name(decision.signature)},"fault":{_name(key[13])},'
                f'"mirror":{"true" if decision.is_copy else "false"},'
                f'"instance":{"null" if instance is None else _name(instance.address)},"revision":{decision.revision},'
                f'"rules":{_name(decision.rules)}'
            )
            if len(self._decisions) >= MAX_DECISIONS:
                self._decisions.clear()
            self._decisions[key] = text
        return text

    def _combined(self, record: Record) -> str:
        request = record.request
        referer = _REFERER.search(request.head, request.line_end)
        agent = _USER_AGENT.search(request.head, request.line_end)
        mask = self._mask
        return (
            f"{record.decision.client_ip} - - [{_clf(self._time())}] "
            f'"{request.method} {self._target(request)} HTTP/{VERSIONS[request.version]}" {record.status} {record.sent} '
            f'"{"-" if referer is None else _escaped(mask.text(referer[2]))}" '
            f'"{"-" if agent is None else _escaped(mask.text(agent[2]))}"\n'
        )

    def _target(self, request: Request) -> str:
        target = self._mask.text(request.target)
        # The grammar of targets leaves two characters that JSON does not take as they are.
        if QUOTE in target or BACKSLASH in target or len(target) > MAX_VALUE:
            return _escaped(target)
        return target.decode("ascii")

    def _time(self) -> str:
        """The time as RFC 3339 has it, in UTC with milliseconds."""
        millisecond = int(time() * 1000.0)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            second, rest = divmod(millisecond, 1000)
            self._stamp = f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(second))}.{rest:03d}Z"
        return self._stamp


def _grpc(status: int) -> str:
    """What a line says about a gRPC call; nothing of any other request."""
    return f'"grpc_status":"{NAMES[status]}",' if status >= 0 else ""


def _escaped(value: bytes) -> str:
    """A value that a client chose, as the inside of a JSON string: ASCII without quotes or control characters."""
    if len(value) > MAX_VALUE:
        value = value[:MAX_VALUE]
    if _UNSAFE.search(value) is None:
        return value.decode("ascii")
    return json.dumps(value.decode("utf-8", "replace"))[1:-1]


def _name(text: str) -> str:
    """A name of ours or of the configuration as JSON; null where it is empty."""
    if not text:
        return "null"
    return f'"{text}"' if text.isalnum() and text.isascii() else json.dumps(text)


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _clf(stamp: str) -> str:
    """A time as the common log format writes it."""
    return f"{stamp[8:10]}/{_MONTHS[int(stamp[5:7]) - 1]}/{stamp[:4]}:{stamp[11:19]} +0000"
