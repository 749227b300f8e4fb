"""`gateway release new`: the files of a new application, from a template.

A template is for the beginning only: later edits of it touch no application that there is, as in AppStack.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from gateway.errors import ConfigError, GatewayError, Problem
from gateway.files import write_file
from gateway.release.catalog import Catalog, Entry
from gateway.release.gotemplate import Mishap, compile_template, render
from gateway.release.model import ApplicationTemplate, Parameter
from gateway.release.words import is_name


def new_files(catalog: Catalog, app: str, template: str, given: Mapping[str, str]) -> dict[Path, str]:
    """The files of an application, which are not written yet. Raises GatewayError, ConfigError with every problem."""
    if not is_name(app):
        raise GatewayError(f"an application's name is letters a to z, digits and '-'; found {app!r}")
    if template not in catalog.templates:
        known = ", ".join(sorted(catalog.templates)) or "none"
        raise GatewayError(f"there is no template '{template}' (there are: {known})")
    chain = _chain(catalog, template)
    values = _parameters(chain, template, given)
    data = {"App": {"name": app}, "Values": values}
    found: dict[Path, str] = {}
    problems: list[Problem] = []
    for entry in chain:
        for pattern, content in entry.value.files.items():
            try:
                path = _below(catalog.folder, render(compile_template(pattern), data))
                found[path] = render(compile_template(content), data)
            except (Mishap, ValueError) as error:
                problems.append(entry.problem(("files", pattern), str(error), of_key=True))
    problems += [Problem(str(path), 1, 1, "the file is there already") for path in found if path.exists()]
    if problems:
        raise ConfigError(problems)
    return found


def write_new(files: Mapping[Path, str]) -> None:
    """Writes them, all or none. Raises GatewayError."""
    written: list[Path] = []
    try:
        for path, text in files.items():
            write_file(path, text)
            written.append(path)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise GatewayError(f"nothing is written: {error}") from error


def _chain(catalog: Catalog, template: str) -> list[Entry[ApplicationTemplate]]:
    """The template, after those that it extends."""
    entry = catalog.templates[template]
    return [*([] if entry.value.extends is None else _chain(catalog, entry.value.extends)), entry]


def _parameters(chain: list[Entry[ApplicationTemplate]], template: str, given: Mapping[str, str]) -> dict[str, str]:
    known: dict[str, Parameter] = {item.name: item for entry in chain for item in entry.value.parameters}
    unknown = sorted(set(given) - set(known))
    missing = sorted(name for name, item in known.items() if item.value is None and name not in given)
    if unknown or missing:
        listed = ", ".join(known) or "none"
        said = [f"template '{template}' has no parameter '{name}' (it has: {listed})" for name in unknown]
        said += [f"template '{template}' wants --set {name}=…" for name in missing]
        raise ConfigError([Problem("--set", 0, 0, message) for message in said])
    return {name: given.get(name, item.value or "") for name, item in known.items()}


def _below(folder: Path, name: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not name.strip() or path.suffix not in (".yaml", ".tpl"):
        raise ValueError(f"a file is below the folder of the release, and ends with .yaml or .tpl; found {name!r}")
    return folder / path
