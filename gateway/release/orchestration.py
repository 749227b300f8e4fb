"""Orchestrations rendered: the values of placeholders, the Go template, and the Kubernetes documents that come out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import re2

from gateway.errors import ConfigError, GatewayError, Problem
from gateway.release.catalog import Catalog, Entry, Script
from gateway.release.gotemplate import Mishap, render
from gateway.release.model import Application, Placeholder
from gateway.release.words import is_image
from gateway.yaml.reading import Location, parse_verbatim

_TOP: Final = frozenset(
    {
        "apiVersion", "kind", "metadata", "spec", "data", "stringData", "binaryData", "type", "immutable", "rules", "roleRef",
        "subjects", "webhooks", "status", "secrets", "imagePullSecrets", "automountServiceAccountToken", "provisioner",
        "parameters", "value", "globalDefault",
    }
)  # fmt: skip
"""What stands at the beginning of a line in documents of Kubernetes."""
_INNER: Final = {
    "name": "metadata", "labels": "metadata", "annotations": "metadata", "namespace": "metadata",
    "replicas": "spec", "selector": "spec", "template": "spec", "ports": "spec", "strategy": "spec",
    "matchLabels": "spec.selector", "containers": "spec.template.spec", "image": "spec.template.spec.containers",
    "env": "spec.template.spec.containers", "readinessProbe": "spec.template.spec.containers",
}  # fmt: skip
"""Keys that are often found there once the indentation is lost, and where they belong."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What an orchestration says for an application in an environment."""

    text: str
    documents: tuple[dict[str, Any], ...]
    """Scalars are text, as they are written."""


def render_app(
    catalog: Catalog, app: str, environment: str, images: Mapping[str, str], given: Mapping[str, str] | None = None
) -> Rendered:
    """An application's orchestration for an environment, with these images by name.

    `given` are values that an order brings. Raises ConfigError with every problem, and GatewayError for a name there is not.
    """
    entry = catalog.apps.get(app)
    if entry is None:
        raise GatewayError(f"there is no application '{app}' (there are: {', '.join(sorted(catalog.apps)) or 'none'})")
    if environment not in entry.value.environments:
        known = ", ".join(sorted(entry.value.environments)) or "none"
        raise GatewayError(f"application '{app}' has no environment '{environment}' (it has: {known})")
    missing = sorted(set(entry.value.images) - set(images))
    if missing:
        raise GatewayError(f"application '{app}' has no image for {', '.join(missing)}: give one, or build it")
    for name, image in images.items():
        if not is_image(image):  # it goes into the template as it is
            raise GatewayError(
                f"image '{name}' of {app}: 1 to 255 letters, digits and ._:/@- without '..' are accepted; found {image!r}"
            )
    problems: list[Problem] = []
    values = _values(catalog, entry, environment, given or {}, problems)
    if problems:
        raise ConfigError(problems)
    script = catalog.scripts[entry.value.orchestration]
    inner = {"envName": environment, "appName": app, "image": dict(images), "artifact": dict(images)}
    try:
        text = render(script.compiled, {"AppStack": inner, "Values": values})
    except Mishap as mishap:
        message = f"{mishap.message} (for {app} in {environment})"
        raise ConfigError([Problem(script.file, mishap.line, mishap.column, message)]) from mishap
    return Rendered(text, tuple(_documents(text, script)))


def unrenderable(catalog: Catalog) -> Iterator[Problem]:
    """What is wrong with the orchestration of any application in any of its environments, whatever the images are."""
    for name, entry in catalog.apps.items():
        images = dict.fromkeys(entry.value.images, "image")
        for environment in entry.value.environments:
            try:
                render_app(catalog, name, environment, images)
            except ConfigError as error:
                yield from error.problems


def _values(
    catalog: Catalog, app: Entry[Application], environment: str, given: Mapping[str, str], problems: list[Problem]
) -> dict[str, Any]:
    """The value of each placeholder. Later sources win: variables, the environment, the application, the order."""
    orchestration = catalog.orchestrations[app.value.orchestration]
    known = {item.name: item for item in orchestration.value.placeholders}
    values: dict[str, Any] = {}
    for index, item in enumerate(orchestration.value.placeholders):
        if item.value is not None:
            _take(values, item, item.value, orchestration.problem(("placeholders", index, "value"), ""), problems)
    place = catalog.environments[environment]
    here = app.value.environments[environment]
    layers: list[tuple[Entry[Any], Location, Mapping[str, Any]]] = [
        *(
            (group, ("values",), group.value.values)
            for group in map(catalog.variables.__getitem__, place.value.variable_groups)
        ),
        (place, ("values",), place.value.values),
        (app, ("values",), app.value.values),
        (app, ("environments", environment, "values"), {} if here is None else here.values),
    ]
    for entry, location, layer in layers:
        for key, value in layer.items():
            blank = entry.problem((*location, key), "")
            if key in known:
                _override(values, known[key], value, blank, problems)
            elif entry is app:  # variables and environments have values for many orchestrations
                listed = ", ".join(known) or "none"
                problems.append(_with(blank, f"the orchestration has no placeholder '{key}' (it has: {listed})"))
    for key, value in given.items():
        blank = Problem("--set", 0, 0, f"{key}: ")
        if key in known and known[key].rule is None and not str(value).isprintable():
            # Another line of the template would be whatever somebody who may only use the API likes.
            problems.append(_with(blank, f"a value is one line of printable text; found {value!r}"))
        elif key in known:
            _override(values, known[key], value, blank, problems)
        else:
            problems.append(
                _with(blank, f"the orchestration has no placeholder '{key}' (it has: {', '.join(known) or 'none'})")
            )
    for index, item in enumerate(orchestration.value.placeholders):
        if item.name not in values and not any(
            problem.message.startswith(f"values.{item.name}") for problem in problems
        ):
            blank = orchestration.problem(("placeholders", index, "name"), "")
            problems.append(_with(blank, f"nothing gives '{item.name}' a value for {app.name} in {environment}"))
    return values


