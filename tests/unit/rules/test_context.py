"""The match context: the request, and what is known around it."""

from __future__ import annotations

from tests.support.asked import asked


def test_a_cookie_that_is_only_now_given_is_seen_and_the_requests_own_stay() -> None:
    context = asked("GET", "/", [("Cookie", "a=1; b=2")])
    context.give_cookie("b", "3")
    context.give_cookie("c", "4")
    assert [context.cookie(name) for name in "abcd"] == ["1", "3", "4", None]
    assert context.request.cookie("b") == "2"
