"""Rules are read as APIs and clusters answer them; what holds no lane is an error that says what there is."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.rules.model import LaneGroup
from gateway.ruletools.formats import import_rules, read_documents
from gateway.ruletools.formats.outcome import FormatError

ITEM = {"type": "header", "name": "a", "operator": "rawvalue", "cond": "==", "value": "b"}
MSE = {"Name": "l", "Tag": "t", "GroupId": 6859, "EntryRules": [{"condition": "AND", "restItems": [ITEM]}]}
RULE = {
    "name": "l", "default_label_value": "t", "enable": True, "match_mode": "PERMISSIVE",
    "traffic_match_rule": {"arguments": [{"type": "METHOD", "value": {"value": "GET"}}]},
}  # fmt: skip
POLARIS = {
    "name": "g",
    "entries": [{"selector": {"namespace": "default", "service": "gw"}}],
    "destinations": [{"namespace": "default", "service": "a"}],
    "rules": [RULE],
}
ANY = {"@type": "type.googleapis.com/v1.LaneGroup", **POLARIS}
SERVICE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {
        "name": "g",
        "namespace": "default",
        "uid": "1",
        "resourceVersion": "2",
        "creationTimestamp": "2027-01-01T00:00:00Z",
    },
    "spec": {
        "hosts": ["a"],
        "http": [
            {"match": [{"headers": {"x": {"exact": "y"}}}], "route": [{"destination": {"host": "a", "subset": "t"}}]}
        ],
    },
    "status": {"observedGeneration": 1},
}
RULES = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "DestinationRule",
    "metadata": {"name": "g"},
    "spec": {"host": "a", "subsets": [{"name": "t", "labels": {"version": "t"}}]},
}
GATEWAY = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "g"}, "spec": {}}
ANSWER = {"RequestId": "DC34", "Success": True, "ErrorCode": "Success", "Message": "OK"}


def listed(*items: dict[str, Any], kind: str = "List") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"resourceVersion": ""}, "items": list(items)}


@pytest.mark.parametrize(
    ("form", "alone", "wrapped"),
    [
        pytest.param("mse", MSE, [MSE], id="a list"),
        pytest.param("mse", MSE, [[MSE], [[]]], id="lists in lists"),
        pytest.param("mse", MSE, json.dumps(MSE), id="a text"),
        pytest.param("mse", MSE, {**ANSWER, "Data": [MSE]}, id="QueryAllSwimmingLane"),
        pytest.param("mse", MSE, {**ANSWER, "Data": MSE}, id="QuerySwimmingLaneById"),
        pytest.param("mse", MSE, {**ANSWER, "data": [json.dumps(MSE)]}, id="lower case, and texts"),
        pytest.param("mse", MSE, {**ANSWER, "Data": {"TotalSize": 1, "PageNumber": 1, "Result": [MSE]}}, id="a page"),
        pytest.param("mse", MSE, {"headers": {}, "statusCode": 200, "body": {**ANSWER, "Data": [MSE]}}, id="an SDK's map"),
        pytest.param("mse", MSE, [{**ANSWER, "Data": [MSE]}, {**ANSWER, "Data": []}], id="several answers"),
        pytest.param("polaris", POLARIS, ANY, id="an Any"),
        pytest.param("polaris", POLARIS, {"code": 200000, "info": "execute success", "amount": 1, "size": 1, "data": [ANY]}, id="a query"),
        pytest.param("polaris", POLARIS, {"code": 200000, "responses": [{"code": 200000, "data": ANY}]}, id="a change"),
        pytest.param("polaris", POLARIS, {"code": 200000, "type": "LANE", "lanes": [POLARIS]}, id="a discovery"),
        pytest.param("polaris", POLARIS, {"configurations": [POLARIS]}, id="configurations"),
        pytest.param("istio", [SERVICE, RULES], listed(SERVICE, RULES), id="a List"),
        pytest.param("istio", [SERVICE, RULES], [listed(SERVICE, kind="VirtualServiceList"), listed(RULES, kind="DestinationRuleList")], id="lists of a kind"),
        pytest.param("istio", [SERVICE, RULES], [[SERVICE], [listed(listed(RULES))]], id="lists in lists"),
    ],
)  # fmt: skip
def test_what_is_wrapped_is_read_as_if_it_stood_alone(form: str, alone: object, wrapped: object) -> None:
    expected = import_rules(form, alone)
    assert [lane.enabled for group in expected.groups for lane in group.lanes] == [True]
    assert import_rules(form, wrapped).groups == expected.groups


def test_lanes_come_into_the_group_that_was_asked_for_beside_them() -> None:
    group = {"Name": "shop", "Id": 6859, "EntryApp": "gw", "AppIds": "a,b", "Region": "cn-hangzhou"}
    other = {"Name": "other", "Id": 7, "EntryApp": "gw", "AppIds": "c"}
    answers = [{**ANSWER, "Data": [MSE]}, {**ANSWER, "Data": [group, other]}]
    found = import_rules("mse", answers)
    lane = {"name": "l", "tag": "t", "match": [{"header": "a", "equals": "b"}]}
    assert found.groups == (
        LaneGroup.model_validate({"name": "shop", "entry": ["gw"], "services": ["a", "b"], "lanes": [lane]}),
    )
    losses = {loss.place: loss.message for loss in found.losses}
    assert losses["1.Data.1"] == "a lane group without its lanes: query them too"


def test_what_an_answer_spells_twice_is_read_where_both_say_the_same() -> None:
    """The answer that the documents of QueryAllSwimmingLane show has each of these twice, and two values of one."""
    twice = {**MSE, "groupId": "72709", "tag": "t", "name": "l"}
    assert import_rules("mse", {"Data": [twice]}).groups == import_rules("mse", MSE).groups
    with pytest.raises(FormatError, match=r"Data\.0\.tag: one spelling of a key is accepted; found Tag too"):
        import_rules("mse", {"Data": [{**MSE, "tag": "u"}]})


def test_the_route_of_a_gateway_is_read_as_it_is_answered() -> None:
    route = {
        "GatewayId": 1,
        "CanaryModel": 0,
        "Conditions": [{"Type": "param", "Name": "a", "Cond": "EQUAL", "Value": "b"}],
    }
    lane = {"Name": "l", "Tag": "t", "GatewaySwimmingLaneRoute": route}
    (group,) = import_rules("mse", {"Data": [lane]}).groups
    assert [one.model_dump(exclude_defaults=True) for one in group.lanes[0].match] == [{"param": "a", "equals": "b"}]
    assert group.lanes[0].enabled


def run(form: str, data: object, tmp_path: Path, *options: str) -> Result:
    path = tmp_path / "rules.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return CliRunner().invoke(main, ["rules", "import", form, str(path), *options])


BLANK: list[object] = ["# nothing", [], [[]], "---\n---\n"]
NOTHING = {
    "mse": "it has no lane; what can be read: swimming lanes as CreateOrUpdateSwimmingLane accepts and QueryAllSwimmingLane returns them",
    "polaris": "it has no lane; what can be read: LaneGroup objects with rules, alone or as Polaris returns them",
    "istio": "it has no lane; what can be read: routes of VirtualServices that have a match and lead to a subset",
}


@pytest.mark.parametrize(
    ("form", "data", "reasons"),
    [
        *((form, data, []) for form in NOTHING for data in BLANK),
        ("mse", {**ANSWER, "Data": []}, []),
        ("mse", {**ANSWER, "Data": None}, []),
        ("mse", {"Group": {"Name": "g"}, "Lanes": []}, []),
        ("mse", {"Data": [{"Name": "g", "Id": 1, "AppIds": "a"}]}, ["Data.0: a lane group without its lanes: query them too"]),
        ("mse", {**MSE, "Tag": "base"}, ["tag: tag 'base' is reserved: it means unmarked; found 'base'; the lane is left out"]),
        ("polaris", {"code": 200000, "data": []}, []),
        ("polaris", {**POLARIS, "rules": []}, []),
        ("polaris", {"data": [{"@type": "type.googleapis.com/v1.RouteRule", "name": "x"}]}, ["data.0: RouteRule: only LaneGroup is read"]),
        ("istio", listed(), []),
        ("istio", GATEWAY, ["0: Gateway: only VirtualService and DestinationRule are read"]),
        ("istio", listed(RULES, GATEWAY), ["0.items.1: Gateway: only VirtualService and DestinationRule are read"]),
    ],
)  # fmt: skip
def test_what_holds_no_lane_is_an_error(form: str, data: object, reasons: list[str], tmp_path: Path) -> None:
    result = run(form, data, tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [NOTHING[form], *reasons]


@pytest.mark.parametrize(
    ("form", "data", "message"),
    [
        ("mse", {**ANSWER, "Success": False, "Message": "no permission"}, "Tag: text is accepted; found None"),
        ("mse", {"lane_groups": []}, "Tag: text is accepted; found None"),
        ("polaris", {"code": 404001, "info": "not found"}, "name: text is accepted; found None"),
        ("istio", {"items": 3}, "0.items: an object is accepted; found 3"),
        ("istio", {"a": "b"}, "0.kind: text is accepted; found None"),
    ],
)
def test_what_is_somebody_elses_is_an_error(form: str, data: object, message: str, tmp_path: Path) -> None:
    result = run(form, data, tmp_path)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", message + "\n")


@pytest.mark.parametrize("form", list(NOTHING))
def test_an_empty_file_is_an_error(form: str, tmp_path: Path) -> None:
    result = run(form, "", tmp_path)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", NOTHING[form] + "\n")


def test_a_pipe_is_read(tmp_path: Path) -> None:
    """As a shell makes one of `<(kubectl get virtualservices -o yaml)`."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(json.dumps(MSE),))
    writer.start()
    result = CliRunner().invoke(main, ["rules", "import", "mse", str(path)])
    writer.join()
    assert (result.exit_code, "name: mse-6859" in result.stdout) == (0, True)


