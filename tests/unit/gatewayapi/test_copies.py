"""Routes are kept as they are, and a copy that cannot be used keeps nothing from starting."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.gatewayapi.copies import read_copy, write_copy
from gateway.routing.plans import BackendPlan, EditPlan, PathPlan, RedirectPlan, RoutePlan, RouteSet, ValuePlan

ROUTES = RouteSet(
    (
        RoutePlan(
            source="shop/a[0]",
            host="*.example",
            path="/A",
            is_exact=True,
            method="GET",
            headers=(ValuePlan("a", "b.*", is_pattern=True),),
            params=(ValuePlan("c", "ü"),),
            backends=(BackendPlan("a", 9, "gray", "", EditPlan((("x", "1"),)), EditPlan(remove=("y",))),),
            new_host="b.example",
            new_path=PathPlan("/B", False),
            split_by=("cookie", "uid"),
            salt="shop/a",
        ),
        RoutePlan(source="shop/b[0]", redirect=RedirectPlan(301, "https", "c.example", 443, PathPlan("/", True))),
    ),
    ("*.example",),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "routes" / "shop.json"
    assert read_copy(path) is None
    write_copy(path, ROUTES)
    assert read_copy(path) == ROUTES
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"plans": [{}]}', '{"plans": [{"source": 1}]}'])
def test_a_copy_that_cannot_be_used_is_left_out(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "shop.json"
    path.write_text(text)
    assert read_copy(path) is None
    assert "is not used: it is of another version" in caplog.text


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    write_copy(tmp_path / "file" / "shop.json", ROUTES)
    assert "cannot keep a copy of the routes" in caplog.text
