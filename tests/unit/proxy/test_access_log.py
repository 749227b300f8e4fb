"""A line of the access log: every value in its place, and nothing in it that is not a line's."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from gateway.failures import BAD_HOST, TRUNCATED, Failure
from gateway.http.head_reader import HeadReader
from gateway.instance import Instance
from gateway.proxy.access_log import COMBINED, JSON, MAX_DECISIONS, MAX_VALUE, AccessLog
from gateway.proxy.record import Record
from gateway.routing.decision import Decision
from gateway.rules.injected import InjectedFault

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Lines:
    """A file that keeps what it is given."""

    dropped = 3

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.flushes = 0

    def add(self, line: bytes) -> None:
        self.lines.append(line)

    def flush(self) -> None:
        self.flushes += 1


class Log(AccessLog):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.to = Lines()
        to: Any = self.to
        super().__init__(to, "entry", *args, **kwargs)

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.to.lines]


def decision(**values: Any) -> Decision:
    made = Decision(7, "192.0.2.1")
    for name, value in values.items():
        setattr(made, name, value)
    return made


def record(*fields: str, target: str = "/A/x", decided: Decision | None = None, **values: Any) -> Record:
    head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: shop.example", *fields, "", ""]).encode("latin-1")
    made = Record(HeadReader("x-gray-tag").read(head), decided or decision(), 100.0)
    made.status = 200
    for name, value in values.items():
        setattr(made, name, value)
    return made


FULL = decision(
    route="/A",
    service="orders",
    group="demo",
    lane="gray",
    tag="gray",
    tag_source="rule",
    pool="base",
    fallback="absent",
    lost="no_id",
    signature="verified",
    rules="0123456789ab",
    fault=InjectedFault("demo/gray", frozenset(), 0.1, None, 1.0),
    is_copy=True,
    instance=Instance("10.0.0.1", 80),
)


def test_everything_there_is_to_say() -> None:
    log = Log(JSON, 1.0, ["User-Agent", "X-None"])
    fields = ("User-Agent: me", f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01")
    made = record(
        *fields, decided=FULL, sent_at=100.25, responded_at=100.75, upstream_status=201, received=3, sent=5, attempts=2
    )
    made.status = 201
    assert log.record(made, 101.5, 0.125)
    (entry,) = log.entries
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("ts"))
    assert entry == {
        "listener": "entry",
        "client": "192.0.2.1",
        "method": "GET",
        "host": "shop.example",
        "target": "/A/x",
        "version": "1.1",
        "status": 201,
        "upstream_status": 201,
        "cause": None,
        "bytes_in": 3,
        "bytes_out": 5,
        "duration_us": 1_500_000,
        "upstream_us": 500_000,
        "overhead_us": 125_000,
        "route": "/A",
        "service": "orders",
        "group": "demo",
        "lane": "gray",
        "tag": "gray",
        "tag_source": "rule",
        "pool": "base",
        "fallback": "absent",
        "lost": "no_id",
        "signature": "verified",
        "fault": "delay",
        "mirror": True,
        "rules": "0123456789ab",
        "instance": "10.0.0.1:80",
        "revision": 7,
        "attempts": 2,
        "trace_id": TRACE,
        "headers": {"user-agent": "me"},
    }


def test_what_is_not_there_is_null() -> None:
    log = Log()
    log.record(record(), 100.0, -1.0)
    (entry,) = log.entries
    nothing = ("upstream_status", "cause", "upstream_us", "overhead_us", "route", "service", "group", "lane")
    assert all(entry[name] is None for name in (*nothing, "fallback", "lost", "instance", "trace_id"))
    assert (entry["attempts"], entry["headers"], entry["tag"], entry["pool"]) == (1, {}, "base", "base")


def test_several_headers_in_the_order_asked_for_with_secrets_masked() -> None:
    log = Log(JSON, 1.0, ["Referer", "X-B", "X-A"], ["token"])
    log.record(record("X-A: 1", "X-B: 2", "Referer: http://x/?token=s3cret&a=b", target="/?token=s3cret"), 100.0, 0.0)
    (entry,) = log.entries
    assert list(entry["headers"].items()) == [("referer", "http://x/?token=***&a=b"), ("x-b", "2"), ("x-a", "1")]
    assert (entry["target"], entry["overhead_us"]) == ("/?token=***", 0)


@pytest.mark.parametrize(
    ("sample", "status", "cause", "share"),
    [
        (1.0, 200, None, 1.0),
        (0.25, 200, None, 0.25),
        (0.0, 499, None, 0.0),
        (0.0, 500, None, 1.0),
        (0.0, 503, None, 1.0),
        (0.0, 200, TRUNCATED, 1.0),
    ],
)
def test_a_sample_of_plain_responses_and_all_that_are_not(
    sample: float, status: int, cause: Failure | None, share: float
) -> None:
    log = Log(JSON, sample)
    logged = [log.record(record(status=status, cause=cause), 100.0, 0.0) for _ in range(100)]
    assert sum(logged) == len(log.to.lines) == share * 100
    assert not cause or log.entries[0]["cause"] == "truncated"


def test_what_is_not_plain_takes_no_share_of_the_sample() -> None:
    log = Log(JSON, 0.5)
    kinds = [log.record(record(status=status), 100.0, 0.0) for status in (200, 500, 500, 200, 200, 200)]
    assert kinds == [False, True, True, True, False, True]


def test_values_that_a_client_chose_stay_inside_their_quotes() -> None:
    log = Log(JSON, 1.0, ["user-agent"])
    agent = 'a"b\\c\x80é\t'
    log.record(record(f"User-Agent: {agent}", target='/"?y=\\'), 100.0, 0.0)
    (line,) = log.to.lines
    assert line.isascii()
    assert line.count(b"\n") == 1
    (entry,) = log.entries
    assert entry["target"] == '/"?y=\\'
    assert entry["headers"]["user-agent"].startswith('a"b\\c')


def test_long_values_are_cut() -> None:
    log = Log(JSON, 1.0, ["user-agent"])
    for size in (MAX_VALUE, MAX_VALUE + 1):
        log.record(record(f"User-Agent: {'x' * size}", target="/" + "y" * (size - 1)), 100.0, 0.0)
    for entry in log.entries:
        assert (len(entry["target"]), len(entry["headers"]["user-agent"])) == (MAX_VALUE, MAX_VALUE)


def test_decisions_of_all_kinds_are_told_apart_however_many_there_are() -> None:
    """What is said of a decision is kept ready, and each is said as it is."""
    log = Log()
    changes: list[dict[str, Any]] = [{}, {"route": "/B"}, {"service": "b"}, {"group": "b"}, {"lane": "b"}, {"tag": "b"}]
    changes += [
        {"tag_source": "header"},
        {"pool": "gray"},
        {"fallback": ""},
        {"lost": ""},
        {"instance": None},
        {"revision": 8},
    ]
    names = (
        "route",
        "service",
        "group",
        "lane",
        "tag",
        "tag_source",
        "pool",
        "fallback",
        "lost",
        "instance",
        "revision",
    )
    made = [decision(**{name: getattr(FULL, name) for name in names} | change) for change in changes]
    made += [decision(service=f"s{number}") for number in range(MAX_DECISIONS + 10)] + made
    for one in made:
        log.record(record(decided=one), 100.0, 0.0)
    for entry, one in zip(log.entries, made, strict=True):
        expected: dict[str, Any] = {name: getattr(one, name) or None for name in names}
        expected["instance"] = None if one.instance is None else one.instance.address
        assert {name: entry[name] for name in names} == expected
    assert len(log._decisions) <= MAX_DECISIONS


def test_what_could_not_be_read() -> None:
    log, combined = Log(), Log(COMBINED)
    log.record_refused("192.0.2.1", BAD_HOST)
    (entry,) = log.entries
    entry.pop("ts")
    assert entry == {
        "listener": "entry",
        "client": "192.0.2.1",
        "method": None,
        "target": None,
        "status": 400,
        "cause": "bad_host",
    }
    combined.record_refused("192.0.2.1", BAD_HOST)
    assert re.fullmatch(rb'192\.0\.2\.1 - - \[[^]]+\] "-" 400 0 "-" "-"\n', combined.to.lines[0])


def test_the_combined_format() -> None:
    log = Log(COMBINED, 1.0, (), ["token"])
    log.record(record("Referer: http://x/?token=a", 'User-Agent: m"e', target="/?token=b", sent=15), 100.0, 0.0)
    log.record(record(), 100.0, 0.0)
    stamp = rb"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\]"
    first, second = log.to.lines
    assert re.fullmatch(
        rb"192\.0\.2\.1 - - " + stamp + rb' "GET /\?token=\*\*\* HTTP/1\.1" 200 15 "http://x/\?token=\*\*\*" "m\\"e"\n',
        first,
    )
    assert re.fullmatch(rb"192\.0\.2\.1 - - " + stamp + rb' "GET /A/x HTTP/1\.1" 200 0 "-" "-"\n', second)


def test_the_time_is_now_in_utc_to_the_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1_800_000_000.001, 1_800_000_000.0014, 1_800_000_059.999])
    monkeypatch.setattr("gateway.proxy.access_log.time", lambda: next(times))
    log = Log()
    for _ in range(3):
        log.record(record(), 100.0, 0.0)
    assert [entry["ts"] for entry in log.entries] == [
        "2027-01-15T08:00:00.001Z", "2027-01-15T08:00:00.001Z", "2027-01-15T08:00:59.999Z",
    ]  # fmt: skip
    monkeypatch.setattr("gateway.proxy.access_log.time", lambda: 1_800_000_000.0)
    combined = Log(COMBINED)
    combined.record(record(), 100.0, 0.0)
    assert b"[15/Jan/2027:08:00:00 +0000]" in combined.to.lines[0]


def test_what_its_file_says_is_what_it_says() -> None:
    log = Log()
    log.flush()
    assert (log.dropped, log.to.flushes) == (3, 1)


@pytest.mark.parametrize(("version", "name"), [(0, "1.0"), (1, "1.1"), (2, "2")])
def test_the_version_is_what_the_client_spoke(version: int, name: str) -> None:
    for kind, expected in ((JSON, f'"version":"{name}"'), (COMBINED, f' HTTP/{name}" 200')):
        log = Log(kind, 1.0, ())
        made = record()
        made.request.version = version
        log.record(made, 100.0, 0.0)
        assert expected.encode() in log.to.lines[0]
