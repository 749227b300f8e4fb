"""The documents say what is so: examples are valid, commands exist, links lead somewhere, nothing is left out."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import bcrypt
import click
import pytest
import trustme
import yaml
from click.testing import CliRunner

from gateway.admin.metrics import METRICS
from gateway.admin.processes import process_metrics
from gateway.cli import COMMANDS, main
from gateway.release.check import check_all
from tests.support.certificates import Authority

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])
IDS = [str(path.relative_to(ROOT)) for path in DOCUMENTS]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CERTIFICATES = re.compile(r"cert: (\S+), key: (\S+)\}")
_MESH = re.compile(r"cert: (\S+)\n +key: (\S+)\n +ca: (\S+)\n +identity: (\S+)")
_USERS = re.compile(r"basic_auth: {users: ([\w.-]+)")
_SEGMENTS = re.compile(r"file: ([^\s,}]+\.txt)")
_LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")
_TITLE = re.compile(r"^#+ (.+)$", re.MULTILINE)
_MODULE = re.compile(r"`(?:gateway/)?([\w/]+\.py)`")


def blocks(path: Path, language: str) -> list[str]:
    return [text for found, text in _FENCE.findall(path.read_text()) if found == language]


def anchors(path: Path) -> set[str]:
    """The fragments that GitHub makes of a document's titles."""
    titles = _TITLE.findall(_FENCE.sub("", path.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_links_lead_somewhere(document: Path) -> None:
    for target, fragment in _LINK.findall(document.read_text()):
        if "://" in target:
            continue
        path = document.parent / target if target else document
        assert path.exists(), target
        assert not fragment or fragment in anchors(path), f"{target}#{fragment}"


def test_the_modules_that_the_architecture_names_exist() -> None:
    known = {str(path.relative_to(ROOT)) for path in (ROOT / "gateway").rglob("*.py")}
    known |= {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py")}
    named = _MODULE.findall((ROOT / "docs" / "architecture.md").read_text())
    assert [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in known)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_the_tests_that_are_named_exist(document: Path) -> None:
    known = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    for name in re.findall(r"`((?:tests/)?[\w/]*\btest_\w+\.py|tests/[\w/]+)`", document.read_text()):
        assert (ROOT / name).exists() if "/" in name else name in known, name


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_yaml_examples_pass_the_check(document: Path, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(document, "yaml")):
        data = yaml.safe_load(text)
        if not isinstance(data, dict) or not {"lane_groups", "registry", "service"} & set(data):
            continue  # a piece of a file
        if {"orchestration", "targets"} & set(data):
            continue  # a file of a release: tests/docs/test_release.py
        folder = tmp_path / str(number) / "config"
        folder.mkdir(parents=True)
        for rules in ("../rules", "rules"):
            (folder / rules).mkdir(exist_ok=True)
        for names in _CERTIFICATES.findall(text):
            certificate = trustme.CA().issue_cert("shop.example")
            certificate.cert_chain_pems[0].write_to_path(str(folder / names[0]))
            certificate.private_key_pem.write_to_path(str(folder / names[1]))
        for cert, key, ca, identity in _MESH.findall(text):
            authority = Authority()
            authority.trust(folder, ca)
            pair = authority.issue(folder, "own", identity.format(service=data.get("service", "gateway")))
            Path(pair["cert"]).rename(folder / cert)
            Path(pair["key"]).rename(folder / key)
        for name in _SEGMENTS.findall(text):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("alice\n")
        for name in _USERS.findall(text):
            (folder / name).write_text(f"alice:{bcrypt.hashpw(b'wonder', bcrypt.gensalt(4)).decode()}\n")
        (folder / "file.yaml").write_text(text)
        problems, _ = check_all([folder / "file.yaml"])
        assert problems == [], text


def commands() -> list[tuple[str, list[str]]]:
    """Every `gateway …` line of every plain or shell block."""
    found = []
    for document in DOCUMENTS:
        for language in ("", "sh", "bash", "console"):
            for text in blocks(document, language):
                for line in text.splitlines():
                    line = line.removeprefix("$ ").strip()
                    if line.startswith("gateway "):
                        found.append((document.name, shlex.split(line.partition(" > ")[0])[1:]))
    return found


@pytest.mark.parametrize(("document", "arguments"), commands(), ids=str)
def test_documented_commands_parse(document: str, arguments: list[str]) -> None:
    """Each is a command with these options and arguments; it is parsed, not run."""
    group = click.Context(main, **main.context_settings)
    command = main.get_command(group, arguments[0])
    assert command is not None
    # With the group as its parent: a command keeps the help option that its first context gave it.
    command.make_context(arguments[0], arguments[1:], parent=group)


ON_FILES = {"check", "explain", "rules", "schema", "version"}
"""Commands that end, and need no running gateway unless they say which."""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the documents' commands find: the shipped files, a draft of them, an access log, and other systems' rules."""
    for name in ("config", "rules"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "rules", tmp_path / "draft")
    [line] = re.findall(r'^\{"ts":.*$', (ROOT / "docs" / "access-log.md").read_text(), re.MULTILINE)
    (tmp_path / "access.log").write_text(line + "\n")
    lane = {"Name": "gray", "Tag": "gray", "Enable": True, "EntryRules": [{"Paths": ["/A"], "RestItems": []}]}
    (tmp_path / "lane.json").write_text(json.dumps(lane))
    match = {"headers": {"x-user": {"exact": "alice"}}}
    route = {"match": [match], "route": [{"destination": {"host": "a", "subset": "gray"}}]}
    service = {"kind": "VirtualService", "metadata": {"name": "a"}, "spec": {"hosts": ["a"], "http": [route]}}
    (tmp_path / "virtual-services.yaml").write_text(yaml.safe_dump(service))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(
    ("document", "arguments"),
    [
        (document, arguments)
        for document, arguments in commands()
        if arguments[0] in ON_FILES and "--server" not in arguments and "tutorial" not in arguments
    ],
    ids=str,
)
def test_documented_commands_on_files_work(document: str, arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output


def test_every_command_is_in_both_readmes() -> None:
    for name in ("README.md", "README.zh-CN.md"):
        text = (ROOT / name).read_text()
        assert [command for command in COMMANDS if f"`gateway {command}`" not in text] == []


def test_the_metrics_document_is_the_table_of_metrics() -> None:
    """Name, labels and meaning of each, in the same order; those of the processes come last."""
    processes = {metric.name for metric in process_metrics({"main": os.getpid()})}
    text = (
        (ROOT / "docs" / "metrics.md").read_text().partition("\n## Metrics and their labels\n")[2].partition("\n## ")[0]
    )
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]*?) ?\| (.*) \|$", text, re.MULTILINE)
    plain = [
        (
            name,
            tuple(labels.split(", ")) if labels else (),
            re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", meaning).replace("`", ""),
        )
        for name, labels, meaning in rows
    ]
    described = [(family.name, family.labels, family.help) for family in METRICS]
    assert plain[: len(METRICS)] == described
    assert {name.removesuffix("_total") for name, _, _ in plain[len(METRICS) :]} == {
        name.removesuffix("_total") for name in processes
    }


def test_the_documented_errors_are_the_table_of_failures() -> None:
    """Each code stands in one row, with its status; what has no response of its own is a cause in the access log."""
    from gateway.failures import FAILURES

    text = (ROOT / "docs" / "errors.md").read_text()
    table = text.partition("\n| code |")[2].partition("\n\n")[0]
    documented: dict[str, tuple[int, str]] = {}
    for row in table.splitlines()[2:]:
        codes, status, side = row.split("|")[1:4]
        documented |= dict.fromkeys(re.findall(r"`(\w+)`", codes), (int(status), side.strip()))
    told = {code: (one.status, one.side) for code, one in FAILURES.items() if one.status and one.status != 499}
    assert documented == told
    log = (ROOT / "docs" / "access-log.md").read_text()
    assert [code for code in FAILURES if code not in told and f"`{code}`" not in log] == []


def test_every_kind_of_upstream_error_is_documented() -> None:
    from gateway.failures import FAULTS

    text = (ROOT / "docs" / "metrics.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `kind` of upstream errors |"))
    assert [kind for kind in FAULTS if f"`{kind}`" not in row] == []


def test_no_status_or_code_of_a_failure_is_written_twice() -> None:
    """They stand in the table; everybody else names the failure."""
    from gateway.failures import FAILURES
    from gateway.routing.patience import Timeouts

    # A timeout has the name of the failure that it leads to.
    codes = FAILURES.keys() - set(Timeouts.__slots__)
    rooms = [path for room in ("proxy", "http", "routing") for path in (ROOT / "gateway" / room).glob("*.py")]
    written = [f"{path.name}: {code}" for path in rooms for code in codes if f'"{code}"' in path.read_text()]
    assert written == []


def test_every_field_that_only_proxies_may_send_is_documented() -> None:
    from gateway.http.forwarding import FAMILIES, FORWARDING

    text = (ROOT / "docs" / "forwarding.md").read_text()
    table = text.partition("\n| about | fields |\n")[2].partition("\n| this program")[0]
    documented = {name.lower() for name in re.findall(r"`([\w-]+…?)`", table)}
    names = {name.decode() for name in FORWARDING} | {f"{name.decode()}…" for name in FAMILIES}
    assert documented == names


def test_every_endpoint_is_documented() -> None:
    from gateway.admin.table import ENDPOINTS

    text = (ROOT / "docs" / "admin-api.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z]+) (/[^`]*)` \| (yes|no) \|", text, re.MULTILINE))
    placeholder = re.compile(r"\{(\w+)(?::[^/]*)?\}")
    assert documented == {
        (
            endpoint.method,
            placeholder.sub(lambda match: match[1].upper(), endpoint.path),
            "no" if endpoint.is_free else "yes",
        )
        for endpoint in ENDPOINTS
    }


def test_the_registrys_documented_calls_exist() -> None:
    source = (ROOT / "gateway" / "registry" / "embedded" / "api.py").read_text()
    text = (ROOT / "docs" / "registries.md").read_text()
    paths = set(re.findall(r"/nacos/v[13]/(?:ns|cs|client|admin)[\w/]*", text))
    assert paths
    assert [path for path in sorted(paths) if f'"{path}"' not in source] == []


def test_the_shipped_files_pass_the_check() -> None:
    assert check_all([ROOT / "config", ROOT / "rules"])[0] == []


def test_the_dockerfile_runs_the_program_as_nobody_and_without_a_shell() -> None:
    instructions = dict(
        line.split(" ", 1) for line in (ROOT / "Dockerfile").read_text().splitlines() if re.match(r"[A-Z]+ ", line)
    )
    assert instructions["ENTRYPOINT"] == '["gateway"]'
    assert instructions["CMD"].startswith('["serve"')
    assert instructions["USER"].split(":")[0] not in ("0", "root")
    assert instructions["STOPSIGNAL"] == "SIGTERM"
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert [name for names in copied for name in names.split() if not (ROOT / name).exists()] == []
