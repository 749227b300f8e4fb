"""The files of a release: every problem at once, each at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.release.catalog import load_catalog
from tests.support.release import FILES, ORCHESTRATION, SCRIPT, WORKFLOW, write_files


def problems_of(folder: Path, changed: dict[str, str | None]) -> list[str]:
    write_files(folder, changed)
    with pytest.raises(ConfigError) as caught:
        load_catalog(folder, {"local"})
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_sound_files_are_a_catalog(tmp_path: Path) -> None:
    catalog = load_catalog(write_files(tmp_path), {"local"})
    assert sorted(catalog.apps) == ["a", "b", "c"]
    assert [stage.name for stage in catalog.workflows["release"].value.stages] == ["gray", "production", "cleanup"]


def test_production_is_released_from_the_end_of_the_call_chain(tmp_path: Path) -> None:
    catalog = load_catalog(write_files(tmp_path))
    assert catalog.call_chain({"a", "c"}) == ["c", "a"]
    assert catalog.call_chain({"a", "b", "c"}) == ["c", "b", "a"]


def test_services_that_call_one_another_are_released_all_the_same(tmp_path: Path) -> None:
    changed: dict[str, str | None] = {
        "apps/c.yaml": FILES["apps/c.yaml"].replace("images", "calls: [service-a]\nimages")
    }
    catalog = load_catalog(write_files(tmp_path, changed))
    assert sorted(catalog.call_chain({"a", "b", "c"})) == ["a", "b", "c"]


def test_every_problem_of_every_file_at_once(tmp_path: Path) -> None:
    app = FILES["apps/a.yaml"].replace("gray: {}", "gray: {values: {replicas: many, nope: 1}}, lab: {}")
    found = problems_of(
        tmp_path,
        {
            "apps/a.yaml": app,
            "apps/b.yaml": FILES["apps/b.yaml"].replace("workflow: release", "workflow: relaese"),
            "environments/gray.yaml": "level: grey\ntarget: moon\n",
            "environments/Prod.yaml": "level: prod\n",
            "orchestrations/app.tpl": SCRIPT.replace('eq .AppStack.envName "gray"', "eq .AppStack.envName “gray”"),
            "templates/one.yaml": "extends: two\n",
            "templates/two.yaml": "extends: one\n",
            "workflows/release.yaml": WORKFLOW + "  - name: gray\n    steps: [{pause: {}, approve: {}}]\n",
        },
    )  # fmt: skip
    starts = [problem.partition(": ")[0] + ": " + problem.partition(": ")[2][:44] for problem in found]
    assert starts == [
        "apps/a.yaml:4:59: environments.lab: there is no environment 'l",
        "apps/b.yaml:6:11: workflow: there is no workflow 'relaese' (th",
        "environments/Prod.yaml:1:1: the file is named for what is in it: letters",
        "environments/gray.yaml:1:8: level: must be 'test', 'pre', 'gray' or 'pro",
        "orchestrations/app.tpl:11:36: unexpected '“'; likely meant: {{ if eq .AppS",
        "templates/one.yaml:1:10: extends: the templates extend one another in",
        "templates/two.yaml:1:10: extends: the templates extend one another in",
        "workflows/release.yaml:15:13: stages.3.steps.0: a step is exactly one of b",
    ]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"apps/a.yaml": FILES["apps/a.yaml"].replace("gray: {}", "gray: {values: {replicas: many}}")},
            "apps/a.yaml:4:42: environments.gray.values.replicas: the placeholder 'replicas' is of type number, and",
        ),
        (
            {"apps/a.yaml": FILES["apps/a.yaml"].replace("gray: {}", "gray: {values: {replicas: 100}}")},
            "apps/a.yaml:4:42: environments.gray.values.replicas: the placeholder 'replicas' has the rule '[1-9][0-9",
        ),
        (
            {"apps/a.yaml": FILES["apps/a.yaml"] + "values: {nope: 1}\n"},
            "apps/a.yaml:7:16: values.nope: the orchestration has no placeholder 'nope' (it has: replicas)",
        ),
        (
            {"orchestrations/app.yaml": ORCHESTRATION + "  - {name: owner}\n"},
            "orchestrations/app.yaml:4:12: placeholders.1.name: nothing gives 'owner' a value for a in gray",
        ),
        (
            {
                "orchestrations/app.yaml": ORCHESTRATION.replace("value: 1", "value: 1, overridable: false"),
                "apps/a.yaml": FILES["apps/a.yaml"] + "values: {replicas: 2}\n",
            },
            "apps/a.yaml:7:20: values.replicas: the placeholder 'replicas' is not overridable",
        ),
        (
            {"orchestrations/app.tpl": SCRIPT.replace(".Values.replicas", ".Values.copies")},
            "orchestrations/app.tpl:6:16: there is no 'copies' (for a in gray)",
        ),
        (
            {"orchestrations/app.tpl": None},
            "orchestrations/app.yaml:1:11: template: cannot read the file",
        ),
        (
            {"environments/gray.yaml": "level: gray\ntarget: moon\n"},
            "environments/gray.yaml:2:9: target: there is no target 'moon' (there are: local)",
        ),
        (
            {"workflows/release.yaml": WORKFLOW.replace("environment: prod", "environment: production")},
            "workflows/release.yaml:9:31: stages.1.steps.1.deploy.environment: there is no environment 'production'",
        ),
    ],
    ids=lambda value: None if isinstance(value, dict) else value.partition(": ")[2][:40],
)  # fmt: skip
def test_a_problem_names_file_line_and_what_is_accepted(
    tmp_path: Path, changed: dict[str, str | None], expected: str
) -> None:
    found = problems_of(tmp_path, changed)
    assert any(problem.startswith(expected) for problem in found), found


def test_lost_indentation_is_named_at_the_templates_line(tmp_path: Path) -> None:
    flat = "\n".join(line.strip() for line in SCRIPT.splitlines()) + "\n"
    found = problems_of(tmp_path, {"orchestrations/app.tpl": flat})
    assert any(
        "orchestrations/app.tpl:8:1: not YAML" in problem or "has the indentation been lost?" in problem
        for problem in found
    )


def test_a_key_that_lost_its_place_is_told_where_it_belongs(tmp_path: Path) -> None:
    script = SCRIPT.replace("  name: app-{{ .AppStack.envName }}", "name: app-{{ .AppStack.envName }}")
    found = problems_of(tmp_path, {"orchestrations/app.tpl": script})
    assert (
        "orchestrations/app.tpl:4:1: a document of Kubernetes has no key 'name'; it belongs under metadata: has the "
        "indentation been lost? (line 4 of what it makes: 'name: app-gray')" in found
    )
