"""What is lost is listed; what is not of the format is refused with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ruletools.formats import FORMATS, FormatError, export_rules, import_rules
from tests.support.examples import examples
from tests.support.formats import GRAY, group, places


@pytest.mark.parametrize("form", FORMATS)
def test_what_no_format_says_is_listed(form: str) -> None:
    lane = {"owner": "me", "expires": "2030-01-01", "debug": True, "sticky": "1d"}
    lane |= {"match_mode": "any", "match": [GRAY]}
    with_share = group({**lane, "match": [{"cookie": "a", "percent": 5}]}, order=3, baseline="closed_lanes_rejoin")
    found = export_rules(form, [with_share])
    assert {"shop order", "shop baseline"} <= set(places(found))
    if form == "mse":
        assert {f"shop/l0 {key}" for key in ("owner", "expires", "debug", "sticky")} <= set(places(found))
    else:
        del lane["sticky"]
        assert {f"shop/l0 {key}" for key in ("owner", "expires", "debug")} <= set(
            places(export_rules(form, [group(lane)]))
        )


@pytest.mark.parametrize(
    ("form", "data", "message"),
    [
        ("mse", 7, "the document: an object is accepted; found 7"),
        ("mse", {"Name": "x"}, "Tag: text is accepted; found None"),
        ("mse", {"Tag": "x", "EntryRules": "["}, "EntryRules: JSON is accepted; found '['"),
        ("mse", {"Tag": "x", "EntryRules": {}}, "EntryRules: a list is accepted; found {}"),
        ("mse", {"Tag": "x", "Enable": "maybe"}, "Enable: true or false is accepted; found 'maybe'"),
        ("mse", {"Tag": "x", "tag": "y"}, "tag: one spelling of a key is accepted; found Tag too"),
        (
            "mse",
            {"Tag": "x", "EntryRules": [{"Condition": "XOR"}]},
            "EntryRules.0.Condition: AND or OR is accepted; found 'XOR'",
        ),
        ("polaris", [{"rules": []}], "0.name: text is accepted; found None"),
        ("polaris", {"name": "x", "rules": [7]}, "rules.0: an object is accepted; found 7"),
        ("istio", "kind: x", "0: an object is accepted; found 'kind: x'"),
        ("istio", [{"spec": {}}], "0.kind: text is accepted; found None"),
    ],
    ids=str,
)
def test_what_is_not_of_the_format(form: str, data: object, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        import_rules(form, data)
    assert str(caught.value) == message


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 200)
    | st.sampled_from(["", "x", "*", "[", "AND", "1~2", "VirtualService"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Name",
                    "Tag",
                    "Lanes",
                    "Group",
                    "EntryRules",
                    "RestItems",
                    "Type",
                    "Cond",
                    "Value",
                    "Paths",
                    "rules",
                    "traffic_match_rule",
                    "arguments",
                    "value",
                    "kind",
                    "spec",
                    "metadata",
                    "http",
                    "match",
                    "headers",
                    "route",
                    "destination",
                    "host",
                    "subset",
                    "uri",
                    "exact",
                    "default_label_value",
                    "entries",
                    "selector",
                    "service",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@examples(60)
@given(form=st.sampled_from(FORMATS), data=JSON)
def test_nonsense_is_refused_or_read(form: str, data: object) -> None:
    try:
        losses = import_rules(form, data).losses
    except FormatError:
        return
    assert all(loss.message for loss in losses)
