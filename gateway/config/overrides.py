"""Settings from outside the file: GATEWAY_… variables beat it, `--set key.path=value` beats both."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.errors import ConfigError, Problem
from gateway.settings import ServingSettings
from gateway.spelling import closest
from gateway.yaml.reading import Location, dotted, parse

_log = logging.getLogger("gateway.control")

ENVIRONMENT_PREFIX = "GATEWAY_"
OURS = frozenset(
    {
        "GATEWAY_COMPILE",
        "GATEWAY_CONFIG",
        "GATEWAY_LOG_FORMAT",
        "GATEWAY_LOG_LEVEL",
        "GATEWAY_RELEASE_SERVER",
        "GATEWAY_RELEASE_TOKEN",
        "GATEWAY_SERVER",
        "GATEWAY_TOKEN",
    }
)
"""Variables that the build and the command line read: in a shell that has them for `gateway rules`, serve has them too."""
_FOREIGN = tuple(
    (re.compile(name), re.compile(value))
    for name, value in (
        # Kubernetes sets these in every pod beside a Service called `gateway` or `gateway-…`, and Docker's links did.
        # (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables)
        (r"\w*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PORT|PROTO|ADDR))?)", ".*"),
        (r"\w*_PORT", "(tcp|udp|sctp)://.*"),
        ("GATEWAY_NAME", "/.*"),
        (r"GATEWAY_ENV_\w*", ".*"),
        # Web servers set it for what they start (RFC 3875 §4.1.4).
        ("GATEWAY_INTERFACE", "CGI/.*"),
    )
)
"""Names and values of variables that are certainly somebody else's."""


def overridden(
    data: dict[str, Any],
    model: type[ServingSettings],
    overrides: Sequence[str],
    environ: Mapping[str, str],
    given_by: dict[Location, str],
    problems: list[Problem],
) -> dict[str, Any]:
    """A file's data with the environment's settings over it, and the command line's over both.

    Notes in `given_by` what brought each of them, so that a bad value is blamed on that, and adds to `problems` what
    cannot be put anywhere.
    """
    data = copy.deepcopy(data)
    for name in sorted(environ):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        if not environ[name] or _is_no_setting(name, environ[name]):
            _log.debug("%s is ignored: it is empty or not a setting", name)
            continue
        keys = tuple(name[len(ENVIRONMENT_PREFIX) :].lower().split("__"))
        if keys[0] in model.model_fields:
            _put(data, keys, environ[name], name, given_by, problems)
        else:
            message = f"there is no setting '{keys[0]}'{_hint(keys[0], list(model.model_fields))}"
            problems.append(Problem(name, 0, 0, message))
    for override in overrides:
        path, equals, value = override.partition("=")
        if not equals or "" in path.split("."):
            problems.append(Problem(f"--set {override}", 0, 0, "expected key.path=value"))
            continue
        _put(data, tuple(path.split(".")), value, f"--set {path}", given_by, problems)
    return data


def _is_no_setting(name: str, value: str) -> bool:
    """Whether a GATEWAY_ variable is certainly no setting. Any other one that is none is most likely a misspelt one."""
    return name in OURS or any(
        names.fullmatch(name) is not None and values.fullmatch(value) is not None for names, values in _FOREIGN
    )


def _hint(key: str, settings: list[str]) -> str:
    """What may have been meant."""
    ours = [name.removeprefix(ENVIRONMENT_PREFIX).lower() for name in sorted(OURS)]
    close = closest(key, [*settings, *ours])
    inside = next((name for name in settings if key.startswith(f"{name}_")), None)
    if inside is not None:  # one underscore, where two go down a level
        meant = f"{inside}__{key.removeprefix(f'{inside}_')}"
    elif close:
        meant = close[0]
    else:
        return ""
    return f"; did you mean {ENVIRONMENT_PREFIX}{meant.upper()}?"


def _put(
    data: dict[str, Any],
    keys: tuple[str, ...],
    value: str,
    giver: str,
    given_by: dict[Location, str],
    problems: list[Problem],
) -> None:
    """Puts one value into the data; it is read as YAML, so that lists can be given too. A list's items go by number."""
    try:
        read = parse(value, giver, {}).data
    except ConfigError as error:
        problems.extend(Problem(giver, 0, 0, problem.message) for problem in error.problems)
        return
    place: Any = data
    location: Location = ()
    for number, key in enumerate(keys):
        is_last = number == len(keys) - 1
        if isinstance(place, list):
            if not key.isascii() or not key.isdigit() or int(key) >= len(place):
                message = f"{dotted(location)} has {len(place)} item{'' if len(place) == 1 else 's'}, counted from 0"
                problems.append(Problem(giver, 0, 0, f"{message}; there is no '{key}'"))
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
    given_by[location] = giver
