"""Messages made of sound and broken pieces hold what the fuzzer checks: one meaning, however cut up, the one h11 sees."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.request_line import PLAIN_TARGET
from gateway.http.target import find_parameter, match_path, parameter_needle, parse_query
from tests.fuzz import words
from tests.fuzz.checks import check_chunked, check_request, check_response
from tests.support.examples import examples


def head(lines: list[bytes], fields: list[bytes]) -> st.SearchStrategy[bytes]:
    """A first line and some fields, mostly ended as they should be."""
    return st.builds(
        lambda first, rest, end: b"\r\n".join([first, *rest, b""]) + end,
        st.sampled_from(lines),
        st.lists(st.sampled_from(fields), max_size=5),
        st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b""]),
    )


def broken(messages: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """A message as it is, or with a fault put somewhere."""

    def spoil(message: bytes, place: int, fault: bytes) -> bytes:
        place %= len(message) + 1
        return message[:place] + fault + message[place:]

    spoiled = st.builds(spoil, messages, st.integers(0, 2**16), st.sampled_from(words.FAULTS))
    return st.one_of(messages, spoiled)


CHUNK = st.builds(
    lambda size, extension, data: size + extension + b"\r\n" + data + b"\r\n",
    st.sampled_from(words.CHUNK_SIZES),
    st.sampled_from(words.EXTENSIONS),
    st.sampled_from([b"hello", b"0123456789", b""]),
)
CHUNKED = st.builds(
    lambda chunks, trailers, end: b"".join(chunks) + b"0\r\n" + b"".join(line + b"\r\n" for line in trailers) + end,
    st.lists(CHUNK, max_size=4),
    st.lists(st.sampled_from(words.TRAILERS), max_size=2),
    st.sampled_from([b"\r\n", b"\r\n", b"", b"\r\nGET / HTTP/1.1\r\n"]),
)
BODY = st.one_of(st.sampled_from(words.BODIES), CHUNKED)
REQUEST = st.builds(bytes.__add__, head(words.REQUEST_LINES, words.REQUEST_FIELDS), BODY)
RESPONSE = st.builds(bytes.__add__, head(words.RESPONSE_LINES, words.RESPONSE_FIELDS), BODY)


@examples(100)
@given(st.lists(broken(REQUEST), min_size=1, max_size=3).map(b"".join))
def test_requests(data: bytes) -> None:
    check_request(data)


@examples(100)
@given(st.sampled_from([b"G", b"H", b"0", b"U"]), st.lists(broken(RESPONSE), min_size=1, max_size=2).map(b"".join))
def test_answers(kind: bytes, data: bytes) -> None:
    check_response(kind + data)


@examples(100)
@given(broken(CHUNKED))
def test_chunks(data: bytes) -> None:
    check_chunked(data)


@given(
    st.lists(st.sampled_from([b"a", b"ab", b"b", b"=", b"&", b"1", b"a=b", b"/", b"A", b";", b"\xff", b"\0"])).map(
        b"".join
    ),
    st.sampled_from(["a", "ab", "b", "1", "A", "a;", ";"]),
)
def test_one_parameter_is_found_as_if_all_were_read(query: bytes, name: str) -> None:
    found = find_parameter(query, parameter_needle(name))
    assert found == parse_query(query).get(name)


PIECES = [
    b"/",
    b"//",
    b"a",
    b"B9",
    b".",
    b"..",
    b"~",
    b";",
    b"?",
    b"#",
    b"%41",
    b"%2F",
    b"\\",
    b"&",
    b"=",
    b"+",
    b" ",
    b"\x7f",
    b"\xe4",
]


@given(st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join))
def test_a_plain_target_needs_no_second_look(target: bytes) -> None:
    path, _, query = target.partition(b"?")
    is_plain = PLAIN_TARGET.fullmatch(target) is not None
    if is_plain:
        assert match_path(path) == path.decode()
        assert all(0x21 <= byte <= 0x7E and byte != ord("#") for byte in path + query)
    else:
        # What begins with a slash and is not plain has something that `match_path` or the reader of targets looks for.
        odd = set(target) - set(range(0x21, 0x7F)) or b"#" in target or set(path) & set(b"%\\")
        assert odd or target[:1] != b"/" or b"//" in path or b"/." in path
