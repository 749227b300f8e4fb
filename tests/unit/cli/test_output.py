"""What foreign servers and files say cannot steer the terminal that shows it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.cli.output import echo, echo_json, echo_text, print_table

ROOT = Path(__file__).parents[3]
EVIL = "\x1b]0;owned\x07\x1b[2J[bold]x[/bold] :warning: \u202etxt.exe\r\n2027 forged\u2028"
SHOWN = r"\x1b]0;owned\x07\x1b[2J[bold]x[/bold] :warning: \u202etxt.exe\r\n2027 forged\u2028"


def test_lines_and_cells_are_printable_and_markup_means_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    echo(EVIL)
    print_table(["a"], [[EVIL]])
    assert [line.rstrip() for line in capsys.readouterr().out.split("\n")] == [SHOWN, "a", SHOWN, ""]


def test_a_text_is_exact_to_a_pipe_and_printable_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    echo_text(f"a:\n\t{EVIL}\n")
    assert capsys.readouterr().out == f"a:\n\t{EVIL}\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    echo_text("a:\n\t\x1b[2J\r\n")
    assert capsys.readouterr().out == "a:\n\t\\x1b[2J\\r\n"


def test_json_is_exact_and_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    echo_json({"a": EVIL + "商\ud800"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    assert json.loads(out) == {"a": EVIL + "商\ud800"}


def test_no_command_prints_by_itself() -> None:
    """Otherwise somebody forgets."""
    for path in (ROOT / "gateway").rglob("*.py"):
        if path.name != "output.py":
            assert (
                re.findall(
                    r"\bclick\.(?:s?echo|secho)\(|(?<![\w.])print\(|sys\.std(?:out|err)\.write", path.read_text()
                )
                == []
            ), path


class _Foreign(BaseHTTPRequestHandler):
    answers: dict[str, tuple[int, Any]] = {}
    asked: list[tuple[str, str | None]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Authorization"]))
        status, body = self.answers[self.path]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def foreign() -> Iterator[tuple[str, type[_Foreign]]]:
    class Handler(_Foreign):
        answers: dict[str, tuple[int, Any]] = {}
        asked: list[tuple[str, str | None]] = []

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}", Handler
    server.shutdown()
    thread.join()
    server.server_close()


def steers(text: str) -> list[str]:
    return [letter for letter in text if not letter.isprintable() and letter != "\n"]


SERVICE = {
    "service": EVIL,
    "registries": [
        {"registry": EVIL, "state": EVIL, "age": 0.1, "reason": EVIL, "instances": 1, "left_out": {EVIL: [EVIL]}}
    ],
    "pools": [
        {
            "tag": EVIL,
            "usable": 1,
            "size": 1,
            "instances": [
                {
                    "address": EVIL,
                    "weight": 1.0,
                    "healthy": True,
                    "enabled": True,
                    "ejected": False,
                    "kept": True,
                    "drained": None,
                    "in_flight": 3,
                    "metadata": {EVIL: EVIL},
                }
            ],
        }
    ],
}
CONDITION = {"text": EVIL, "value": EVIL, "held": True, "bucket": None, "share": [], "kept": False, "members": []}
EXPLAINED: dict[str, Any] = {
    "route": {
        "source": EVIL, "host": EVIL, "path": EVIL, "exact": False, "match": [EVIL], "asked": [EVIL], "compress": EVIL,
        "backends": [{"service": EVIL, "tag": EVIL, "weight": 1, "problem": EVIL}],
    },
    "decision": dict.fromkeys(
        ("route", "service", "group", "lane", "tag", "tag_source", "pool", "fallback", "instance", "revision", "error", "detail"),
        EVIL,
    ),
    "lanes": [
        {"group": EVIL, "lane": EVIL, "state": EVIL, "matched": False, "winner": False, "conditions": [CONDITION]}
    ],
    "pools": SERVICE["pools"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "path", "answer", "status"),
    [
        (["registry", "list"], "/api/v1/services", {"services": [SERVICE]}, 200),
        (["registry", "list", EVIL], "/api/v1/services", {"services": [SERVICE]}, 200),
        (["registry", "list", "x\x1b"], "/api/v1/services", {"services": []}, 200),
        (["registry", "status"], "/api/v1/status", {"registries": [{**dict.fromkeys(("name", "kind", "address", "generation", "services", "troubled"), EVIL), "registration": {"state": EVIL, "age": 0.1, "reason": EVIL}}]}, 200),
        (["explain", "GET", "/"], "/api/v1/explain", EXPLAINED, 200),
        (["explain", "GET", "/"], "/api/v1/explain", {"detail": EVIL}, 500),
        (["rules", "history"], "/api/v1/history", {"revisions": [{"revision": 1, "at": 0.0, "author": EVIL, "cause": EVIL}]}, 200),
        (["rules", "rollback", "1"], "/api/v1/history/1/rollback?dry_run=false", {"detail": EVIL}, 422),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_what_a_server_says_is_printable(
    foreign: tuple[str, type[_Foreign]], arguments: list[str], path: str, answer: Any, status: int
) -> None:
    server, handler = foreign
    handler.answers[path] = (status, answer)
    done = CliRunner().invoke(main, [*arguments, "--server", server])
    assert done.output.strip()
    assert steers(done.output) == []
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "forged" not in [line.partition(" ")[0] for line in done.output.splitlines()]


def test_explain_shows_why_a_route_took_the_request_and_where_it_may_go(foreign: tuple[str, type[_Foreign]]) -> None:
    server, handler = foreign
    nothing = dict.fromkeys(EXPLAINED["decision"]) | {
        "tag": "base",
        "tag_source": "none",
        "pool": "base",
        "revision": 1,
    }
    route = {
        "source": "shop/a[0]",
        "host": "shop.example",
        "path": "/A",
        "exact": True,
        "match": ["header x-canary = always"],
        "asked": ["forward_auth http://auth/verify"],
        "compress": "gzip",
        "backends": [
            {"service": "a", "tag": "base", "weight": 95, "problem": None},
            {"service": "a-canary", "tag": "gray", "weight": 5, "problem": None},
            {"service": None, "tag": "base", "weight": 1, "problem": "there is no Service shop/x"},
        ],
    }
    answer = {"decision": nothing, "route": route, "lanes": [], "pools": []}
    handler.answers["/api/v1/explain"] = (200, answer)
    shown = CliRunner().invoke(main, ["explain", "GET", "/", "--server", server]).output
    assert "exactly shop.example/A, header x-canary = always" in shown
    assert "a 95, a-canary 5 (gray), none 1: there is no Service shop/x" in shown
    assert re.search(r"asks +forward_auth http://auth/verify *\ncompresses +gzip", shown)
    handler.answers["/api/v1/explain"] = (200, {**answer, "route": {**route, "source": "configuration"}})
    assert "matches" not in CliRunner().invoke(main, ["explain", "GET", "/", "--server", server]).output


def test_what_changes_is_printable(foreign: tuple[str, type[_Foreign]], monkeypatch: pytest.MonkeyPatch) -> None:
    server, handler = foreign
    handler.answers["/api/v1/services"] = (200, {"services": [SERVICE]})

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    done = CliRunner().invoke(main, ["registry", "watch", "--server", server])
    assert SHOWN in done.output
    assert steers(done.output) == []


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, b"\xff\xfe", "cannot query"),
        (200, b"[" * 100_000, "cannot query"),
        (200, b"[1]", "not a JSON object"),
        (200, {"strange": 1}, "is not that of a gateway"),
        (302, b"", "returned 302"),
        (500, b"\x1b[2J", "returned 500"),
    ],
)
def test_a_server_that_is_no_gateway_is_told_so_and_nothing_else_is_asked(
    foreign: tuple[str, type[_Foreign]], monkeypatch: pytest.MonkeyPatch, status: int, body: Any, says: str
) -> None:
    server, handler = foreign
    handler.answers["/api/v1/services"] = (status, body)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    done = CliRunner().invoke(main, ["registry", "list", "--server", server, "--token", "secret"])
    assert (done.exit_code, says in done.stderr) == (1, True), done.stderr
    assert steers(done.stderr) == []
    assert handler.asked == [("/api/v1/services", "Bearer secret")]


def test_an_answer_without_an_end_is_not_read_for_ever(
    foreign: tuple[str, type[_Foreign]], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, handler = foreign
    monkeypatch.setattr("gateway.cli.client.MAX_RESPONSE", 1 << 20)
    handler.answers["/api/v1/services"] = (200, b"[" + b" " * (1 << 20))
    done = CliRunner().invoke(main, ["registry", "list", "--server", server])
    assert (done.exit_code, "more than 1 MiB" in done.stderr) == (1, True)


def test_problems_of_files_are_one_printable_line_each(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text('lane_groups: [{name: "x\\e[2J\\u202e", lanes: []}]\nsegments: [{"a\\nforged:1:1: b": 1}]\n')
    done = CliRunner().invoke(main, ["check", str(file)])
    assert done.exit_code == 1
    assert steers(done.output) == []
    assert all(line.startswith((str(file), "4 problems", "3 problems")) for line in done.output.splitlines()), (
        done.output
    )
