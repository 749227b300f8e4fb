"""An order as a person sees it."""

from __future__ import annotations

from pathlib import Path

from gateway.cli.release.tree import tree
from gateway.release.catalog import load_catalog
from gateway.release.plan import Wish, plan_release
from gateway.release.states import State
from gateway.release.store import VersionRecord
from tests.support.release import write_files

RAN = VersionRecord("prod", "a", 1, "1", {}, {}, "", "alice", "why", 1.0)


def test_what_who_why_since_when_what_next_and_the_way_back(tmp_path: Path) -> None:
    wish = Wish({"a": "2", "c": "5"}, "alice", "new prices", images={(None, "backend"): "shop:2"})
    order = plan_release(load_catalog(write_files(tmp_path)), wish, {("prod", "a"): RAN}, {}, 1000.0)
    order.id, order.state = 7, State.RUNNING
    gray_c, gray_a, lane = order.tasks[:3]
    gray_c.state, gray_c.started_at, gray_c.ended_at, gray_c.message = State.SUCCESS, 1000.0, 1004.5, "5 runs in gray"
    gray_a.state, gray_a.started_at, gray_a.progress, gray_a.message = (
        State.RUNNING,
        1000.0,
        0.5,
        "1 of 2 \x1b[31mready",
    )
    assert lane.state is State.INIT
    assert tree(order.view(), 1090.0) == [
        "◐ order 7  deploy  RUNNING  c nothing → 5, a 1 → 2",
        "  by alice, 1 min 30 s: new prices",
        "  environments gray, prod; lane demo/gray",
        "├─ gray",
        "│  ├─ ✔  deploy c in gray  4.5 s  5 runs in gray",
        "│  ├─ ◐  deploy a in gray  1 min 30 s  [█████░░░░░]  1 of 2 \x1b[31mready",
        "│  └─ ·  lane open demo/gray",
        "├─ production",
        "│  ├─ ·  approve",
        "│  ├─ ·  deploy c in prod",
        "│  └─ ·  deploy a in prod",
        "└─ cleanup",
        "   ├─ ·  lane close demo/gray",
        "   ├─ ·  cleanup c in gray",
        "   └─ ·  cleanup a in gray",
        "  next: lane (stage gray)",
        "  taking it back would: a in gray: remove; c in gray: remove",
    ]