def _override(values: dict[str, Any], item: Placeholder, value: Any, blank: Problem, problems: list[Problem]) -> None:
    if not item.overridable:
        problems.append(_with(blank, f"the placeholder '{item.name}' is not overridable"))
        return
    _take(values, item, value, blank, problems)


def _take(values: dict[str, Any], item: Placeholder, value: Any, blank: Problem, problems: list[Problem]) -> None:
    try:
        values[item.name] = _typed(item, value)
    except ValueError as error:
        problems.append(_with(blank, str(error)))


def _with(blank: Problem, message: str) -> Problem:
    return Problem(blank.file, blank.line, blank.column, blank.message + message)


def _typed(item: Placeholder, value: Any) -> Any:
    """A value of the placeholder's type. Raises ValueError."""
    text = value if isinstance(value, str) else json.dumps(value)
    expected = f"the placeholder '{item.name}' is of type {item.type}, and this is not: {text!r}"
    typed: Any = value
    if item.type == "object":
        if isinstance(value, str):
            try:
                typed = json.loads(value)
            except ValueError:
                typed = None
        if not isinstance(typed, dict | list):
            raise ValueError(expected)
    elif not isinstance(value, str | int | float | bool):
        raise ValueError(expected)
    elif item.type == "number":
        if re.fullmatch(r"[+-]?[0-9]{1,18}", text) is None:
            raise ValueError(expected)
        typed = int(text)
    elif item.type == "float":
        if re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", text) is None:
            raise ValueError(expected)
        typed = float(text)
    elif item.type == "boolean":
        if text not in ("true", "false"):
            raise ValueError(expected)
        typed = text == "true"
    else:
        typed = text
    _check_rule(item, text)
    return typed


def _check_rule(item: Placeholder, text: str) -> None:
    if item.rule is None:
        return
    try:
        follows = re2.fullmatch(item.rule, text) is not None
    except re2.error as error:
        raise ValueError(f"the rule of '{item.name}' is not a regular expression: {error}") from error
    if not follows:
        raise ValueError(f"the placeholder '{item.name}' has the rule {item.rule!r}, which {text!r} does not follow")


def _documents(text: str, script: Script) -> Iterator[dict[str, Any]]:
    """The documents of a rendered text. Raises ConfigError, at the line of the template that a line came from."""
    problems: list[Problem] = []
    found: list[dict[str, Any]] = []
    first = 0
    lines = text.splitlines()
    for end in [*(index for index, line in enumerate(lines) if re.match(r"---(\s|$)", line)), len(lines)]:
        part, start, first = lines[first:end], first, end + 1
        if not any(line.strip() and not line.lstrip().startswith("#") for line in part):
            continue
        try:
            document = parse_verbatim("\n".join(part) + "\n", script.file)
        except ConfigError as error:
            for problem in error.problems:
                hint = "; has the indentation been lost?" if "given twice" in problem.message else ""
                problems.append(_at(script, lines, start + problem.line, problem.column, problem.message + hint))
            continue
        data = document.data if isinstance(document.data, dict) else {}
        for key in data:
            line, column = document.place((key,), of_key=True)
            if key not in _TOP:
                where = f"; it belongs under {_INNER[key]}: has the indentation been lost?" if key in _INNER else ""
                problems.append(
                    _at(script, lines, start + line, column, f"a document of Kubernetes has no key '{key}'{where}")
                )
        missing = [key for key in ("apiVersion", "kind", "metadata") if not data.get(key)]
        if not missing and not (isinstance(data["metadata"], dict) and data["metadata"].get("name")):
            missing = ["metadata.name"]
        if missing:
            message = f"a document of Kubernetes needs {', '.join(missing)}"
            problems.append(_at(script, lines, start + 1, 1, message))
        found.append(data)
    if not found and not problems:
        problems.append(Problem(script.file, 1, 1, "the template makes no document at all"))
    if problems:
        raise ConfigError(problems)
    yield from found


def _at(script: Script, lines: list[str], line: int, column: int, message: str) -> Problem:
    """A problem at a line of what was rendered, told at the line of the template that it came from."""
    wanted = lines[line - 1].strip() if 0 < line <= len(lines) else ""
    source = script.text.splitlines()
    same = [index for index, text in enumerate(source, 1) if text.strip() == wanted and wanted]
    if not same:
        return Problem(
            script.file, min(line, max(1, len(source))), column, f"{message} (line {line} of what it makes: {wanted!r})"
        )
    return Problem(script.file, min(same, key=lambda index: abs(index - line)), column, message)
