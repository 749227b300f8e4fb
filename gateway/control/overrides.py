"""Settings from outside the file: GATEWAY_… variables beat it, `--set key.path=value` beats both."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.errors import ConfigError, Problem
from gateway.settings import ServingSettings
from gateway.yamlfile import Location, dotted, parse

ENVIRONMENT_PREFIX = "GATEWAY_"
_NOT_SETTINGS = frozenset(
    {"GATEWAY_COMPILE", "GATEWAY_CONFIG", "GATEWAY_LOG_FORMAT", "GATEWAY_LOG_LEVEL", "GATEWAY_SERVER"}
)
# Kubernetes sets these in every pod beside a Service called `gateway` or `gateway-…`.
# (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables)
_SERVICE_LINK = re.compile(r"\w*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PORT|PROTO|ADDR))?)")
_SERVICE_PORT = re.compile(r"(tcp|udp|sctp)://.*")


def overridden(
    data: dict[str, Any],
    model: type[ServingSettings],
    overrides: Sequence[str],
    environ: Mapping[str, str],
    origins: dict[Location, str],
    problems: list[Problem],
) -> dict[str, Any]:
    """A file's data with the environment's settings over it, and the command line's over both.

    Notes in `origins` what brought each of them, so that a bad value is blamed on that, and adds to `problems` what
    cannot be put anywhere.
    """
    data = copy.deepcopy(data)
    for name in sorted(environ):
        if name.startswith(ENVIRONMENT_PREFIX) and not _is_foreign(name, environ[name]):
            keys = tuple(name[len(ENVIRONMENT_PREFIX) :].lower().split("__"))
            if keys[0] not in model.model_fields:
                close = difflib.get_close_matches(keys[0], list(model.model_fields), n=1)
                hint = f"; did you mean {ENVIRONMENT_PREFIX}{close[0].upper()}?" if close else ""
                problems.append(Problem(name, 0, 0, f"there is no setting '{keys[0]}'{hint}"))
                continue
            _put(data, keys, environ[name], name, origins, problems)
    for override in overrides:
        path, equals, value = override.partition("=")
        if not equals or "" in path.split("."):
            problems.append(Problem(f"--set {override}", 0, 0, "expected key.path=value"))
            continue
        _put(data, tuple(path.split(".")), value, f"--set {path}", origins, problems)
    return data


def _is_foreign(name: str, value: str) -> bool:
    """Whether a GATEWAY_ variable is no setting: it belongs to a tool of ours or comes from Kubernetes."""
    if name in _NOT_SETTINGS or _SERVICE_LINK.fullmatch(name) is not None:
        return True
    return name.endswith("_PORT") and _SERVICE_PORT.fullmatch(value) is not None


def _put(
    data: dict[str, Any],
    keys: tuple[str, ...],
    value: str,
    origin: str,
    origins: dict[Location, str],
    problems: list[Problem],
) -> None:
    """Puts one value into the data; it is read as YAML, so that lists can be given too. A list's items go by number."""
    try:
        read = parse(value, origin, {}).data
    except ConfigError as error:
        problems.extend(Problem(origin, 0, 0, problem.message) for problem in error.problems)
        return
    place: Any = data
    location: Location = ()
    for number, key in enumerate(keys):
        is_last = number == len(keys) - 1
        if isinstance(place, list):
            if not key.isascii() or not key.isdigit() or int(key) >= len(place):
                message = f"{dotted(location)} has {len(place)} item{'' if len(place) == 1 else 's'}, counted from 0"
                problems.append(Problem(origin, 0, 0, f"{message}; there is no '{key}'"))
                return
            part: Any = int(key)
        else:
            part = key
            place.setdefault(key, None)
        location = (*location, part)
        if is_last:
            place[part] = read
        elif not isinstance(place[part], dict | list):
            place[part] = {}
        place = place[part]
    origins[location] = origin
