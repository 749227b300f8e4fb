"""The files under `config/release/`, read whole: either a catalog without a problem, or every problem there is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from gateway.errors import ConfigError, Problem
from gateway.release.gotemplate import Mishap, compile_template
from gateway.release.model import Application, ApplicationTemplate, Environment, Orchestration, Variables, Workflow
from gateway.release.words import is_name
from gateway.validation import validate
from gateway.yaml.reading import Document, Location, dotted, load, read_text

M = TypeVar("M")

FOLDERS: Final[Mapping[str, type[Any]]] = {
    "apps": Application,
    "environments": Environment,
    "orchestrations": Orchestration,
    "templates": ApplicationTemplate,
    "variables": Variables,
    "workflows": Workflow,
}
"""The folders, and what each file in them is."""


@dataclass(frozen=True, slots=True)
class Entry(Generic[M]):
    """One file: what it says, and where."""

    name: str
    value: M
    document: Document

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.document.file)

    def problem(self, location: Location, message: str, of_key: bool = False) -> Problem:
        """A problem of a value."""
        return self.document.problem(location, f"{dotted(location)}: {message}", of_key)


@dataclass(frozen=True, slots=True)
class Script:
    """The Go template of an orchestration."""

    file: str
    text: str
    compiled: Any


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every file of a release's folder, by kind and name."""

    folder: Path
    apps: Mapping[str, Entry[Application]] = field(default_factory=dict)
    environments: Mapping[str, Entry[Environment]] = field(default_factory=dict)
    orchestrations: Mapping[str, Entry[Orchestration]] = field(default_factory=dict)
    templates: Mapping[str, Entry[ApplicationTemplate]] = field(default_factory=dict)
    variables: Mapping[str, Entry[Variables]] = field(default_factory=dict)
    workflows: Mapping[str, Entry[Workflow]] = field(default_factory=dict)
    scripts: Mapping[str, Script] = field(default_factory=dict)
    """The templates of the orchestrations, by the orchestrations' names."""

    def call_chain(self, names: Collection[str]) -> list[str]:
        """Applications in the order in which production is released: who is called comes before who calls."""
        by_service = {self.apps[name].value.service: name for name in self.apps}
        done: list[str] = []

        def visit(name: str, above: tuple[str, ...]) -> None:
            if name in done or name in above:  # a cycle of calls has no end: any order is as good
                return
            for service in self.apps[name].value.calls:
                if service in by_service:
                    visit(by_service[service], (*above, name))
            done.append(name)

        for name in sorted(names):
            visit(name, ())
        return [name for name in done if name in names]


def load_catalog(folder: Path, targets: Collection[str] | None = None) -> Catalog:
    """Reads a folder. Raises ConfigError with every problem of every file.

    `targets` are those that environments may be on; None: any.
    """
    problems: list[Problem] = []
    found = {kind: _read_folder(folder / kind, model, problems) for kind, model in FOLDERS.items()}
    scripts = _scripts(found["orchestrations"], problems)
    catalog = Catalog(folder, scripts=scripts, **found)
    names = {kind: {path.stem for path in (folder / kind).glob("*.yaml")} for kind in FOLDERS}
    problems.extend(_dangling(catalog, names, targets))
    problems.extend(_circles(catalog))
    if not problems:
        from gateway.release.orchestration import unrenderable  # noqa: PLC0415 - it renders what is read here

        problems.extend(unrenderable(catalog))
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return catalog


def _read_folder(folder: Path, model: type[Any], problems: list[Problem]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
        try:
            if not is_name(path.stem):
                message = "the file is named for what is in it: letters a to z, digits and '-', and .yaml"
                raise ConfigError([Problem(str(path), 1, 1, message)])
            document = load(path)
            found[path.stem] = Entry(path.stem, validate(model, document, document.data), document)
        except ConfigError as error:
            problems.extend(error.problems)
    return found


def _scripts(orchestrations: Mapping[str, Entry[Orchestration]], problems: list[Problem]) -> dict[str, Script]:
    found: dict[str, Script] = {}
    for name, entry in orchestrations.items():
        path = entry.path.parent / entry.value.template
        try:
            text = read_text(path)
            found[name] = Script(str(path), text, compile_template(text))
        except ConfigError as error:
            first = error.problems[0]
            problems.append(entry.problem(("template",), f"{first.message}: {path}"))
        except Mishap as mishap:
            problems.append(Problem(str(path), mishap.line, mishap.column, mishap.message))
    return found


def _dangling(
    catalog: Catalog, names: Mapping[str, Collection[str]], targets: Collection[str] | None
) -> Iterator[Problem]:
    """What is named and is not there; `names` are those of all files, with problems of their own or not."""
    for app in catalog.apps.values():
        value = app.value
        for name in value.environments:
            yield from _missing(app, ("environments", name), name, "environment", names["environments"], True)
        yield from _missing(app, ("orchestration",), value.orchestration, "orchestration", names["orchestrations"])
        yield from _missing(app, ("workflow",), value.workflow, "workflow", names["workflows"])
        if not value.images:
            yield app.problem(("images",), "an application has at least one image")
    for environment in catalog.environments.values():
        if targets is not None:
            yield from _missing(environment, ("target",), environment.value.target, "target", targets)
        for index, name in enumerate(environment.value.variable_groups):
            yield from _missing(environment, ("variable_groups", index), name, "group of variables", names["variables"])
    for workflow in catalog.workflows.values():
        for place, name in _named_environments(workflow.value):
            yield from _missing(workflow, place, name, "environment", names["environments"])
    for template in catalog.templates.values():
        if template.value.extends is not None:
            yield from _missing(template, ("extends",), template.value.extends, "template", names["templates"])


def _missing(
    entry: Entry[Any], place: Location, name: str, what: str, known: Collection[str], of_key: bool = False
) -> Iterator[Problem]:
    if name not in known:
        listed = ", ".join(sorted(known)) or "none"
        yield entry.problem(place, f"there is no {what} '{name}' (there are: {listed})", of_key)


def _named_environments(workflow: Workflow) -> Iterator[tuple[Location, str]]:
    for number, stage in enumerate(workflow.stages):
        for index, step in enumerate(stage.steps):
            environment = getattr(step.spec, "environment", None)
            if environment is not None:
                yield ("stages", number, "steps", index, step.kind, "environment"), environment


def _circles(catalog: Catalog) -> Iterator[Problem]:
    """Templates that extend themselves, by however many others; stages of one name."""
    for template in catalog.templates.values():
        seen = [template.name]
        extends = template.value.extends
        while extends is not None and extends in catalog.templates and extends not in seen:
            seen.append(extends)
            extends = catalog.templates[extends].value.extends
        if extends == template.name:
            circle = " -> ".join([*seen, extends])
            yield template.problem(("extends",), f"the templates extend one another in a circle: {circle}")
    for workflow in catalog.workflows.values():
        names: set[str] = set()
        for index, stage in enumerate(workflow.value.stages):
            if stage.name in names:
                yield workflow.problem(("stages", index, "name"), f"the stage '{stage.name}' is there twice")
            names.add(stage.name)
