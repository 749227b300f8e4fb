"""Streams of Kubernetes objects in YAML, read as `kubectl` reads them.

PyYAML alone takes `12:30` for a number to the base of 60 and `2026-01-01` for a date, and the last of two values for a key.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Any, Final

import yaml

_TEXTS: Final = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
_WITHOUT_COLONS: Final = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$"),
    "tag:yaml.org,2002:float": re.compile(
        r"(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
}
"""Numbers of YAML 1.1 but those to the base of 60."""


class _Loader(yaml.SafeLoader):
    """Scalars are what they are to `kubectl`, and a key that is given twice is an error, as there."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """See SafeLoader."""
        known: set[Hashable] = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and (key_node.tag, key) in known:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            known.add((key_node.tag, key))
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, _WITHOUT_COLONS.get(tag, pattern)) for tag, pattern in found if tag not in _TEXTS]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def documents(text: str) -> Iterator[tuple[Any, yaml.Node]]:
    """Each document that is not empty, and where it is. Raises YAMLError, and RecursionError for what is nested too deeply."""
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None
            document = loader.construct_document(node)
            if document is not None:
                yield document, node
    finally:
        loader.dispose()
