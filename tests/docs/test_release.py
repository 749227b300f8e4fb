"""The documents of releases: the tutorial is followed, the reference is what the models say, the tables are the code's."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gateway.docstrings import docstring
from gateway.release import model, settings
from gateway.release.catalog import FOLDERS
from gateway.release.states import ORDERS
from gateway.settings import Address
from tests.support.samples import ROOT, Newcomer

MODELS: dict[str, tuple[type[BaseModel], ...]] = {
    "config/release.yaml": (settings.ReleaseSettings,),
    "targets: processes": (settings.ProcessesTargetSettings,),
    "targets: kubernetes": (settings.KubernetesTargetSettings,),
    "apps/NAME.yaml": (model.Application, model.Source, model.Image, model.AppEnvironment),
    "environments/NAME.yaml": (model.Environment,),
    "variables/NAME.yaml": (model.Variables,),
    "orchestrations/NAME.yaml": (model.Orchestration, model.Placeholder),
    "templates/NAME.yaml": (model.ApplicationTemplate, model.Parameter),
    "workflows/NAME.yaml": (model.Workflow, model.Stage),
    "step: build": (model.BuildStep,),
    "step: approve": (model.ApproveStep,),
    "step: deploy": (model.DeployStep, model.Strategy, model.Batch),
    "step: lane": (model.LaneStep,),
    "step: verify": (model.VerifyStep, model.Probe, model.Analysis, model.PrometheusCheck),
    "step: pause": (model.PauseStep,),
    "step: cleanup": (model.CleanupStep,),
    "step: run": (model.RunStep,),
}


def reference() -> str:
    """The reference of every file, as `docs/release-files.md` has it after its introduction."""
    parts = []
    for title, models in MODELS.items():
        parts.append(f"## `{title}`\n")
        for number, item in enumerate(models):
            if number:
                parts.append(f"### {item.__name__}\n")
            parts.append(f"{' '.join((item.__doc__ or '').split())}\n")
            parts.append("| key | default | |\n|---|---|---|\n" + "".join(_rows(item)))
    return "\n".join(parts)


def _rows(item: type[BaseModel]) -> Iterator[str]:
    for name, field in item.model_fields.items():
        default: Any = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, Address):
            shown = f"`{default}`"
        elif isinstance(default, BaseModel):
            shown = "its defaults"
        elif default is PydanticUndefined:
            shown = "required"
        elif default is None:
            shown = ""
        elif isinstance(default, bool):
            shown = f"`{str(default).lower()}`"
        elif default in ([], {}):
            shown = "none"
        else:
            shown = f"`{default}`" if not isinstance(default, dict) else "`backend`"
        yield f"| `{name}` | {shown} | {' '.join(docstring(item, name).split())} |\n"


def test_the_reference_is_what_the_models_say() -> None:
    document = (ROOT / "docs" / "release-files.md").read_text()
    assert document.partition("\n## ")[1] + document.partition("\n## ")[2] == "\n" + reference()


def test_every_kind_of_file_and_every_step_has_a_reference() -> None:
    covered = {item for items in MODELS.values() for item in items}
    assert set(FOLDERS.values()) <= covered
    steps = {f"step: {name}" for name in model.Step.model_fields}
    assert steps <= set(MODELS)


def test_the_table_of_states_is_the_code_s() -> None:
    document = (ROOT / "docs" / "release.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| `(\w+)` \|$", document, re.MULTILINE)
    assert rows == [(str(state), str(action), str(to)) for (state, action), to in ORDERS.items()]


def test_the_steps_that_are_shown_are_steps() -> None:
    document = (ROOT / "docs" / "release.md").read_text()
    for text in re.findall(r"^```yaml\n(- .*?)^```$", document, re.MULTILINE | re.DOTALL):
        for step in yaml.safe_load(text):
            model.Step.model_validate(step)


async def test_the_tutorial_from_beginning_to_end(tmp_path: Path) -> None:
    newcomer = Newcomer(tmp_path)
    newcomer._environment["GATEWAY_RELEASE_SERVER"] = newcomer.own("127.0.0.1:9910")
    newcomer._environment["LOGNAME"] = "demo"
    shutil.copytree(ROOT / "config" / "release", tmp_path / "config" / "release")
    document = (ROOT / "docs" / "release.md").read_text()
    tutorial = document.partition("\n## Tutorial: a release by hand\n")[2].partition("\n## ")[0]
    try:
        await newcomer.follow(tutorial)
        assert "Traceback" not in (tmp_path / "log").read_text()
    finally:
        server = "gateway release serve -c tutorial/release.yaml"
        if server in newcomer.running:
            await newcomer.stop(server)
        await newcomer.close()
