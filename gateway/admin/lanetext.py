"""A lane as YAML: what people edit, read and written as in a file of rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from gateway.errors import ConfigError
from gateway.rules.model import Lane
from gateway.ruletools.format import in_house_style
from gateway.web.problems import MOST_SHOWN, Rejected
from gateway.yaml.reading import parse
from gateway.yaml.writing import write_yaml

YAML: Final = "application/yaml"
"""RFC 9512."""


def lane_text(lane: Mapping[str, Any]) -> str:
    """A lane's plain values as a file would have them."""
    return write_yaml(in_house_style(lane))


def read_lane(content: bytes) -> Any:
    """The plain values of a lane, or whatever else a text holds. Raises Rejected for what is not YAML.

    Numbers and moments are values of a sound lane; everything in an unsound one stays the text that it is, to be refused with
    its field. There are no variables here: those of the gateway's environment are nobody's business.
    """
    try:
        data = parse(content.decode(), "lane", {}).data
    except UnicodeDecodeError as error:
        raise Rejected(400, "bad_yaml", f"the body is not UTF-8 (byte {error.start})") from error
    except ConfigError as error:
        said = "\n".join(str(problem) for problem in error.problems[:MOST_SHOWN])
        raise Rejected(400, "bad_yaml", said) from error
    try:
        return Lane.model_validate(data).model_dump(mode="json", by_alias=True, exclude_unset=True)
    except ValidationError:
        return data
