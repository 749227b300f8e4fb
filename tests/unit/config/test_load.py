"""Loading configuration: every problem at once, each at its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.load import load_gateway, load_sidecar
from gateway.errors import ConfigError
from gateway.rulesources.files import load_rules
from gateway.rulesources.remote import copy_path
from gateway.settings import Address, RemoteRules

GATEWAY = """\
listen: 127.0.0.1:8080
registry:
  kind: static
  services:
    a: [{address: "127.0.0.1:9001"}, {address: "127.0.0.1:9002", tag: gray}]
routes:
  - {path: /A, service: a, strip_prefix: true}
"""

LANE = "lane_groups: [{name: g, lanes: [{name: l, tag: gray, match: [{param: a, equals: '1'}]}]}]\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def gateway_problems(tmp_path: Path, text: str, *overrides: str, **environ: str) -> list[str]:
    """The problems of a gateway.yaml, without the folder."""
    with pytest.raises(ConfigError) as error:
        load_gateway(write(tmp_path / "gateway.yaml", text), overrides, environ)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in error.value.problems]


def test_the_designs_files_load(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    loaded = load_gateway(root / "config" / "gateway.yaml", environ={})
    assert [group.name for group in loaded.rules.groups] == ["demo"]
    assert loaded.settings.listen == Address(host="0.0.0.0", port=8080)
    assert load_sidecar(root / "config" / "sidecar.yaml", environ={}).settings.tag == "gray"


def test_every_problem_at_once(tmp_path: Path) -> None:
    write(
        tmp_path / "rules" / "a.yaml",
        """\
lane_groups:
  - name: g
    lanes:
      - {name: l, tag: base, match: [{param: a, equls: x}]}
      - {name: m, tag: gray, match: []}
      - {name: m, tag: gray, match: [{param: a, regex: "(x"}, {cookie: c, percent: 101}]}
""",
    )
    write(tmp_path / "rules" / "b.yaml", "lane_groups: [{name: g, lanes: 3}]\n")
    text = """\
listn: 1.2.3.4:80
admin: nowhere
workers: 0
registry: {kind: zookeeper}
routes:
  - {path: A, service: a, strip_prefx: yes}
