"""Checking files of any kind: what each is, and that problems are neither lost nor said twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.ruletools.check import check

GATEWAY = """\
registry: {kind: static, services: {a: []}}
routes: [{path: /A, service: a}]
"""
SIDECAR = """\
service: a
app: 127.0.0.1:1
inbound: 127.0.0.1:2
outbound: 127.0.0.1:3
registry: {kind: nacos, address: 127.0.0.1:8848}
"""
LANE = "lane_groups: [{name: g, lanes: [{name: l, tag: gray, match: [{param: a, equals: '1'}]}]}]\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def problems_in(root: Path, *paths: Path) -> tuple[list[str], int]:
    problems, count = check(paths or [root])
    return [str(problem).replace(f"{root}/", "") for problem in problems], count


def test_files_are_told_apart_by_their_keys(tmp_path: Path) -> None:
    write(tmp_path / "gateway.yaml", GATEWAY.replace("routes", "rout"))
    write(tmp_path / "sidecar.yaml", SIDECAR.replace("app:", "ap:"))
    write(tmp_path / "rules" / "r.yaml", LANE.replace("tag", "tga"))
    assert problems_in(tmp_path) == (
        [
            "gateway.yaml:2:1: rout: unknown key 'rout'; did you mean 'routes'?",
            "rules/r.yaml:1:33: lane_groups.0.lanes.0.tag: this key is required",
            "rules/r.yaml:1:43: lane_groups.0.lanes.0.tga: unknown key 'tga'; did you mean 'tag'?",
            "sidecar.yaml:1:1: app: this key is required",
            "sidecar.yaml:2:1: ap: unknown key 'ap'; did you mean 'app'?",
        ],
        3,
    )


@pytest.mark.parametrize("text", ["lane_group: []", "lanegroups: []"])
def test_a_slip_in_the_only_key_is_named(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "r.yaml", text)
    problems, _ = problems_in(tmp_path, path)
    assert [problem.partition("; ")[2] for problem in problems] == ["did you mean 'lane_groups'?"]


def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    write(tmp_path / "compose.yaml", "apiVersion: apps/v1\n")
    message = "this is not a gateway configuration, a sidecar configuration or lane rules: none of its keys is known"
    assert problems_in(tmp_path) == ([f"compose.yaml:1:1: {message}"], 1)


def test_a_directorys_manifests_and_charts_are_for_other_tools(tmp_path: Path) -> None:
    manifest = write(tmp_path / "k8s" / "deployment.yaml", "# …\napiVersion: apps/v1\nkind: Deployment\n---\na: b\n")
    write(tmp_path / "chart" / "Chart.yaml", "apiVersion: v2\nname: x\n")
    write(tmp_path / "chart" / "templates" / "t.yaml", "{{ if .Values.x }}\n")
    write(tmp_path / "prometheus" / "prometheus.yaml", "scrape_configs: []\n")
    write(
        tmp_path / "prometheus" / "alerts.yaml",
        "groups:\n  - name: x\n    rules:\n      - alert: y\n        expr: up\n",
    )
    write(tmp_path / "prometheus" / "alerts.test.yaml", "rule_files: [alerts.yaml]\ntests: []\n")
    write(tmp_path / "r.yaml", LANE)
    assert problems_in(tmp_path) == ([], 1)
    assert len(problems_in(tmp_path, manifest)[0]) == 1, "one that is named is looked at"


def test_rules_reached_twice_are_one_file_with_each_problem_once(tmp_path: Path) -> None:
    write(tmp_path / "config" / "gateway.yaml", GATEWAY + "rules: ../rules\n")
    rules = write(tmp_path / "rules" / "r.yaml", LANE)
    assert problems_in(tmp_path, tmp_path / "config" / "gateway.yaml") == ([], 2)
    assert problems_in(tmp_path) == ([], 2)
    rules.write_text(LANE.replace("gray", "base"))
    assert problems_in(tmp_path) == (
        ["rules/r.yaml:1:48: lane_groups.0.lanes.0.tag: tag 'base' is reserved: it means unmarked"], 2,
    )  # fmt: skip


def test_a_group_may_be_defined_again_in_another_directory(tmp_path: Path) -> None:
    write(tmp_path / "one" / "r.yaml", LANE)
    write(tmp_path / "two" / "r.yaml", LANE)
    assert problems_in(tmp_path) == ([], 2)
    write(tmp_path / "two" / "s.yaml", LANE)
    (problem,), _ = problems_in(tmp_path)
    assert problem == "two/s.yaml:1:22: lane group 'g' is already defined in two/r.yaml:1"


def test_a_mounted_config_map_is_looked_at_once(tmp_path: Path) -> None:
    write(tmp_path / "..2026_11_23" / "r.yaml", LANE)
    (tmp_path / "..data").symlink_to("..2026_11_23")
    (tmp_path / "r.yaml").symlink_to("..data/r.yaml")
    assert problems_in(tmp_path) == ([], 1)


def test_the_shell_fills_variables_but_sets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "g.yaml", GATEWAY + "admin: ${ADMIN_ADDRESS}\n")
    monkeypatch.setenv("GATEWAY_LISTEN", "nonsense")
    monkeypatch.setenv("ADMIN_ADDRESS", "127.0.0.1:1")
    assert problems_in(tmp_path, path) == ([], 1)
    # What is a setting's name elsewhere fills a variable like any other.
    path.write_text(GATEWAY + "admin_token: ${GATEWAY_TOKEN}\n")
    monkeypatch.setenv("GATEWAY_TOKEN", "sixteen-letters-")
    assert problems_in(tmp_path, path) == ([], 1)
    path.write_text(GATEWAY + "admin: ${ADMIN_ADDRESS}\n")
    monkeypatch.delenv("ADMIN_ADDRESS")
    (problem,), _ = problems_in(tmp_path, path)
    assert "environment variable ADMIN_ADDRESS is not set" in problem


def test_nothing_to_check(tmp_path: Path) -> None:
    assert problems_in(tmp_path, tmp_path)[0] == [f"{tmp_path}:1:1: the directory has no *.yaml file"]
    assert problems_in(tmp_path, tmp_path / "x.yaml")[0] == [
        "x.yaml:1:1: cannot read the file: No such file or directory"
    ]


def test_a_file_with_all_lanes_commented_out_is_fine(tmp_path: Path) -> None:
    write(tmp_path / "r.yaml", "# lane_groups:\n")
    assert problems_in(tmp_path) == ([], 1)


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ("rules: ../nope\n", "3:8: rules: "),
        ("rules: [../rules, ../nope.yaml]\n", "3:19: rules: "),
        ('rules: "../\\0"\n', "3:8: rules.0.path: "),
        ("rules:\n  - ../rules\n  - ../nope\n", "5:5: rules: "),
        ("tls: {certificates: [{cert: no.pem, key: no.key}]}\n", "3:22: tls.certificates.0: "),
        ("services: {a: {tls: {ca: no.pem}}}\n", "3:26: services.a.tls.ca: "),
        ("jwt: {keys: [{file: no.json}]}\n", "3:21: jwt.keys.0.file: "),
    ],
)
def test_a_file_that_is_not_there_is_blamed_on_the_place_that_names_it(tmp_path: Path, config: str, place: str) -> None:
    write(tmp_path / "rules" / "r.yaml", LANE)
    path = write(tmp_path / "config" / "gateway.yaml", GATEWAY + config)
    (problem,), _ = problems_in(tmp_path, path)
    assert problem.startswith(f"config/gateway.yaml:{place}")


@pytest.mark.parametrize(
    ("segments", "place"),
    [
        ("segments: [{name: x, file: no.txt}]", "1:28: segments.0.file: cannot read "),
        ("segments:\n  - name: x\n    file: ../rules", "3:11: segments.0.file: cannot read "),
    ],
)
def test_a_segment_that_is_not_there_is_blamed_on_the_place_that_names_it(
    tmp_path: Path, segments: str, place: str
) -> None:
    write(tmp_path / "rules" / "r.yaml", segments + "\n" + LANE)
    (problem,), _ = problems_in(tmp_path)
    assert problem.startswith(f"rules/r.yaml:{place}")


def test_a_test_whose_request_would_be_refused_is_found(tmp_path: Path) -> None:
    write(tmp_path / "tests" / "t.yaml", "tests:\n  - name: a\n    lane: none\n    request: {url: /A/ä}\n")
    (problem,), _ = problems_in(tmp_path)
    assert problem.startswith("tests/t.yaml:4:14: test 'a': the gateway would refuse this request: 400 ")
    write(tmp_path / "tests" / "t.yaml", "tests: [{name: a, lane: none, request: {url: /, client_ip: x}}]\n")
    (problem,), _ = problems_in(tmp_path)
    assert problem == "tests/t.yaml:1:60: tests.0.request.client_ip: an IP address is accepted; found 'x'"
