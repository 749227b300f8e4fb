"""Every row of the table of bad input has its tests, in the file of its section."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROWS = {
    "test_framing.py": range(1, 28),
    "test_fields.py": range(28, 38),
    "test_targets.py": range(38, 54),
    "test_hop_by_hop.py": range(54, 62),
    "test_flow.py": range(62, 67),
    "test_slow_peers.py": range(67, 73),
    "test_answers.py": (*range(73, 79), *range(80, 84)),
    "test_upstreams.py": (76, 79, *range(84, 88)),
    "test_paths_and_logs.py": range(88, 95),
}
"""By file. Row 76 is about answers that end too early; of one without a length nobody can tell."""

_NAMED = re.compile(r'"row ([0-9]+): |def test_row_([0-9]+)_')
"""A row is named by a parameter's id, or by the name of a test."""


@pytest.mark.parametrize("name", ROWS)
def test_a_file_has_the_rows_of_its_section(name: str) -> None:
    text = (Path(__file__).parent / name).read_text()
    assert {int(one or other) for one, other in _NAMED.findall(text)} == set(ROWS[name])


def test_every_row_has_its_file() -> None:
    assert {row for rows in ROWS.values() for row in rows} == set(range(1, 95))
    others = {
        Path(__file__).name,
        "test_copies.py",
        "test_costs.py",
        "test_http2.py",
        "test_proxy_protocol.py",
    }  # what all rows cost; attacks with names of their own
    assert {path.name for path in Path(__file__).parent.glob("test_*.py")} == {*ROWS, *others}
