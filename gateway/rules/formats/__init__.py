"""Rules from and for other systems: MSE, Polaris, Istio.

What does not fit is listed as a loss, never dropped in silence. A lane never becomes wider by it: one whose conditions cannot
be said on this side is imported closed, one that cannot be said on the other side is left out of an export.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.rules.formats import istio, mse, polaris
from gateway.rules.formats.common import Exported, FormatError, Imported, Loss
from gateway.rules.model import LaneGroup

__all__ = ["FORMATS", "Exported", "FormatError", "Imported", "Loss", "export_rules", "import_rules"]

FORMATS: Final[dict[str, tuple[Callable[[Any], Imported], Callable[[Sequence[LaneGroup]], Exported]]]] = {
    "mse": (mse.read, mse.write),
    "polaris": (polaris.read, polaris.write),
    "istio": (istio.read, istio.write),
}
"""How each format is read and written."""


def import_rules(form: str, data: Any) -> Imported:
    """Lane groups of another system's data: parsed JSON, or the list of a YAML file's documents.

    Raises FormatError, with a sentence for a person, for data that is not of the format.
    """
    try:
        return FORMATS[form][0](data)
    except (ValueError, TypeError, AttributeError) as error:
        raise FormatError(f"this is not what {form} writes: {error}") from error


def export_rules(form: str, groups: Sequence[LaneGroup]) -> Exported:
    """Another system's documents for lane groups."""
    return FORMATS[form][1](groups)
