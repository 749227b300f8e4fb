"""The files of keys that prove tokens. What reads keys is loaded for configurations that have some."""

from __future__ import annotations

from pathlib import Path

from gateway.errors import Problem
from gateway.files import read_file
from gateway.settings import ServingSettings
from gateway.yaml.reading import Document, Location, dotted


def token_files(settings: ServingSettings) -> list[str]:
    """The files of all keys."""
    tokens = settings.token_settings
    return [] if tokens is None else [key.file for key in tokens.keys]


def token_problems(settings: ServingSettings, document: Document) -> list[Problem]:
    """What is wrong with the files of keys, each problem at the setting that names it."""
    problems: list[Problem] = []
    tokens = settings.token_settings
    if tokens is None:
        return problems
    from gateway.claims.jwks import read_keys

    for index, key in enumerate(tokens.keys):
        location: Location = ("jwt", "keys", index, "file")
        try:
            read_keys(read_file(Path(key.file)), key.algorithm)
        except OSError as error:
            message = f"{dotted(location)}: cannot read {key.file}: {error.strerror or error}"
            problems.append(document.problem(location, message))
        except ValueError as error:
            problems.append(document.problem(location, f"{dotted(location)}: {key.file} has no usable key: {error}"))
    return problems
