"""HTTP/2 against another implementation: what one side writes, the other reads, in both directions."""

from __future__ import annotations

from typing import Any

import h2.config
import h2.connection
import h2.events
import hpack
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st

from gateway.http2 import events, huffman
from gateway.http2.blocks import response_block, trailers_block
from gateway.http2.hpack import Decoder, Field, encode_field
from tests.fuzz.frames import WORDS, check_http2
from tests.support.examples import examples
from tests.support.http2 import GET, POST, End, H2Client

NAME = st.sampled_from([b"accept", b"x-y", b"cookie", b"authorization", b"etag", b"grpc-timeout", b"a" * 200])
VALUE = st.binary(max_size=20).map(lambda text: bytes(33 + byte % 94 for byte in text))
FIELDS = st.lists(st.tuples(NAME, VALUE), max_size=6)
COMMON = st.sampled_from([[(b":method", b"GET"), (b":path", b"/")], [(b":status", b"200")], [(b":status", b"418")], []])
LISTS = st.lists(st.builds(lambda first, rest: [*first, *rest], COMMON, FIELDS), min_size=1, max_size=6)


def fields_of(decoded: Any) -> list[Field]:
    return [(bytes(name), bytes(value)) for name, value in decoded]


@examples(100)
@given(LISTS)
def test_what_is_written_another_decoder_reads(lists: list[list[Field]]) -> None:
    theirs = hpack.Decoder()
    for fields in lists:
        assert fields_of(theirs.decode(b"".join([encode_field(*field) for field in fields]), raw=True)) == fields


@examples(100)
@given(LISTS, st.booleans(), st.sampled_from([4096, 300, 0]))
def test_what_another_encoder_writes_is_read(lists: list[list[Field]], is_coded: bool, table: int) -> None:
    """With its dynamic table, its Huffman code, and changes of the table's size."""
    theirs, decoder = hpack.Encoder(), Decoder(65536)
    for number, fields in enumerate(lists):
        if number == 1:
            theirs.header_table_size = table
        assert decoder.decode(theirs.encode(fields, huffman=is_coded)) == fields


@examples(300)
@given(st.binary(max_size=30))
def test_huffman_codes(text: bytes) -> None:
    coded = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(text)
    assert huffman.decode(coded) == text
    try:
        theirs = decode_huffman(text)
    except hpack.HPACKDecodingError:
        theirs = None
    assert huffman.decode(text) == theirs


def without_cookies(fields: list[Field]) -> list[Field]:
    """Responses have none."""
    return [field for field in fields if field[0] != b"cookie"]


BODY = st.one_of(st.none(), st.binary(max_size=40_000))
REQUESTS = st.lists(st.tuples(FIELDS, BODY, st.integers(1, 3)), min_size=1, max_size=5)


@examples(60)
@given(REQUESTS, st.lists(st.integers(1, 5000), max_size=10))
def test_requests_of_another_client(requests: list[tuple[list[Field], bytes | None, int]], cuts: list[int]) -> None:
    """Their heads, their bodies to the byte, and their ends, in whatever pieces they come."""
    client, end = H2Client(), End()
    for fields, body, count in requests:
        client.request([*(GET if body is None else POST), *fields], None if body is None else b"", ends=body is None)
        if body is not None:
            number = max(client.responses)
            size = max(1, len(body) // count)
            for at in range(0, len(body), size):
                for piece in range(at, min(at + size, len(body)), 16384):
                    room = client.connection.local_flow_control_window(number)
                    taken = body[piece : min(piece + 16384, at + size)]
                    if room >= len(taken):
                        client.connection.send_data(number, taken)
                    else:
                        return  # the window of a client that was not answered yet
            client.connection.end_stream(number)
    sent = client.send()
    found = []
    for size in cuts:
        found += end.feed(sent[:size])
        sent = sent[size:]
    found += end.feed(sent)
    bodies: dict[int, bytes] = {}
    done = set()
    heads = []
    for event in found:
        assert event.kind in (events.SETTINGS, events.REQUEST, events.DATA)
        if event.stream is None:
            continue
        if event.request is not None:
            heads.append(event.request)
        bodies[event.stream.id] = bodies.get(event.stream.id, b"") + event.payload
        if event.ends:
            done.add(event.stream.id)
    assert list(bodies.values()) == [body or b"" for _, body, _ in requests]
    assert done == set(bodies)
    for head, (fields, _, _) in zip(heads, requests, strict=True):
        cookies = [value for name, value in fields if name == b"cookie"]
        crumbs = [cookie for cookie in cookies if cookie]
        lines = [b"\r\n" + name + b": " + value for name, value in fields if name != b"cookie"]
        assert head.lines == b"".join(lines) + (b"\r\ncookie: " + b"; ".join(crumbs) if cookies else b"")


RESPONSES = st.lists(
    st.tuples(FIELDS.map(without_cookies), st.lists(st.binary(max_size=20_000), max_size=3), st.booleans()),
    min_size=1,
    max_size=4,
)


@examples(30)
@given(RESPONSES, st.integers(0, 40_000))
def test_responses_to_another_client(responses: list[tuple[list[Field], list[bytes], bool]], window: int) -> None:
    """Whatever its window is, it gets everything, as it lets it come."""
    client, end = H2Client(), End()
    client.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
    found = [client.request() for _ in responses]
    end.feed(client.send())
    for number, (fields, pieces, has_trailers) in enumerate(responses):
        stream = end.endpoint.streams[2 * number + 1]
        lines = b"".join([b"\r\n" + name.title() + b": " + value for name, value in fields])
        end.endpoint.send_head(stream, response_block(b"HTTP/1.1 200 OK" + lines + b"\r\n\r\n"), False)
        for piece in pieces:
            end.endpoint.send_data(stream, piece, False)
        if has_trailers:
            end.endpoint.send_trailers(stream, trailers_block(b"\r\na: b"))
        else:
            end.endpoint.send_data(stream, b"", True)
    for _ in range(1000):
        written = end.written
        client.receive(written)
        for number, response in client.responses.items():
            if not response.is_done and not client.connection.remote_flow_control_window(number):
                client.connection.increment_flow_control_window(20_000, number)
        sent = client.send()
        if not sent and not written:
            break
        end.feed(sent)
    for response, (fields, pieces, has_trailers) in zip(found, responses, strict=True):
        assert (response.fields, response.body) == (fields, b"".join(pieces))
        assert response.trailers == ([(b"a", b"b")] if has_trailers else [])
        assert response.is_done
    assert (end.endpoint.pending, end.endpoint.streams) == (0, {})


@examples(150)
@given(
    st.sampled_from([b"S", b"C"]),
    st.lists(st.sampled_from(WORDS), max_size=12),
    st.integers(0, 2**16),
    st.binary(max_size=4),
)
def test_any_frames_in_any_order(role: bytes, frames: list[bytes], place: int, spoilt: bytes) -> None:
    whole = b"".join(frames)
    place %= len(whole) + 1
    check_http2(role + whole)
    check_http2(role + whole[:place] + spoilt + whole[place + len(spoilt) :])
