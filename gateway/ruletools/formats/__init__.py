"""Lane rules of other systems: read into ours, and written from ours.

Nothing is dropped in silence: what the other side cannot say is listed. A lane never takes more requests than it did: where
a condition cannot be said, it is imported closed, or left out of an export.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gateway.rules.model import LaneGroup
from gateway.ruletools.formats.documents import read_documents
from gateway.ruletools.formats.istio import import_istio
from gateway.ruletools.formats.istio_export import export_istio
from gateway.ruletools.formats.mse import export_mse, import_mse
from gateway.ruletools.formats.outcome import Exported, FormatError, Imported, Loss
from gateway.ruletools.formats.polaris import import_polaris
from gateway.ruletools.formats.polaris_export import export_polaris

__all__ = [
    "FORMATS",
    "Exported",
    "FormatError",
    "Imported",
    "Loss",
    "export_rules",
    "import_rules",
    "read_documents",
    "require_lanes",
]

_CONVERTERS: Final[dict[str, tuple[Callable[[object], Imported], Callable[[Sequence[LaneGroup]], Exported]]]] = {
    "mse": (import_mse, export_mse),
    "polaris": (import_polaris, export_polaris),
    "istio": (import_istio, export_istio),
}
_READ: Final = {
    "mse": "swimming lanes as CreateOrUpdateSwimmingLane accepts and QueryAllSwimmingLane returns them",
    "polaris": "LaneGroup objects with rules, alone or as Polaris returns them",
    "istio": "routes of VirtualServices that have a match and lead to a subset",
}
FORMATS: Final = tuple(_CONVERTERS)
"""Swimming lanes of Alibaba Cloud MSE (SAE, EDAS); lanes of Polaris; VirtualService and DestinationRule of Istio."""


def import_rules(form: str, data: object) -> Imported:
    """Rules of ours from `data`: what JSON or YAML documents in one of the `FORMATS` were read into.

    Raises FormatError for data that is not of the format.
    """
    return _CONVERTERS[form][0](data)


def require_lanes(form: str, imported: Imported) -> None:
    """Raises FormatError if no lane was read: what is read of the format. `imported.losses` say what became of what there was."""
    if any(group.lanes for group in imported.groups):
        return
    raise FormatError(f"it has no lane; what can be read: {_READ[form]}")


def export_rules(form: str, groups: Sequence[LaneGroup]) -> Exported:
    """Documents in one of the `FORMATS` from rules of ours."""
    return _CONVERTERS[form][1](groups)
