"""The file of keys by which tags are signed: its form, who may have access to it, and what is said if it cannot be used."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from gateway.config.carriers import make_signer, read_keys
from gateway.config.load import load_gateway, load_sidecar
from gateway.errors import ConfigError
from tests.support.roles import gateway_settings, put_gateway, sidecar_settings

ONE, TWO = bytes(range(32)), bytes(range(200, 248))


def put(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "keys"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (ONE.hex(), [ONE]),
        (ONE.hex().upper() + "\n", [ONE]),
        (f"# signs\n{ONE.hex()}\n\n  # accepted\n  {TWO.hex()}  \r\n", [ONE, TWO]),
        (base64.b64encode(ONE).decode(), [ONE]),
        (base64.b64encode(TWO).decode(), [TWO]),
        (base64.urlsafe_b64encode(TWO).decode().rstrip("="), [TWO]),
        (f"{base64.b64encode(TWO).decode()}\n{ONE.hex()}", [TWO, ONE]),
    ],
)
def test_keys_are_lines_of_hex_or_base64(tmp_path: Path, text: str, keys: list[bytes]) -> None:
    assert read_keys(put(tmp_path, text)) == keys


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no key: a key of 32 bytes or more in hex or Base64 is needed"),
        ("# only this\n", "has no key"),
        (ONE.hex() + "0", ", line 1: a key of 32 bytes or more"),
        (ONE[:31].hex(), ", line 1: a key of 32 bytes or more"),
        (f"# short\n{base64.b64encode(ONE[:31]).decode()}", ", line 2: a key of 32 bytes or more"),
        ("correct horse battery staple, and more of it", ", line 1: a key of 32 bytes or more"),
        ("é" * 64, ", line 1: a key of 32 bytes or more"),
        (f"{ONE.hex()}\n{base64.b64encode(ONE).decode()}", ", line 2: the key is given twice"),
        (f"{ONE.hex()}\n{TWO.hex()}\n{TWO.hex()}00", ", line 3: at most two keys are accepted"),
    ],
)
def test_what_is_no_key_is_named_by_its_line_and_never_shown(tmp_path: Path, text: str, said: str) -> None:
    path = put(tmp_path, text)
    with pytest.raises(ValueError, match="keys") as error:
        read_keys(path)
    message = str(error.value)
    assert f"{path}{said}" in message or f"{path} {said}" in message
    assert not any(line and line in message for line in text.splitlines() if len(line) > 20)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_have_access_to_is_refused(tmp_path: Path, mode: int) -> None:
    path = put(tmp_path, ONE.hex(), mode)
    with pytest.raises(ValueError, match="can be read or written by users other than its owner: chmod 600"):
        read_keys(path)


def test_a_problem_is_one_of_the_setting_that_names_the_file(tmp_path: Path) -> None:
    put(tmp_path, "short")
    for file, said in (
        ("keys", "line 1: a key of 32 bytes"),
        ("none", "No such file or directory"),
        (".", "directory"),
    ):
        config = put_gateway(tmp_path, carriers={"keys": file})
        with pytest.raises(ConfigError) as error:
            load_gateway(config)
        [problem] = error.value.problems
        assert problem.message.startswith("carriers.keys: ")
        assert said in problem.message
        assert problem.line > 1
        assert (tmp_path / file).resolve() in [path.resolve() for path in error.value.files], "it is watched"


def test_a_sidecar_needs_signatures_and_an_entry_takes_the_bare_tags_of_trusted_proxies(tmp_path: Path) -> None:
    keys = str(put(tmp_path, ONE.hex()))
    found = [
        make_signer(settings)
        for settings in (
            sidecar_settings(carriers={"keys": keys}),
            sidecar_settings(carriers={"keys": keys, "signing": "permissive"}),
            gateway_settings(carriers={"keys": keys}),
        )
    ]
    assert [signer is not None and signer.is_required for signer in found] == [True, False, False]
    assert make_signer(sidecar_settings()) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("carriers: {keys: keys}\naccess_log: {headers: [baggage]}", "'baggage' carries the signed tag: anyone who reads the log could send it"),
        ("carriers: {keys: keys}\naccess_log: {headers: [x-gray-tag]}", "'x-gray-tag' carries the signed tag: anyone who reads the log could send it"),
        ("carriers: {keys: keys, lifetime: 90}", "must be longer than `trace_memory.ttl` and `timeouts.response` together (90 s)"),
        ("carriers: {keys: keys, lifetime: 91}\naccess_log: {headers: [user-agent]}", ""),
    ],
)  # fmt: skip
def test_what_leaves_signatures_open_or_useless_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    put(tmp_path, ONE.hex())
    config = tmp_path / "sidecar.yaml"
    config.write_text(
        "service: a\napp: 127.0.0.1:1\ninbound: 127.0.0.1:2\noutbound: 127.0.0.1:3\nregistry: {kind: consul}\n" + text
    )
    found: list[str] = []
    try:
        load_sidecar(config, (), {})
    except ConfigError as error:
        found = [problem.message.partition(": ")[2] for problem in error.problems]
    assert found == ([expected] if expected else [])
