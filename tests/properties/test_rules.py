"""The compiled index agrees with the naive interpreter, whatever the rules and the request."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.request import Request
from gateway.rules.compile import compile_rules
from gateway.rules.explain import explain
from gateway.rules.model import LaneGroup

# Few keys and few values, so that conditions meet the requests and each other often.
KEYS = st.sampled_from(["a", "b"])
VALUES = st.sampled_from(["", "1", "2", "15", "x", "xy", "é"])

PATHS = st.sampled_from(["/", "/x", "/xy/1", "/y"])
HOSTS = st.sampled_from(["shop.example", "Shop.Example", "localhost"])


def operators_on(values: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Every operator, comparing with some of these values."""
    lists = st.lists(values, min_size=1, max_size=3)
    return st.one_of(
        values.map(lambda value: {"equals": value}),
        values.map(lambda value: {"not_equals": value}),
        lists.map(lambda several: {"in": several}),
        lists.map(lambda several: {"not_in": several}),
        values.map(lambda value: {"prefix": value}),
        st.sampled_from(["x.*", "[0-9]+", "", ".", "/x.*", "[a-z.]+"]).map(lambda pattern: {"regex": pattern}),
        st.booleans().map(lambda exists: {"exists": exists}),
        st.tuples(st.integers(0, 10), st.integers(10, 20)).map(lambda bounds: {"range": list(bounds)}),
        st.sampled_from([0, 12.34, 50, 100]).map(lambda percent: {"percent": percent}),
    )


ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.0/8", "192.0.2.0/24", "::1"])
CONDITIONS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(
        lambda source, key, test: {source: key, **test},
        st.sampled_from(["param", "header", "cookie"]),
        KEYS,
        operators_on(VALUES),
    ),
    operators_on(PATHS).map(lambda test: {"path": test}),
    operators_on(HOSTS).map(lambda test: {"host": test}),
    operators_on(st.sampled_from(["GET", "get", "POST"])).map(lambda test: {"method": test}),
    st.lists(ADDRESSES, min_size=1, max_size=2).map(lambda texts: {"client_ip": {"in": texts}}),
    st.lists(ADDRESSES, min_size=1, max_size=2).map(lambda texts: {"client_ip": {"not_in": texts}}),
)
LANES = st.lists(
    st.fixed_dictionaries(
        {
            "tag": st.sampled_from(["gray", "blue"]),
            "enabled": st.booleans(),
            "match_mode": st.sampled_from(["all", "any"]),
            "match": st.lists(CONDITIONS, min_size=1, max_size=4),
        }
    ),
    max_size=6,
)
GROUPS = st.lists(LANES, min_size=1, max_size=3).map(
    lambda groups: [
        LaneGroup.model_validate(
            {"name": f"g{number}", "lanes": [{"name": f"l{index}", **lane} for index, lane in enumerate(lanes)]}
        )
        for number, lanes in enumerate(groups)
    ]
)
PAIRS = st.lists(st.tuples(KEYS, VALUES), max_size=3)
REQUESTS = st.builds(
    lambda method, host, path, params, headers, cookies, ip: Request.build(
        method,
        f"http://{host}{path}?" + "&".join(f"{key}={value}" for key, value in params).replace("é", "%C3%A9"),
        [*headers, *([("Cookie", "; ".join(f"{key}={value}" for key, value in cookies))] if cookies else [])],
        ip,
    ),
    st.sampled_from(["GET", "POST"]),
    HOSTS,
    PATHS,
    PAIRS,
    PAIRS,
    PAIRS,
    st.sampled_from(["10.0.0.1", "192.0.2.7", "::1"]),
)


@settings(max_examples=400, deadline=None)
@given(GROUPS, st.lists(REQUESTS, min_size=1, max_size=8))
def test_the_index_agrees_with_the_interpreter(groups: list[LaneGroup], requests: list[Request]) -> None:
    rules = compile_rules(groups)
    for request in requests:
        winner = rules.match(request)
        expected = next(((item.group, item.lane) for item in explain(groups, request) if item.winner), None)
        assert (None if winner is None else (winner.group, winner.name)) == expected
