"""Reading the tag from wherever a request carries it, writing it everywhere again, and remembering it by ids."""

from __future__ import annotations

import pytest

from gateway.http.head_reader import HeadReader
from gateway.http.request import Request
from gateway.routing.carriers import Carriers
from gateway.routing.decision import Decision
from gateway.routing.memory import TraceMemory
from gateway.routing.tagsigner import TagSigner
from gateway.signedtag import Claim
from tests.support.rules import NOW

W3C, B3 = "4bf92f3577b34da6a3ce929d0e0e4736", "80f198ee56343ba864fe8b2a57d3eff7"
TRACEPARENT = f"traceparent: 00-{W3C}-00f067aa0ba902b7-01"
SINGLE = f"b3: {B3}-e457b5a2e4d86bd1-1"
SEPARATE = f"X-B3-TraceId: {B3}"
TERMS = "4f2a90c81b7e"
REQUEST_ID = "X-Request-Id: 7f3c2b1a-aaaa-4bbb-8ccc-123456789abc"


def request(*fields: str) -> Request:
    head = "\r\n".join(["GET / HTTP/1.1", "Host: x", *fields, "", ""]).encode()
    return HeadReader("x-gray-tag", keeps_forwarded=True).read(head)


def read(carriers: Carriers, *fields: str) -> tuple[str, str]:
    """The tag that is read, and where."""
    decision = Decision(1)
    is_marked = carriers.read(request(*fields), decision)
    assert is_marked == (decision.tag_source != "none")
    return decision.tag, decision.tag_source if is_marked else ""


def recalled(memory: TraceMemory, *fields: str) -> tuple[str, str]:
    """The tag that is remembered, and how."""
    decision = Decision(1)
    is_known = Carriers().recall(memory, request(*fields), decision, 1.0)
    return decision.tag, decision.tag_source if is_known else ""


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ([], ("base", "")),
        (["x-gray-tag: gray"], ("gray", "header")),
        (["baggage: a=b,x-gray-tag=gray"], ("gray", "baggage")),
        (["x-gray-tag: gray", "baggage: x-gray-tag=blue"], ("gray", "header")),
        (["x-gray-tag: no tag", "baggage: x-gray-tag=blue"], ("blue", "baggage")),
        (["baggage: x-gray-tag=no%20tag"], ("base", "")),
        (["baggage: a=b"], ("base", "")),
    ],
)
def test_the_header_counts_first_then_the_baggage_and_what_is_no_tag_not_at_all(
    fields: list[str], found: tuple[str, str]
) -> None:
    assert read(Carriers(), *fields) == found


@pytest.mark.parametrize(
    ("fields", "tag", "written"),
    [
        ([], "base", b""),
        ([], "gray", b"x-gray-tag: gray\r\nbaggage: x-gray-tag=gray\r\n"),
        (["baggage: a=b"], "base", b"baggage: a=b\r\n"),
        (["baggage: a=b"], "gray", b"x-gray-tag: gray\r\nbaggage: a=b,x-gray-tag=gray\r\n"),
        (["baggage: x-gray-tag=blue"], "base", b""),
        (["baggage: x-gray-tag=blue,a=b"], "gray", b"x-gray-tag: gray\r\nbaggage: a=b,x-gray-tag=gray\r\n"),
    ],
)
def test_all_carriers_are_written_again_beside_other_peoples_baggage(
    fields: list[str], tag: str, written: bytes
) -> None:
    carriers = Carriers()
    for _ in range(2):  # what was written once is kept ready
        lines: list[bytes] = []
        carriers.write(request(*fields), tag, "", lines)
        assert b"".join(lines) == written


def test_carriers_have_the_names_that_the_settings_give_them() -> None:
    carriers = Carriers("x-lane", "lane")
    lines: list[bytes] = []
    carriers.write(request(), "gray", "", lines)
    assert lines == [b"x-lane: gray\r\nbaggage: lane=gray\r\n"]
    assert read(carriers, "baggage: lane=gray") == ("gray", "baggage")
    assert carriers.header == "x-lane"


