"""How long clients have to notice that a process leaves."""

from __future__ import annotations

from gateway.app.life import Life


def test_notice_is_for_those_who_know_this_process_and_have_no_other() -> None:
    life = Life()
    assert life.notice(5.0) == 0.0  # a start that fails: nobody has heard of it
    life.begin()
    assert life.notice(5.0) == 5.0
    life.leave()
    assert (life.is_serving, life.is_draining) == (True, True)
    assert life.notice(5.0) == 5.0
    life.has_successor = True
    assert life.notice(5.0) == 0.0
