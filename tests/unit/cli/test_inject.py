"""`gateway inject`: manifests in, manifests out, and nothing if one of them cannot have what it asks for."""

from __future__ import annotations

from pathlib import Path

import yaml
from click.testing import CliRunner

from gateway.cli import main
from tests.support.pods import pod


def write(path: Path, **spec: object) -> str:
    metadata, pod_spec = pod(None, **spec)
    path.write_text(yaml.safe_dump({"kind": "Pod", "metadata": {"name": "p", **metadata}, "spec": pod_spec}))
    return str(path)


def test_manifests_are_printed_with_sidecars(tmp_path: Path) -> None:
    files = [write(tmp_path / name) for name in ("a.yaml", "b.yaml")]
    result = CliRunner().invoke(main, ["inject", "-f", files[0], "-f", files[1], "--image", "x:1"])
    made = list(yaml.safe_load_all(result.stdout))
    assert [item["spec"]["initContainers"][0]["image"] for item in made] == ["x:1", "x:1"]
    assert (result.exit_code, result.stderr) == (0, "2 pods with a sidecar\n")


def test_standard_input(tmp_path: Path) -> None:
    text = Path(write(tmp_path / "a.yaml")).read_text()
    result = CliRunner().invoke(main, ["inject", "-f", "-", "--plain"], input=text)
    assert "restartPolicy" not in result.stdout
    assert len(yaml.safe_load(result.stdout)["spec"]["containers"]) == 2


def test_nothing_is_printed_if_one_cannot_have_a_sidecar(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "a.yaml"), write(tmp_path / "b.yaml", hostNetwork=True)
    result = CliRunner().invoke(main, ["inject", "-f", good, "-f", bad])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{bad}:1:1: Pod p: it has the node's network" in result.stderr


def test_usage(tmp_path: Path) -> None:
    for arguments in ([], ["-f", "x", "serve"], ["serve", "--listen", "x", "--cert", "c", "--key", "k"]):
        assert CliRunner().invoke(main, ["inject", *arguments]).exit_code == 2


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["inject", "-f", str(tmp_path / "none")])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "cannot read the file" in result.stderr


def test_what_is_no_text_on_standard_input_is_said() -> None:
    result = CliRunner().invoke(main, ["inject", "-f", "-"], input=b"a: \xff\n")
    assert (result.exit_code, result.stderr) == (1, "-:1:1: the input is not UTF-8 (byte 3)\n")
