"""What manifests, configuration and program say of one another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trustme
import yaml

from gateway.config.load import load_gateway
from gateway.rulesources.files import load_rules

FOLDER = Path(__file__).parents[3] / "config" / "kubernetes"


def deployment() -> Any:
    return yaml.safe_load((FOLDER / "base" / "deployment.yaml").read_text())["spec"]["template"]["spec"]


def test_the_configuration_passes_the_check_and_agrees_with_the_deployment() -> None:
    spec = deployment()
    (container,) = spec["containers"]
    environ = {item["name"]: "x" * 48 for item in container["env"]}
    settings = load_gateway(FOLDER / "base" / "gateway.yaml", (), environ).settings
    assert settings.admin_token == "x" * 48
    assert [port["containerPort"] for port in container["ports"]] == [settings.listen.port, settings.admin.port]
    assert settings.drain.delay + settings.drain.timeout < spec["terminationGracePeriodSeconds"]
    mounts = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert Path(settings.state or "").parent in map(Path, mounts)


def test_the_lanes_are_sound(tmp_path: Path) -> None:
    data = yaml.safe_load((FOLDER / "rules.yaml").read_text())["data"]
    (tmp_path / "gray.yaml").write_text(data["gray.yaml"])
    assert [group.name for group in load_rules([tmp_path]).rules.groups] == ["demo"]


def test_the_image_and_the_deployment_run_as_the_same_user() -> None:
    user = deployment()["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}" in (FOLDER.parents[1] / "Dockerfile").read_text()


def test_the_tls_component_names_files_of_its_secret(tmp_path: Path) -> None:
    patch = yaml.safe_load((FOLDER / "components" / "tls" / "deployment.yaml").read_text())["spec"]["template"]["spec"]
    (container,) = patch["containers"]
    issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("gateway.example")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    issued.private_key_pem.write_to_path(tmp_path / "tls.key")
    (variable,) = container["env"]
    (mount,) = container["volumeMounts"]
    environ = {
        "GATEWAY_ADMIN_TOKEN": "x" * 48,
        variable["name"]: variable["value"].replace(mount["mountPath"], str(tmp_path)),
    }
    settings = load_gateway(FOLDER / "base" / "gateway.yaml", (), environ).settings
    assert settings.tls is not None
    assert [Path(item.cert).name for item in settings.tls.certificates] == ["tls.crt"]