def test_the_lines_of_ever_more_tags_are_right_and_not_all_kept() -> None:
    carriers = Carriers()
    for number in range(1100):
        lines: list[bytes] = []
        carriers.write(request(), f"t{number}", "", lines)
        assert lines == [f"x-gray-tag: t{number}\r\nbaggage: x-gray-tag=t{number}\r\n".encode()]
    assert len(carriers._lines) <= 1024


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ([], []),
        ([TRACEPARENT], [W3C]),
        ([SINGLE], [B3]),
        ([SEPARATE], [B3]),
        ([SINGLE, SEPARATE], [B3]),
        ([REQUEST_ID], [f"request {REQUEST_ID[14:]}"]),
        ([REQUEST_ID, SEPARATE, TRACEPARENT], [W3C, B3, f"request {REQUEST_ID[14:]}"]),
        ([REQUEST_ID, SINGLE, TRACEPARENT], [W3C, B3, f"request {REQUEST_ID[14:]}"]),
        ([f"b3: {W3C}-e457b5a2e4d86bd1-1", TRACEPARENT], [W3C]),
        ([f"X-B3-TraceId: {W3C}", TRACEPARENT], [W3C]),
        (["b3: 0", "X-B3-TraceId: none", "X-Request-Id: -"], []),
    ],
)
def test_every_id_that_identifies_a_request_the_strongest_first(fields: list[str], ids: list[str]) -> None:
    assert Carriers().trace_ids(request(*fields)) == [name.encode() for name in ids]


def test_a_weaker_id_does_not_speak_for_a_stronger_one_that_is_not_known() -> None:
    memory = TraceMemory()
    memory.enter(Carriers().trace_ids(request(REQUEST_ID)), "gray", 1.0)
    assert recalled(memory, REQUEST_ID) == ("gray", "trace")
    assert recalled(memory, REQUEST_ID, TRACEPARENT) == ("base", "")
    assert recalled(memory, REQUEST_ID, SEPARATE) == ("base", "")


def test_what_is_remembered_of_ids() -> None:
    memory = TraceMemory()
    assert recalled(memory) == ("base", "")
    assert recalled(memory, TRACEPARENT) == ("base", "")
    memory.enter([W3C.encode()], "gray", 1.0)
    assert recalled(memory, TRACEPARENT) == ("gray", "trace")
    memory.enter([W3C.encode()], "base", 1.0)
    assert recalled(memory, TRACEPARENT) == ("base", "ambiguous")


