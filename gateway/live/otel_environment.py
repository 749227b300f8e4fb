"""What OpenTelemetry's environment variables say, as far as this program has to know it, or as a wrong value would not be told.

The SDK reads the rest itself: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/. It replaces
a value that it cannot read by the default, with a line in the log; here it keeps the program from starting.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway.errors import StartError
from gateway.printable import printable

DEFAULT_QUEUE: Final = 2048
"""Spans that wait for the exporter: the specification's default of `OTEL_BSP_MAX_QUEUE_SIZE`."""
DEFAULT_BATCH: Final = 512
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")
_HEADER: Final = re.compile(r" *[!#$%&'*+\-.^_`|~0-9A-Za-z]+ *= *[ -~]*")
_SHARES: Final = {"parentbased_always_on": 1.0, "parentbased_always_off": 0.0}
_RATIO: Final = "parentbased_traceidratio"


@dataclass(frozen=True, slots=True)
class OtelEnvironment:
    """`is_off`: no spans are made. `share`: of the requests without a trace, how many begin a sampled one; None: not said.

    `queue` is how many spans wait at most.
    """

    is_off: bool = False
    share: float | None = None
    queue: int = DEFAULT_QUEUE

    def share_of(self, default: float) -> float:
        """The share, or what the settings say; nothing begins a trace if they say so (0)."""
        return default if self.share is None or default == 0.0 else self.share


def read_environment(environ: Mapping[str, str]) -> OtelEnvironment:
    """Raises StartError naming each variable whose value is not understood, and what is accepted."""
    given = {name: value.strip() for name, value in environ.items() if name.startswith("OTEL_") and value.strip()}
    problems = [
        f"{name}: {accepted} is accepted; found {'something else' if name in _SECRETS else repr(printable(value[:200]))}"
        for names, accepts, accepted in _ACCEPTED
        for name, value in given.items()
        if name in names and not accepts(value)
    ]
    if problems:
        raise StartError("the environment for tracing: " + "; ".join(problems))
    queue = int(given.get("OTEL_BSP_MAX_QUEUE_SIZE", DEFAULT_QUEUE))
    batch = int(given.get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", DEFAULT_BATCH))
    if batch > queue:
        raise StartError(
            f"OTEL_BSP_MAX_EXPORT_BATCH_SIZE: at most OTEL_BSP_MAX_QUEUE_SIZE ({queue}) is accepted; found {batch}"
        )
    sampler = given.get("OTEL_TRACES_SAMPLER", "")
    ratio = float(given.get("OTEL_TRACES_SAMPLER_ARG", 1.0)) if sampler == _RATIO else None
    is_off = given.get("OTEL_SDK_DISABLED", "").lower() == "true" or given.get("OTEL_TRACES_EXPORTER") == "none"
    return OtelEnvironment(is_off, _SHARES.get(sampler, ratio), queue)


def _is_one_of(*words: str) -> Callable[[str], bool]:
    return lambda value: value in words


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _is_share(value: str) -> bool:
    return re.fullmatch(r"[0-9]{0,3}\.?[0-9]{1,18}", value) is not None and float(value) <= 1.0


def _is_time(value: str) -> bool:
    return re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) is not None and float(value) > 0.0


def _is_readable(value: str) -> bool:
    return os.access(value, os.R_OK)


def _are_headers(value: str) -> bool:
    return all(_HEADER.fullmatch(item) is not None for item in value.split(",") if item.strip())


def _of_exporter(word: str) -> Iterable[str]:
    return (f"OTEL_EXPORTER_OTLP_{word}", f"OTEL_EXPORTER_OTLP_TRACES_{word}")


_FILES: Final = [name for word in ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE") for name in _of_exporter(word)]
_SECRETS: Final = tuple(_of_exporter("HEADERS"))
"""What is not shown. The SDK logs what it cannot read of it."""
_COUNTS: Final = ("OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_SCHEDULE_DELAY")
_ACCEPTED: Final[list[tuple[Iterable[str], Callable[[str], bool], str]]] = [
    (["OTEL_SDK_DISABLED"], lambda value: value.lower() in ("true", "false"), "`true` or `false`"),
    (["OTEL_TRACES_EXPORTER"], _is_one_of("otlp", "none"), "`otlp` or `none`"),
    (["OTEL_TRACES_SAMPLER"], _is_one_of(*_SHARES, _RATIO), f"one of {', '.join((*_SHARES, _RATIO))}"),
    (["OTEL_TRACES_SAMPLER_ARG"], _is_share, "a number from 0 to 1"),
    (_COUNTS, lambda value: _NUMBER.fullmatch(value) is not None, "a whole number from 1"),
    (_SECRETS, _are_headers, "`NAME=VALUE`, or several with commas between,"),
    (_of_exporter("ENDPOINT"), _is_url, "a URL such as http://127.0.0.1:4318"),
    (_of_exporter("PROTOCOL"), _is_one_of("http/protobuf"), "`http/protobuf`"),
    (_of_exporter("TIMEOUT"), _is_time, "a number of seconds above 0"),
    (_of_exporter("COMPRESSION"), _is_one_of("gzip", "deflate", "none"), "`gzip`, `deflate` or `none`"),
    (_FILES, _is_readable, "a file that can be read"),
]
"""Which variables, which values they accept, and how that is said."""
