"""What the files of a release have in common: how names and values are written."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_LABEL = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}")
_REFERENCE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._:/@-]{0,254}")


def _check_name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ValueError(
            f"a name is 1 to 63 letters a to z, digits and '-', which neither begins nor ends it; found {text!r}"
        )
    return text


def _check_key(text: str) -> str:
    if _KEY.fullmatch(text) is None:
        raise ValueError(f"a key is 1 to 63 letters, digits or '_', and does not begin with a digit; found {text!r}")
    return text


def _check_version(text: str) -> str:
    if _LABEL.fullmatch(text) is None:
        raise ValueError(f"a version is 1 to 63 letters, digits, '.', '_' or '-'; found {text!r}")
    return text


def _check_program(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError("a command is a list of its words: [make, image]")  # noqa: TRY004 - pydantic shows ValueError
    return value


ReleaseName = Annotated[str, AfterValidator(_check_name)]
"""Of an application, an environment, a workflow …: what a file is called, and what a label of Kubernetes may be."""
Key = Annotated[str, AfterValidator(_check_key)]
"""Of a value in a template: `.Values.KEY` must be one."""
Version = Annotated[str, AfterValidator(_check_version)]
Command = Annotated[
    list[str], BeforeValidator(_check_program), WithJsonSchema({"type": "array", "items": {"type": "string"}})
]
"""A program and its arguments; no shell looks at them."""


def is_name(text: str) -> bool:
    """Whether a text may name an application or an environment."""
    return _NAME.fullmatch(text) is not None


def is_image(text: str) -> bool:
    """Whether a text may name an image: `registry.example/shop/a:2`, or what the target `processes` calls one."""
    return _REFERENCE.fullmatch(text) is not None and ".." not in text


def is_version(text: str) -> bool:
    """Whether a text may name a version."""
    return _LABEL.fullmatch(text) is not None