class Clock:
    """One that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class CountingSigner(TagSigner):
    """Says how often it signed and verified."""

    signed = verified = 0

    def sign(self, tag: str, terms: str) -> str:
        self.signed += 1
        return super().sign(tag, terms)

    def verify(self, text: str) -> Claim | None:
        self.verified += 1
        return super().verify(text)


def signing(clock: Clock, *, is_required: bool = True) -> tuple[Carriers, CountingSigner]:
    signer = CountingSigner([b"k" * 32], clock, 600.0, is_required=is_required)
    carriers = Carriers()
    carriers.sign_with(signer)
    return carriers, signer


def written(carriers: Carriers, *fields: str, rules: str = TERMS) -> str:
    lines: list[bytes] = []
    carriers.write(request(*fields), "gray", rules, lines)
    return b"".join(lines).decode()


def decided(carriers: Carriers, *fields: str) -> Decision:
    decision = Decision(1)
    carriers.read(request(*fields), decision)
    return decision


def test_requests_cost_no_signature() -> None:
    """A tag is signed once for its terms and a part of the lifetime, and a value is verified once."""
    clock = Clock()
    carriers, signer = signing(clock)
    lines = {written(carriers) for _ in range(10)}
    assert (len(lines), signer.signed) == (1, 1)
    header, baggage = lines.pop().splitlines()
    for _ in range(10):
        for field in (header, baggage, f"{header}\r\n{baggage}"):
            assert decided(carriers, field).tag == "gray"
    assert signer.verified == 1
    written(carriers, rules="0" * 12)
    clock.now += 150.0
    written(carriers)
    assert signer.signed == 3


def test_a_value_that_was_accepted_expires_all_the_same() -> None:
    clock = Clock()
    carriers, signer = signing(clock)
    header = written(carriers).splitlines()[0]
    clock.now += 749.0
    assert (decided(carriers, header).tag, decided(carriers, header).signature) == ("gray", "verified")
    clock.now += 1.0
    late = decided(carriers, header)
    assert (late.tag, late.signature, late.is_rejected, signer.verified) == ("base", "expired", True, 1)


def test_other_keys_are_not_believed_what_the_old_ones_were() -> None:
    clock = Clock()
    carriers, _ = signing(clock)
    header = written(carriers).splitlines()[0]
    assert decided(carriers, header).tag == "gray"
    carriers.sign_with(TagSigner([b"l" * 32], clock, 600.0))
    assert decided(carriers, header).signature == "forged"
    assert written(carriers).splitlines()[0] != header


def test_a_bare_tag_is_dropped_or_counted() -> None:
    required, _ = signing(Clock())
    permissive, _ = signing(Clock(), is_required=False)
    for field in ("x-gray-tag: gray", "baggage: x-gray-tag=gray"):
        dropped, accepted = decided(required, field), decided(permissive, field)
        assert (dropped.tag, dropped.signature, dropped.is_rejected) == ("base", "unsigned", True)
        assert (accepted.tag, accepted.signature, accepted.is_rejected) == ("gray", "unsigned", False)


def test_a_dropped_header_leaves_a_sound_member_of_the_baggage_its_say() -> None:
    carriers, _ = signing(Clock())
    baggage = written(carriers).splitlines()[1]
    decision = decided(carriers, "x-gray-tag: blue", baggage)
    assert (decision.tag, decision.tag_source, decision.signature) == ("gray", "baggage", "unsigned")
    assert decision.is_rejected


def test_without_keys_a_signed_tag_counts_as_a_bare_one() -> None:
    """So a fleet can be given keys one by one."""
    carriers, _ = signing(Clock())
    header, baggage = written(carriers).splitlines()
    for field in (header, baggage):
        decision = decided(Carriers(), field)
        assert (decision.tag, decision.rules, decision.signature) == ("gray", TERMS, "")


def test_strangers_push_nothing_out_of_what_is_kept() -> None:
    carriers, signer = signing(Clock())
    header = written(carriers).splitlines()[0]
    decided(carriers, header)
    for number in range(2000):
        assert decided(carriers, f"x-gray-tag: _1.gray.{TERMS}.6a2a9c10.{number:022}").is_rejected
    verified = signer.verified
    decided(carriers, header)
    assert signer.verified == verified
    assert len(carriers._claims) == 1


@pytest.mark.parametrize(
    ("fields", "rules"),
    [
        ([f"baggage: x-gray-tag=gray,x-gray-tag-rules={TERMS}"], TERMS),
        (["x-gray-tag: gray", f"baggage: x-gray-tag-rules={TERMS}"], TERMS),
        (["baggage: x-gray-tag=gray,x-gray-tag-rules=nonsense"], ""),
        (["x-gray-tag: gray"], ""),
    ],
)
def test_bare_tags_have_their_terms_in_a_member_of_their_own(fields: list[str], rules: str) -> None:
    carriers = Carriers()
    for _ in range(2):  # read anew, and known
        decision = decided(carriers, *fields)
        assert (decision.tag, decision.rules) == ("gray", rules)
    assert written(carriers, "baggage: x-gray-tag-rules=000000000000,a=b") == (
        f"x-gray-tag: gray\r\nbaggage: a=b,x-gray-tag=gray,x-gray-tag-rules={TERMS}\r\n"
    )


def test_ever_more_baggage_is_read_and_not_all_kept() -> None:
    carriers = Carriers()
    for number in range(1100):
        assert decided(carriers, f"baggage: user={number},x-gray-tag=t{number}").tag == f"t{number}"
    assert len(carriers._baggages) <= 1024
    assert len(carriers._claims) <= 1024
    decided(carriers, f"baggage: x-gray-tag=gray,long={'x' * 600}")
    assert not any(len(key) > 512 for key in carriers._baggages)