rules: rules
timeouts: {head: 10 parsecs, connect: 0}
trusted: [10.0.0.0/33]
carriers: {header: Host}
"""
    assert gateway_problems(tmp_path, text) == [
        "gateway.yaml:1:1: listn: unknown key 'listn'; did you mean 'listen'?",
        "gateway.yaml:2:8: admin: an address is host:port, the port 0 to 65535; found 'nowhere'",
        "gateway.yaml:3:10: workers: must be greater than or equal to 1 (found '0')",
        "gateway.yaml:4:11: registry: unknown kind 'zookeeper'; accepted: 'static', 'embedded', 'nacos', 'consul', 'kubernetes'",
        "gateway.yaml:6:12: routes.0.path: a route's path starts with '/' and has no '?', '#', '//' or non-ASCII character; found 'A'",
        "gateway.yaml:6:27: routes.0.strip_prefx: unknown key 'strip_prefx'; did you mean 'strip_prefix'?",
        "gateway.yaml:8:18: timeouts.head: a duration is a number with ms, s, m or h; found '10 parsecs'",
        "gateway.yaml:8:39: timeouts.connect: must be greater than 0 (found '0')",
        "gateway.yaml:9:11: trusted.0: an address or network is accepted (10.0.0.0/8, host bits 0); found '10.0.0.0/33'",
        "gateway.yaml:10:20: carriers.header: header 'host' has its own meaning and cannot carry the tag",
        "rules/a.yaml:4:24: lane_groups.0.lanes.0.tag: tag 'base' is reserved: it means unmarked",
        "rules/a.yaml:4:49: lane_groups.0.lanes.0.match.0.equls: unknown key 'equls'; did you mean 'equals'?",
        "rules/a.yaml:5:37: lane_groups.0.lanes.1.match: must have at least 1 item, not 0",
        "rules/a.yaml:6:16: lane_groups.0.lanes.2.name: lane name 'm' is given twice in group 'g'",
        "rules/a.yaml:6:56: lane_groups.0.lanes.2.match.0.regex: not a regular expression (RE2 syntax, no look-around or back-references): missing ): (x",
        "rules/a.yaml:6:84: lane_groups.0.lanes.2.match.1.percent: a number from 0 to 100 is accepted, or a list of spans such as [0-5, 20-25]; found '101'",
        "rules/b.yaml:1:32: lane_groups.0.lanes: must be a list (found '3')",
    ]


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("{param: a}", "a condition has exactly one operator of"),
        ("{param: a, equals: x, in: [y]}", "found equals and in"),
        ("{equals: a}", "a condition looks at exactly one of"),
        ("{param: a, cookie: b, equals: c}", "found param and cookie"),
        ("{path: {prefix: /x}, equals: y}", "the operator goes inside: {path: {equals: …}}"),
        ("{path: {}}", "a condition has exactly one operator of"),
        ("{client_ip: {in: [10.0.0.0/8, zzz]}}", "client_ip: 'zzz' is neither an address nor a network"),
        ("{param: a, in: []}", "must have at least 1 item"),
        ("{param: a, range: [9, 1]}", "range: the first number is larger than the second: [9, 1]"),
        ("{param: a, range: [1]}", "must have at least 2 items"),
        ("{param: a, percent: -1}", "a number from 0 to 100 is accepted"),
        ("{param: a, percent: nan}", "found 'nan'"),
        ("{param: a, percent: [5-1]}", "a span is FROM-TO in percent, such as 0-5 or 12.5-20; found '5-1'"),
        ("{param: a, percent: [0-5, 4-6]}", "the spans overlap"),
        ("{cookie: a, percent: 5, issue: 3}", "an age is a whole number with m, h or d"),
        ("{param: a, percent: 5, issue: 3d}", "issue goes with the percent of a cookie"),
        ("{body: x, equals: y}", "'x' is not a JSON pointer"),
        ("{time: {}}", "time: give at least one of"),
        ("{time: {hours: 9-18}}", "hours are FROM-UNTIL"),
        ("{time: {hours: 09:00-09:00}}", "the hours begin and end at the same time; the whole day is 00:00-24:00"),
        ("{time: {hours: 24:00-00:00}}", "the hours begin and end at the same time"),
        ("{time: {zone: Mars/Base, days: [mon]}}", "'Mars/Base' is not the name of a time zone"),
        ("{time: {from: 2027-01-01T00:00:00}}", "has no time zone: add Z or +08:00"),
        ("{client_ip: {prefix: '10.'}}", "client_ip: prefix does not apply to an address"),
        ("{not: {param: a, equals: x}, equals: y}", "not accepts no operator beside it"),
        ("{all: []}", "must have at least 1 item"),
        ("{param: a, segment: nobody}", "there is no segment 'nobody' (there are: none)"),
        (
            "{param: a, range: [nan, 1]}",
            "a decimal number is accepted, with at most 30 digits on either side of the point; found 'nan'",
        ),
        ("{param: a, equals: }", "equals: a value is missing; an empty text is written ''"),
        ("{param: '', equals: x}", "the name of a parameter is missing"),
        ("{cookie: 'a=b', equals: x}", "'a=b' is not a cookie's name"),
        ("{path: {in: [/a, b]}}", "path: a path starts with '/', so 'b' can never be one"),
        ("{path: {prefix: a}}", "path: a path starts with '/', so 'a' can never be one"),
        ("{host: {equals: 'shop:80'}}", "so 'shop:80' can never be a host"),
        ('{param: a, regex: "(a"}', "not a regular expression"),
        ("[]", "must be a mapping of keys to values (found a list)"),
        ('{header: "a b", equals: x}', "'a b' is not a header name"),
        ('{param: a, regex: "(?=a)"}', "not a regular expression"),
        ("{param: a, exists: perhaps}", "must be true or false"),
    ],
)
def test_bad_conditions(tmp_path: Path, condition: str, problem: str) -> None:
    path = write(tmp_path / "r.yaml", f"lane_groups: [{{name: g, lanes: [{{name: l, tag: t, match: [{condition}]}}]}}]")
    with pytest.raises(ConfigError) as error:
        load_rules([path])
    assert len(error.value.problems) == 1
    assert problem in str(error.value)


def test_a_group_is_defined_once_over_all_files(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", LANE)
    write(tmp_path / "b.yaml", LANE)
    with pytest.raises(ConfigError) as error:
        load_rules([tmp_path])
    assert str(error.value) == f"{tmp_path}/b.yaml:1:22: lane group 'g' is already defined in {tmp_path}/a.yaml:1"


def test_rules_of_a_directory_go_by_name_and_hidden_ones_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "2.yml", LANE.replace("name: g", "name: second"))
    write(tmp_path / "1.yaml", LANE.replace("name: g", "name: first"))
    write(tmp_path / ".3.yaml.swp.yaml", "broken: [")
    write(tmp_path / "note.txt", "broken: [")
    assert [group.name for group in load_rules([tmp_path]).rules.groups] == ["first", "second"]


def test_routes(tmp_path: Path) -> None:
    twice = GATEWAY + "  - {path: /A/, service: a}\n"
    assert gateway_problems(tmp_path, twice) == ["gateway.yaml:8:12: routes.1.path: the route '/A' is given twice"]
    unknown = GATEWAY.replace("service: a,", "service: b,")
    assert gateway_problems(tmp_path, unknown) == [
        "gateway.yaml:7:25: routes.0.service: service 'b' is not in the static registry (it has: a)"
    ]


def test_a_file_that_is_no_mapping(tmp_path: Path) -> None:
    assert gateway_problems(tmp_path, "- a\n") == ["gateway.yaml:1:1: the file must be a mapping of keys to values"]
    assert gateway_problems(tmp_path, "# nothing\n") == [
        "gateway.yaml:1:1: either `registry` or `registries` is needed"
    ]


def test_nothing_where_something_is_wanted(tmp_path: Path) -> None:
    assert gateway_problems(
        tmp_path, GATEWAY + "timeouts:\nadmin:\ntrusted: x\nlimits: [1]\ntrace_sampled: half\n"
    ) == [
        "gateway.yaml:8:10: timeouts: must be a mapping of keys to values (found nothing)",
        "gateway.yaml:9:7: admin: an address is host:port, the port 0 to 65535; found nothing",
        "gateway.yaml:10:10: trusted: must be a list (found 'x')",
        "gateway.yaml:11:9: limits: must be a mapping of keys to values (found a list)",
        "gateway.yaml:12:16: trace_sampled: must be a number (found 'half')",
    ]


def test_rules_that_are_not_there_are_blamed_on_who_names_them(tmp_path: Path) -> None:
    write(tmp_path / "here.yaml", LANE)
    text = GATEWAY + "rules: [here.yaml, ./gone]\n"
    assert gateway_problems(tmp_path, text) == ["gateway.yaml:8:20: rules: there is no file or directory 'gone'"]
    assert gateway_problems(tmp_path, GATEWAY, "rules=gone") == [
        "--set rules: rules: there is no file or directory 'gone'"
    ]


def test_rules_are_read_beside_the_configuration_and_watched(tmp_path: Path) -> None:
    write(tmp_path / "rules" / "a.yaml", LANE.replace("gray", "'${TAG:-gray}'"))
    path = write(tmp_path / "config" / "gateway.yaml", GATEWAY + "rules: ../rules\n")
    loaded = load_gateway(path, environ={"TAG": "blue"})
    assert loaded.files == (path, tmp_path / "rules", tmp_path / "rules" / "a.yaml")
    assert [(group.name, lane.name, lane.tag) for group in loaded.rules.groups for lane in group.lanes] == [
        ("g", "l", "blue")
    ]


def test_everything_that_a_configuration_names_is_watched_there_or_not(tmp_path: Path) -> None:
    """So that whatever mends it, or renews a certificate, is noticed: also what is not there yet."""
    write(tmp_path / "rules" / "a.yaml", LANE + "segments: [{name: testers, file: testers.txt}]\n")
    text = """\
