"""YAML with places: text stays as written, problems say where."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.yaml.reading import MAX_VALUES, load, parse, parse_verbatim, read_text


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse(text, "f.yaml", {})
    return [str(problem) for problem in error.value.problems]


def test_scalars_stay_as_written() -> None:
    data = parse("{a: 1.10, b: on, c: 0755, d: true, e: null, f: ~, g: , h: 'null', i: 2026-11-23}", "f", {}).data
    assert data == {
        "a": "1.10", "b": "on", "c": "0755", "d": "true", "e": None, "f": None, "g": None, "h": "null", "i": "2026-11-23",
    }  # fmt: skip


def test_places_count_from_one() -> None:
    document = parse("a:\n  - b: x\n    c: [1, 2]\n", "f", {})
    assert document.place(("a", 0, "b")) == (2, 8)
    assert document.place(("a", 0, "b"), of_key=True) == (2, 5)
    assert document.place(("a", 0, "c", 1)) == (3, 12)
    assert document.place(("a", "union-tag", 0, "c", "missing")) == (3, 8)


def test_variables() -> None:
    assert parse("a: ${HOST}:${PORT:-80}", "f", {"HOST": "h"}).data == {"a": "h:80"}
    # As in a shell: what is empty has the default too, and is empty where there is none.
    assert parse("a: '${HOST}:${PORT:-80}'", "f", {"HOST": "", "PORT": ""}).data == {"a": ":80"}
    assert problems("a: x\nb: ${NOPE}") == [
        "f.yaml:2:4: environment variable NOPE is not set; ${NOPE:-default} gives a default"
    ]


def test_a_variable_may_be_a_credential(tmp_path: Path) -> None:
    """systemd's LoadCredential=: the environment comes first, the default last, and a file that cannot be read is told."""
    (tmp_path / "SECRET").write_text("0123456789abcdef\n")
    (tmp_path / "BOTH").write_text("file")
    (tmp_path / "BROKEN").write_bytes(b"\xff")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "BOTH": "environment"}
    text = "a: ${SECRET}\nb: ${BOTH}\nc: ${SECRET:-default}\nd: ${NONE:-default}\n"
    assert parse(text, "f.yaml", environ).data == {
        "a": "0123456789abcdef", "b": "environment", "c": "0123456789abcdef", "d": "default",
    }  # fmt: skip
    with pytest.raises(ConfigError) as error:
        parse("a: ${BROKEN}\nb: ${SECRET}", "f.yaml", environ)
    assert str(error.value).startswith("f.yaml:1:4: credential BROKEN cannot be read: ")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$${X}", "${X}"),
        ("$$${X}", "$${X}"),
        ("$${X:-y}${X}", "${X:-y}x"),
        ("$${NOPE}", "${NOPE}"),
        ("$$ $x $${", "$$ $x $${"),
    ],
)
def test_a_second_dollar_makes_text_of_a_variable(text: str, value: str) -> None:
    assert parse(f"a: '{text}'", "f", {"X": "x"}).data == {"a": value}
    assert parse_verbatim(f"a: '{text}'", "f").data == {"a": text}


def test_the_line_ends_of_a_file_are_its_own(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_text(path) == "a: 1\r\nb: 2\r\n"
    assert parse(read_text(path), "f", {}).place(("b",)) == (2, 4)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("a: 1\na: 2", "f.yaml:2:1: key 'a' is given twice", id="duplicate key"),
        pytest.param("a: [1", "f.yaml:2:1: not YAML: did not find expected ',' or ']'", id="open list"),
        pytest.param("a:\n\tb: 1", "f.yaml:2:1: not YAML: found character that cannot start any token", id="tab"),
        pytest.param("a: 1\n---\nb: 2", "f.yaml:2:1: not YAML: but found another document", id="two documents"),
        pytest.param("? [a]\n: 1", "f.yaml:1:3: a key must be a plain word", id="list as key"),
        pytest.param(
            "日本: 1\nb: é\x1f", "f.yaml:2:5: not YAML: the control character U+001F is not allowed", id="after others"
        ),
        pytest.param("a: 1\nb: \0", "f.yaml:2:4: not YAML: the control character U+0000 is not allowed", id="NUL"),
        pytest.param(
            "[" * 65 + "]" * 65,
            "f.yaml:1:65: nested too deeply: more than 64 values inside one another",
            id="nested too deeply",
        ),
        pytest.param(
            "- " * 200_000,
            "f.yaml:1:129: nested too deeply: more than 64 values inside one another",
            id="nested far too deeply",
        ),
        pytest.param("a: &x [*x]", "f.yaml:1:4: an alias refers to a value that contains it", id="recursive"),
    ],
)
def test_not_yaml(text: str, problem: str) -> None:
    assert problems(text) == [problem]


def test_aliases_of_aliases_cannot_eat_the_memory() -> None:
    """The "billion laughs": each line ten times the one before."""
    lines = ["a0: &a0 [" + "x," * 10 + "]", *(f"a{n}: &a{n} [" + f"*a{n - 1}," * 10 + "]" for n in range(1, 9))]
    (problem,) = problems("\n".join(lines))
    assert problem.endswith(f"with its aliases written out the file has more than {MAX_VALUES:,} values")


def test_unreadable_files(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: \xe4")
    for path, message in (
        (latin, "the file is not UTF-8 (byte 3)"),
        (tmp_path / "missing.yaml", "cannot read the file: No such file or directory"),
        (tmp_path, "cannot read the file: Is a directory"),
    ):
        with pytest.raises(ConfigError) as error:
            load(path)
        assert [str(problem) for problem in error.value.problems] == [f"{path}:1:1: {message}"]


def test_an_empty_file_is_nothing() -> None:
    assert parse("# only a comment\n", "f", {}).data is None
