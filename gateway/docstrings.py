"""The docstrings of a model's fields become descriptions in its JSON Schema.

They are read from the source when somebody wants a schema. pydantic itself (`use_attribute_docstrings`) reads them when a class
is made, which took half of the time that a start had for models.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel


def describe_fields(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Describes the properties in a model's schema; for `json_schema_extra`."""
    properties = schema.get("properties", {})
    for name, field in model.model_fields.items():
        key = field.alias if field.alias in properties else name
        text = docstring(model, name)
        if text and key in properties:
            properties[key]["description"] = text


def docstring(model: type[BaseModel], name: str) -> str:
    """What is written below a field, in the class that it comes from; empty if nothing is."""
    owner = next(one for one in model.__mro__ if name in inspect.get_annotations(one))
    return _docstrings(owner.__module__).get(owner.__qualname__, {}).get(name, "")


@cache
def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """By class and field; none of a module whose source is not there."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:
        return {}
    return {node.name: dict(_documented(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _documented(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, below in pairwise(node.body):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
