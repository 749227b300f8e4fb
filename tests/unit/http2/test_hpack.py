"""HPACK (RFC 7541): the examples of appendix C, block by block, what cannot be read, and what is written."""

from __future__ import annotations

import pytest

from gateway.http2.errors import COMPRESSION_ERROR, ConnectionFailure
from gateway.http2.hpack import NO_TABLE, Decoder, Field, encode_field

URL = (b":authority", b"www.example.com")
GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), URL]
CACHE = (b"cache-control", b"no-cache")
CUSTOM = (b"custom-key", b"custom-value")
REQUESTS = [
    GET,
    [*GET, CACHE],
    [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/index.html"), URL, CUSTOM],
]
DATE = (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT")
PLACE = (b"location", b"https://www.example.com")
COOKIE = (b"set-cookie", b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1")
RESPONSES = [
    [(b":status", b"302"), (b"cache-control", b"private"), DATE, PLACE],
    [(b":status", b"307"), (b"cache-control", b"private"), DATE, PLACE],
    [
        (b":status", b"200"),
        (b"cache-control", b"private"),
        (b"date", b"Mon, 21 Oct 2013 20:13:22 GMT"),
        PLACE,
        (b"content-encoding", b"gzip"),
        COOKIE,
    ],
]
C_3 = [
    "828684410f7777772e6578616d706c652e636f6d",
    "828684be58086e6f2d6361636865",
    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
]
C_4 = [
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
]
C_5 = [
    "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
    "4803333037c1c0bf",
    "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
]
C_6 = [
    "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
    "4883640effc1c0bf",
    "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
]


@pytest.mark.parametrize(
    ("blocks", "table", "lists"),
    [(C_3, 4096, REQUESTS), (C_4, 4096, REQUESTS), (C_5, 256, RESPONSES), (C_6, 256, RESPONSES)],
    ids=["C.3", "C.4", "C.5", "C.6"],
)
def test_the_messages_of_appendix_c(blocks: list[str], table: int, lists: list[list[Field]]) -> None:
    decoder = Decoder(65536)
    decoder._most = table
    assert [decoder.decode(bytes.fromhex(block)) for block in blocks] == lists


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", (b"custom-key", b"custom-header")),
        ("040c2f73616d706c652f70617468", (b":path", b"/sample/path")),
        ("100870617373776f726406736563726574", (b"password", b"secret")),
        ("82", (b":method", b"GET")),
    ],
    ids=["C.2.1", "C.2.2", "C.2.3", "C.2.4"],
)
def test_the_fields_of_appendix_c(block: str, field: Field) -> None:
    assert Decoder(65536).decode(bytes.fromhex(block)) == [field]


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ("80", "entry 0"),
        ("be", "entry 62"),
        ("7f00", "entry 63"),
        ("ffffffffffff0f", "larger than anything"),
        ("40", "middle of a field"),
        ("400a6375", "middle of a string"),
        ("0085ffffffffff0161", "not Huffman-coded"),
        ("823fe11f", "not at the beginning"),
        ("3fe21f", "may be 4096 at the most"),
    ],
)
def test_what_cannot_be_read_ends_the_connection(block: str, why: str) -> None:
    with pytest.raises(ConnectionFailure, match=why) as caught:
        Decoder(65536).decode(bytes.fromhex(block))
    assert caught.value.code == COMPRESSION_ERROR


def test_a_field_that_is_larger_than_the_table_empties_it() -> None:
    decoder = Decoder(65536)
    decoder.decode(bytes.fromhex("400161016240016301") + b"d")
    decoder.decode(b"\x40\x01e\x7f\xff\x1f" + b"x" * (0x7F + 0x7F + (0x1F << 7)))
    with pytest.raises(ConnectionFailure, match="entry 62"):
        decoder.decode(b"\xbe")


def test_a_peer_without_a_table_is_stateless_as_soon_as_it_may_have_none() -> None:
    decoder = Decoder(65536)
    assert not decoder.is_stateless
    decoder.decode(NO_TABLE + b"\x82")
    assert not decoder.is_stateless  # it may still change its mind
    stateless = Decoder(65536, limit=0)
    stateless.decode(NO_TABLE + b"\x82")
    assert stateless.is_stateless
    assert stateless.decode(bytes.fromhex("4001610162")) == [(b"a", b"b")]
    with pytest.raises(ConnectionFailure, match="entry 62"):
        stateless.decode(b"\xbe")


def test_a_peer_that_never_shrinks_its_table_is_understood() -> None:
    decoder = Decoder(65536)
    decoder.limit = 0
    decoder.decode(bytes.fromhex("4001610162"))
    assert decoder.decode(b"\xbe") == [(b"a", b"b")]


def test_a_list_that_is_too_large_is_read_and_not_kept() -> None:
    """A bomb: one field of 4000 bytes in the table, and a thousand references of a byte to it."""
    decoder = Decoder(10_000)
    bomb = b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 1000
    assert len(decoder.decode(bomb)) == 2
    assert decoder.is_cut
    assert decoder.decode(b"\x82") == [(b":method", b"GET")]
    assert not decoder.is_cut


@pytest.mark.parametrize(
    ("field", "encoded"),
    [
        ((b":method", b"GET"), "82"),
        ((b":status", b"200"), "88"),
        ((b":path", b"/sample/path"), "040c2f73616d706c652f70617468"),
        ((b"password", b"secret"), "000870617373776f726406736563726574"),
        ((b"cookie", b"a=1"), "1f1103613d31"),
        ((b"x" * 200, b""), "007f49" + "78" * 200 + "00"),
    ],
    ids=["whole", "a status", "a name", "neither", "a secret, which nobody is to keep", "a long name"],
)
def test_what_is_written(field: Field, encoded: str) -> None:
    assert encode_field(*field) == bytes.fromhex(encoded)
    assert Decoder(65536).decode(bytes.fromhex(encoded)) == [field]