def test_an_unknown_kind_beside_lanes_is_named(tmp_path: Path) -> None:
    result = run("istio", listed(SERVICE, RULES, GATEWAY), tmp_path)
    assert result.exit_code == 0
    assert "lost: 0.items.2: Gateway: only VirtualService and DestinationRule are read\n" in result.stderr
    assert run("istio", listed(SERVICE, RULES, GATEWAY), tmp_path, "--strict").exit_code == 1
    assert run("istio", listed(SERVICE, RULES), tmp_path, "--strict").exit_code == 0


def test_wrappers_have_an_end() -> None:
    data: Any = MSE
    for _ in range(100):
        data = {"Data": data}
    with pytest.raises(FormatError, match="an object in at most 16 lists and responses is accepted"):
        import_rules("mse", data)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1.10, "b": "x"}', {"a": 1.1, "b": "x"}),
        ("a: 1\n---\nb: x\n---\n", [{"a": 1}, {"b": "x"}]),
        ("a: 2027-01-01\nb: 2027-01-01T00:00:00Z\nc: =", [{"a": "2027-01-01", "b": "2027-01-01T00:00:00Z", "c": "="}]),
        ("a: &x {b: c}\nd: {<<: *x, e: true}", [{"a": {"b": "c"}, "d": {"b": "c", "e": True}}]),
    ],
)
def test_documents(text: str, value: object) -> None:
    assert read_documents(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "neither JSON nor YAML: expected the node content, but found '<stream end>' (line 1, column 5)"),
        ("a: \0", "neither JSON nor YAML: unacceptable character #x0000: special characters are not allowed"),
        ("[" * 5000, "too deeply nested"),
        ("- " * 5000, "too deeply nested"),
        ('["\\ud800"]', r"'\ud800' contains a lone surrogate, which is not a character"),
        ("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)),
         "with its aliases written out it has more than 250,000 values"),
    ],
)  # fmt: skip
def test_documents_that_are_none(text: str, message: str) -> None:
    with pytest.raises(FormatError) as error:
        read_documents(text)
    assert str(error.value).startswith(message)


def test_an_export_to_istio_is_text_to_kubernetes(tmp_path: Path) -> None:
    """What another reader of YAML would take for a number or a date is in quotes, and a variable of ours is none there."""
    values = ["1e3", "0x10", "yes", "2027-01-01", "a\u0085b", "::1", "${X}", "12:30", "~"]
    match = [{"header": "x", "in": values}]
    (tmp_path / "r.yaml").write_text(
        json.dumps({"lane_groups": [{"name": "g", "services": ["a"], "lanes": [{"name": "l", "tag": "1e3", "strict": True, "match": match}]}]})
        .replace("${X}", "$${X}")
        .replace("\\u0085", "\\N")
    )  # fmt: skip
    result = CliRunner().invoke(main, ["rules", "export", "istio", str(tmp_path)])
    assert result.exit_code == 0, result.stderr
    service, rule = yaml.safe_load_all(result.stdout)
    assert rule["spec"]["subsets"][1]["labels"] == {"version": "1e3"}
    (back,) = import_rules("istio", [service, rule]).groups
    assert back.lanes[0].match[0].in_ == values