registry: {kind: consul, scheme: https, ca: certs/consul.pem}
tls: {certificates: [{cert: certs/tls.crt, key: certs/tls.key}]}
jwt: {keys: [{file: certs/idp.jwks.json}]}
services: {a: {tls: {ca: certs/a.pem}}}
routes: [{path: /A, service: a}]
rules: [rules, more, {consul: gray.yaml, address: "127.0.0.1:8500"}]
state: state
"""
    with pytest.raises(ConfigError) as error:
        load_gateway(write(tmp_path / "gateway.yaml", text), environ={})
    copy = copy_path(
        RemoteRules.model_validate({"consul": "gray.yaml", "address": "127.0.0.1:8500"}), tmp_path / "state"
    )
    files = {path.relative_to(tmp_path) for path in [*error.value.files, copy]}
    named = {"gateway.yaml", "rules", "rules/a.yaml", "rules/testers.txt", "more", str(copy.relative_to(tmp_path))}
    named |= {f"certs/{name}" for name in ("consul.pem", "tls.crt", "tls.key", "idp.jwks.json", "a.pem")}
    assert {str(path) for path in files} == named
    assert copy in error.value.files


def test_a_directory_of_rules_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ConfigError) as error:
        load_rules([tmp_path])
    assert str(error.value) == f"{tmp_path}:1:1: cannot read the directory: Permission denied"


def test_a_file_that_is_just_being_written_closes_no_lane(tmp_path: Path) -> None:
    """Editors and `>` empty a file first: a reload at that moment is refused, and the running rules stay."""
    write(tmp_path / "rules" / "a.yaml", "")
    problems = gateway_problems(tmp_path, "registry: {kind: embedded}\nrules: rules\n")
    assert problems == ["rules/a.yaml:1:1: the file is empty; if that is intended, leave a comment"]
