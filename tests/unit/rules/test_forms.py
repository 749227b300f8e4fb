"""Rule text in the form of the values it is compared with: brought into it, or refused with the form that is accepted."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.http.head_reader import HeadReader
from gateway.rules.context import MatchContext
from gateway.rules.explain import explain
from gateway.rules.model import LaneGroup
from gateway.rules.sources import values_in_form
from tests.support.rules import around, compiled, rule_set

READER = HeadReader("x-gray-tag")


def group(condition: dict[str, Any], **lane: Any) -> LaneGroup:
    """A group with one lane of one condition."""
    return LaneGroup.model_validate({"name": "g", "lanes": [{"name": "l", "tag": "t", "match": [condition], **lane}]})


def takes(lanes: LaneGroup, request: MatchContext) -> bool:
    """Whether the lane takes the request; both readings must agree."""
    held = compiled([lanes]).match(request) is not None
    assert explain(rule_set([lanes]), request, around())[0].matched is held
    return held


def asked(
    target: bytes = b"/", *lines: bytes, method: bytes = b"GET", host: bytes = b"h", ip: str = "10.0.0.1"
) -> MatchContext:
    """A request as it is sent, byte for byte."""
    head = b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: " + host, *lines, b"", b""])
    return MatchContext(READER.read(head), ip)


@pytest.mark.parametrize(
    ("test", "sent"),
    [
        ({"prefix": "/A/商品"}, b"/A/%E5%95%86%e5%93%81/1"),
        ({"equals": "/a%2fb"}, b"/a%2Fb"),
        ({"equals": "/a%2Fb"}, b"/a%2fb"),
        ({"equals": "/%41"}, b"/A"),
        ({"equals": "/a b"}, b"/a%20b"),
        ({"equals": "/a//b"}, b"/a/b"),
        ({"in": ["/é", "/x"]}, b"/%C3%A9"),
        ({"suffix": "品"}, b"/%E5%93%81"),
        ({"suffix": ".json"}, b"/x.json"),
        ({"contains": "%c3%a9"}, b"/x%C3%A9y"),
        ({"prefix": "/."}, b"/.well-known/x"),
        ({"suffix": ".."}, b"/a.."),
        ({"contains": "/."}, b"/x/.git/y"),
        ({"not_equals": "/é"}, b"/x"),
        ({"regex": "/a%2Fb.*"}, b"/a%2fbc"),
        ({"regex": "/a%2fb", "ignore_case": True}, b"/a%2fb"),
        ({"equals": "*"}, b"*"),
        ({"equals": "/{a}"}, b"/{a}"),
    ],
    ids=str,
)
def test_a_path_is_read_as_the_listener_reads_it(test: dict[str, Any], sent: bytes) -> None:
    method = b"OPTIONS" if sent == b"*" else b"GET"
    assert takes(group({"path": test}), asked(sent, method=method))


def test_the_paths_of_a_lane_are_read_alike() -> None:
    lane = group({"method": {"equals": "GET"}}, paths=["/A/商品", "/a%2fb/", "/x//y"])
    assert lane.lanes[0].paths == ["/A/%E5%95%86%E5%93%81", "/a%2Fb/", "/x/y"]
    for target, held in (
        (b"/A/%e5%95%86%E5%93%81/1", True),
        (b"/A/%e5%95%86%E5%93%82", False),
        (b"/a%2fb", True),
        (b"/x/y", True),
    ):
        assert takes(lane, asked(target)) is held


@pytest.mark.parametrize(
    ("condition", "sent"),
    [
        ({"host": {"equals": "Shop.Example."}}, {"host": b"SHOP.example:8080"}),
        ({"host": {"suffix": ".EXAMPLE."}}, {"host": b"a.example"}),
        ({"host": {"in": ["[FD00::1]"]}}, {"host": b"[fd00::1]:80"}),
        ({"host": {"prefix": "[fd00:"}}, {"host": b"[fd00::1]"}),
        ({"host": {"contains": "shop"}}, {"host": b"my-shop.example"}),
        ({"host": {"regex": "Shop\\..*"}}, {"host": b"SHOP.example"}),
        ({"method": {"equals": "post"}}, {"method": b"POST"}),
        ({"method": {"prefix": "p"}}, {"method": b"PUT"}),
        ({"method": {"regex": "get|head"}}, {"method": b"GET"}),
        ({"client_ip": {"equals": "::ffff:10.0.0.1"}}, {"ip": "10.0.0.1"}),
        ({"client_ip": {"in": ["::ffff:10.0.0.0/104"]}}, {"ip": "10.9.9.9"}),
        ({"client_ip": {"equals": "10.0.0.0/8"}}, {"ip": "::ffff:10.1.2.3"}),
        ({"client_ip": {"not_in": ["::/0"]}}, {"ip": "::ffff:10.1.2.3"}),
        ({"client_ip": {"equals": "10.0.0.9/8"}}, {"ip": "10.1.2.3"}),
    ],
    ids=str,
)
def test_what_is_brought_into_form(condition: dict[str, Any], sent: dict[str, Any]) -> None:
    assert takes(group(condition), asked(**sent))


def test_many_patterns_on_a_method_mind_no_case_either() -> None:
    lanes = [{"name": f"l{n}", "tag": "t", "match": [{"method": {"regex": f"x{n}|get{n}?"}}]} for n in range(9, -1, -1)]
    rules = compiled([{"name": "g", "lanes": lanes}])
    winner = rules.match(asked(method=b"GET5"))
    assert winner is not None
    assert winner.name == "l5"


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"path": {"equals": "/a?x=1"}}, "path: the query is not part of the path, so '/a?x=1' can never be one; a parameter is `param`"),
        ({"path": {"prefix": "a"}}, "path: a path starts with '/', so 'a' can never be one"),
        ({"path": {"in": ["/a", ""]}}, "path: a path starts with '/', so '' can never be one"),
        ({"path": {"equals": "http://h/a"}}, "path: a path starts with '/', so 'http://h/a' can never be one"),
        ({"path": {"equals": "/a/../b"}}, "path: '/a/../b' can never be one: the path contains dot segments"),
        ({"path": {"prefix": "/a/./"}}, "path: '/a/./' can never be one: the path contains dot segments"),
        ({"path": {"suffix": "/.."}}, "path: '/..' can never be one: the path contains dot segments"),
        ({"path": {"contains": "/%2e%2e/"}}, "path: '/%2e%2e/' can never be one: the path contains dot segments"),
        ({"path": {"equals": "/a#b"}}, "path: '/a#b' can never be one: the path contains a backslash or a fragment"),
        ({"path": {"equals": "/a\\b"}}, "path: '/a\\\\b' can never be one: the path contains a backslash or a fragment"),
        ({"path": {"equals": "/100%"}}, "path: '/100%' can never be one: the path contains a percent sign that is not an escape"),
        ({"path": {"prefix": "/a%2"}}, "path: '/a%2' can never be one: the path contains a percent sign that is not an escape"),
        ({"path": {"equals": "/a\0"}}, "path: '/a\\x00' can never be one: the path contains an encoded NUL"),
        ({"path": {"gt": 5}}, "path: gt compares numbers, and a path is not a number"),
        ({"path": {"regex": "/商品.*"}}, "path: '/商品.*' has characters that are not ASCII, and a path is percent-encoded (%E5%95%86)"),
        ({"path": {"regex": "/a%2fb"}}, "path: escapes are in upper case in a path: write %2F in '/a%2fb'"),
        ({"path": {"regex": "/%41"}}, "path: %41 is decoded in a path: write A in '/%41'"),
        ({"host": {"equals": "*.example"}}, "host: there are no wildcards; write {host: {suffix: .example}} for all below example, so '*.example' can never be a host"),
        ({"host": {"equals": "商品.example"}}, "host: it is compared as it is sent, in ASCII (xn--…), so '商品.example' can never be a host"),
        ({"host": {"in": ["shop:80"]}}, "host: the port is left out (and IPv6 in brackets), so 'shop:80' can never be a host"),
        ({"host": {"equals": "::1"}}, "host: the port is left out (and IPv6 in brackets), so '::1' can never be a host"),
        ({"host": {"suffix": "example:8080"}}, "host: the port is left out (and IPv6 in brackets), so 'example:8080' can never be a host"),
        ({"host": {"prefix": "https://shop"}}, "host: it is a name or an address, such as shop.example or [::1], without scheme, port and path, so 'https://shop' can never be a host"),
        ({"host": {"equals": ""}}, "so '' can never be a host"),
        ({"host": {"equals": "a..b"}}, "so 'a..b' can never be a host"),
        ({"host": {"suffix": "..b"}}, "so '..b' can never be a host"),
        ({"host": {"equals": "[zz::1]"}}, "so '[zz::1]' can never be a host"),
        ({"host": {"regex": "商品.*"}}, "host: '商品.*' has characters that are not ASCII, and a host is ASCII (xn--…)"),
        ({"method": {"in": ["GET, POST"]}}, "method: a method is one word, such as GET, so 'GET, POST' can never be one"),
        ({"method": {"equals": ""}}, "method: a method is one word, such as GET, so '' can never be one"),
        ({"header": "x", "equals": " a"}, "header: values are compared without white space around them, so ' a' can never be one"),
        ({"header": "x", "in": ["a", "b\t"]}, "header: values are compared without white space around them, so 'b\\t' can never be one"),
        ({"header": "x", "prefix": " a"}, "header: values are compared without white space around them, so ' a' can never be one"),
        ({"header": "x", "suffix": "a "}, "header: values are compared without white space around them, so 'a ' can never be one"),
        ({"header": "x", "contains": "a\r\nb"}, "header: a field's value has no line breaks and control characters, so 'a\\r\\nb' can never be one"),
        ({"cookie": "c", "equals": "a;b"}, "cookie: a cookie's value has no semicolons, line breaks and control characters, so 'a;b' can never be one"),
        ({"cookie": "c", "equals": "a "}, "cookie: values are compared without white space around them, so 'a ' can never be one"),
        ({"cookie": "c", "equals": '"a"'}, "cookie: values are compared without the double quotes around them; write 'a'"),
        ({"cookie": "a\0", "exists": True}, "'a\\x00' is not a cookie's name"),
        ({"cookie": "ключ", "percent": 5, "issue": "1d"}, "issue: the name of an issued cookie must be a token (RFC 6265 §4.1.1), and 'ключ' is not"),
        ({"client_ip": {"in": ["10.0.0.0/8", "10.0.0.1:80"]}}, "client_ip: '10.0.0.1:80' is neither an address nor a network"),
        ({"client_ip": {"prefix": "10."}}, "client_ip: prefix does not apply to an address"),
        ({"service": {"equals": "a b"}}, "service: a service's name is 1 to 255 letters, digits, '.', '_', '-', ':' or '@', so 'a b' can never be one"),
        ({"caller": {"in": [""]}}, "caller: a service's name is 1 to 255"),
        ({"caller_tag": {"equals": "-x"}}, "caller_tag: a tag is 1 to 63 letters"),
        ({"grpc_service": {"equals": "/shop.Orders"}}, "grpc_service: a name of gRPC is letters, digits"),
        ({"grpc_method": {"in": ["Get", "a b"]}}, "grpc_method: a name of gRPC is letters, digits"),
        ({"param": "a", "equals": "\ud800"}, "'\\ud800' contains a lone surrogate, which is not a character"),
        ({"param": "\ud800", "exists": True}, "'\\ud800' contains a lone surrogate, which is not a character"),
        ({"body": "/a", "regex": "\ud800"}, "'\\ud800' contains a lone surrogate, which is not a character"),
    ],
    ids=str,
)  # fmt: skip
def test_what_could_never_hold_is_refused(condition: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        group(condition)
    (problem,) = refusal.value.errors()
    assert message in problem["msg"]


@pytest.mark.parametrize(
    ("condition", "sent"),
    [
        ({"param": "a", "equals": " x;\r\n%41"}, asked(b"/?a=+x;%0d%0a%2541")),
        ({"param": "组", "equals": "灰"}, asked(b"/?%E7%BB%84=%E7%81%B0")),
        ({"header": "x", "contains": " a"}, asked(b"/", b"X: b a b")),
        ({"header": "x", "equals": ""}, asked(b"/", b"X:")),
        ({"header": "x", "equals": "a\tb"}, asked(b"/", b"X: a\tb")),
        ({"header": "x", "equals": "é"}, asked(b"/", b"X: \xc3\xa9")),
        ({"cookie": "ключ", "equals": 'да, "a'}, asked(b"/", 'Cookie: ключ=да, "a'.encode())),
        ({"cookie": "c[a b]".replace(" ", ""), "equals": ""}, asked(b"/", b"Cookie: c[ab]=")),
        ({"baggage": "t", "equals": " a;b,c\n"}, asked(b"/", b"Baggage: t=%20a%3Bb%2Cc%0A")),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_a_value_can_be_is_taken_as_it_is(condition: dict[str, Any], sent: MatchContext) -> None:
    assert takes(group(condition), sent)


def test_the_values_of_a_segment_are_brought_into_form_for_each_field() -> None:
    values = frozenset({"/a%2fb", "/é", "get", "Shop.Example.", "::ffff:10.0.0.1"})
    for condition, sent in (
        ({"path": {"segment": "s"}}, asked(b"/a%2Fb")),
        ({"path": {"segment": "s"}}, asked(b"/%C3%A9")),
        ({"method": {"segment": "s"}}, asked()),
        ({"host": {"segment": "s"}}, asked(host=b"shop.example")),
        ({"client_ip": {"segment": "s"}}, asked(ip="10.0.0.1")),
        ({"param": "a", "segment": "s"}, asked(b"/?a=get")),
    ):
        members = values if "client_ip" not in condition else frozenset({"::ffff:10.0.0.1"})
        rules = rule_set([group(condition)], {"s": members})
        assert explain(rules, sent, around())[0].matched, condition
        lanes = compiled([group(condition)], segments={"s": members})
        assert lanes.match(sent) is not None, condition


def test_values_that_no_field_can_have_are_left_out_of_a_segment() -> None:
    assert values_in_form("host", ["a:80", "B."]) == {"b"}
    members = frozenset({"x", " y"})
    assert values_in_form("param", members) is members


CALL = b"Content-Type: application/grpc+proto"


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ({"grpc_service": {"equals": "shop.Orders"}}, True),
        ({"grpc_service": {"prefix": "shop."}}, True),
        ({"grpc_service": {"equals": "Orders"}}, False),
        ({"grpc_method": {"in": ["Put", "Get"]}}, True),
        ({"grpc_method": {"equals": "get"}}, False),
        ({"grpc_method": {"equals": "get", "ignore_case": True}}, True),
        ({"all": [{"grpc_service": {"equals": "shop.Orders"}}, {"not": {"grpc_method": {"equals": "Put"}}}]}, True),
    ],
)
def test_a_grpc_call_is_known_by_its_service_and_method(condition: dict[str, Any], held: bool) -> None:
    assert takes(group(condition), asked(b"/shop.Orders/Get", CALL, method=b"POST")) is held


@pytest.mark.parametrize(
    "request_",
    [
        asked(b"/shop.Orders/Get"),
        asked(b"/shop.Orders/Get", b"Content-Type: application/json", method=b"POST"),
        asked(b"/shop.Orders/Get/x", CALL, method=b"POST"),
        asked(b"/shop.Orders", CALL, method=b"POST"),
    ],
)
def test_no_other_request_has_them(request_: MatchContext) -> None:
    for source in ("grpc_service", "grpc_method"):
        assert takes(group({source: {"absent": True}}), request_)
        assert not takes(group({source: {"regex": ".*"}}), request_)
