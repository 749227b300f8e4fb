"""Which lanes can win: rows that can never hold, and lanes whose every request an earlier lane takes.

What is reported is proved: a row is dead where its wishes contradict each other, and a lane is shadowed where each of its
rows implies a row of an earlier lane. What can be neither proved nor shown by a witness is not spoken of.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from gateway.rules.conditions import Condition
from gateway.rules.lint.numbers import Interval, interval_of
from gateway.rules.lint.witness import Setting, Wish, finite_values, satisfies, wishes_of
from gateway.rules.shares import Spans, size_of

_EVERYTHING: Final = frozenset({".*", "^.*", ".*$", "^.*$", "(.*)", "(?s:.*)", "(?s).*"})


def why_dead(setting: Setting, now: float) -> str:
    """Why a row can never hold; empty where that is not certain."""
    for condition, negated in setting.row:
        window = condition.time
        if window is not None and not negated and window.until is not None and window.until.timestamp() <= now:
            return f"the time is over since {window.until.isoformat()}"
    seen: dict[str, bool] = {}
    for condition, negated in setting.row:
        if condition.time is not None:
            text = condition.model_dump_json()
            if seen.setdefault(text, negated) != negated:
                return "a time must be and must not be"
    for (source, name), wish in wishes_of(setting).items():
        subject = f"{source} {name}".strip()
        if wish.is_contradiction:
            return f"{subject} must be there and must be absent"
        reason = _why_empty(setting, wish)
        if reason:
            return f"{subject} {reason}"
        if source in ("path", "method") and wish.must_be_absent:
            return f"{subject} is never absent"
    return ""


def _why_empty(setting: Setting, wish: Wish) -> str:
    values = finite_values(setting, wish)
    if values is not None:
        return "" if values else "can be none of the values that it must be"
    numbers = Interval()
    for condition in wish.positive:
        interval = interval_of(condition.test)
        if interval is not None:
            numbers = numbers.common(interval)
        if condition.test.percent is not None and not size_of(setting.shares.spans_of(setting.lane, condition)):
            return "falls into no share: it is 0 %"
    if numbers.is_empty:
        return "would have to be in two ranges that do not meet"
    starts = sorted((item.test.prefix for item in _exactly(wish) if item.test.prefix is not None), key=len)
    if starts and not all(starts[-1].startswith(start) for start in starts):
        return "would have to start with two different texts"
    ends = sorted((item.test.suffix for item in _exactly(wish) if item.test.suffix is not None), key=len)
    if ends and not all(ends[-1].endswith(end) for end in ends):
        return "would have to end with two different texts"
    for shunned in wish.negative:
        if any(_same(shunned, wanted) for wanted in wish.positive):
            return "must be something and must not be it"
    if starts and wish.paths and not any(_may_start(start, wish.paths) for start in starts):
        return "starts outside of the lane's paths"
    return ""


def _may_start(start: str, paths: tuple[str, ...]) -> bool:
    closed = [path.rstrip("/") + "/" for path in paths]
    return any((start + "/").startswith(path) or path.startswith(start) for path in closed)


def _exactly(wish: Wish) -> list[Condition]:
    """The conditions in which case counts."""
    return [item for item in wish.positive if not item.test.ignore_case]


def _same(one: Condition, other: Condition) -> bool:
    return one.model_dump() == other.model_dump()


def implies(narrow: Setting, wide: Setting) -> bool:
    """Whether every request that the one row takes is certainly taken by the other."""
    wishes = wishes_of(narrow)
    for condition, negated in wide.row:
        if condition.time is not None:
            if not any(other.time == condition.time and shunned == negated for other, shunned in narrow.row):
                return False
            continue
        wish = wishes.get((condition.source, condition.name), Wish())
        if not _implied(narrow, wish, wide, condition, negated):
            return False
    return not wide.paths or _below(wishes.get(("path", ""), Wish()), wide.paths)


def _below(wish: Wish, paths: tuple[str, ...]) -> bool:
    """Whether a row's paths are all below these."""
    closed = [path.rstrip("/") + "/" for path in paths]
    if wish.paths and all(any((path.rstrip("/") + "/").startswith(item) for item in closed) for path in wish.paths):
        return True
    starts = [item.test.prefix for item in _exactly(wish) if item.test.prefix is not None]
    exact = [item.test.equals for item in _exactly(wish) if item.test.equals is not None]
    return any(start.startswith(item) for start in starts for item in closed) or any(
        (text.rstrip("/") + "/").startswith(item) for text in exact for item in closed
    )


def _implied(narrow: Setting, wish: Wish, wide: Setting, condition: Condition, negated: bool) -> bool:
    test = condition.test
    always_there = condition.source in ("path", "method")
    if test.exists is not None or test.absent is not None:
        wants = (test.exists if test.exists is not None else not test.absent) != negated
        return wish.must_exist or always_there if wants else wish.must_be_absent
    if wish.must_be_absent:
        return negated
    values = finite_values(narrow, wish)
    if values is not None:
        # Every value that is left is asked for by name.
        probe = Wish(condition.source, [] if negated else [condition], [condition] if negated else [])
        return all(satisfies(wide, probe, value) for value in values)
    if negated:
        return any(_same(condition, other) for other in wish.negative)
    if not (wish.must_exist or always_there):
        return False
    if any(_same(condition, other) and test.percent is None for other in wish.positive):
        return True
    return _covers(narrow, wish, wide, condition)


def _covers(narrow: Setting, wish: Wish, wide: Setting, condition: Condition) -> bool:
    """Whether a condition holds of all values that a wish (which cannot be listed) leaves."""
    test = condition.test
    exact = _exactly(wish)
    starts = [item.test.prefix for item in exact if item.test.prefix is not None]
    if holds_always(condition):
        return True
    if test.ignore_case:
        return False
    if test.prefix is not None:
        paths = [path.rstrip("/") + "/" for path in wish.paths]
        wanted = test.prefix
        return any(start.startswith(wanted) for start in starts) or (
            bool(paths)
            and all(path.rstrip("/").startswith(wanted.rstrip("/")) and wanted[-1:] != "/" for path in paths)
        )
    if test.suffix is not None:
        wanted = test.suffix
        return any(item.test.suffix is not None and item.test.suffix.endswith(wanted) for item in exact)
    if test.contains is not None:
        texts = [text for item in exact for text in (item.test.prefix, item.test.suffix, item.test.contains) if text]
        return any(test.contains in text for text in texts)
    interval = interval_of(test)
    if interval is not None:
        return any(found is not None and interval.holds(found) for found in (interval_of(item.test) for item in exact))
    if test.percent is not None:
        return _covers_share(narrow, wish, wide, condition)
    if test.segment is not None and condition.source != "client_ip":
        values = narrow.rules.segments[test.segment]
        return any(item.test.segment and narrow.rules.segments[item.test.segment] <= values for item in exact)
    if condition.source == "client_ip" and (test.equals is not None or test.in_ is not None):
        return any(_networks_within(item, condition) for item in wish.positive)
    return False


def holds_always(condition: Condition) -> bool:
    """Whether a condition holds of every value that can be there."""
    test = condition.test
    return (
        test.regex in _EVERYTHING  # or nearly: no pattern matches a very long value
        or test.prefix == ""
        or test.suffix == ""
        or test.contains == ""
        or (condition.source == "path" and test.prefix == "/")
        or test.percent in (100, ["0-100"])
    )


def _covers_share(narrow: Setting, wish: Wish, wide: Setting, condition: Condition) -> bool:
    if narrow.group.name != wide.group.name:
        return False
    wanted = wide.shares.spans_of(wide.lane, condition)
    return any(
        item.test.percent is not None
        and item.test.ignore_case == condition.test.ignore_case
        and _spans_within(narrow.shares.spans_of(narrow.lane, item), wanted)
        for item in wish.positive
    )


def _spans_within(inner: Spans, outer: Spans) -> bool:
    return all(any(low >= start and high <= end for start, end in outer) for low, high in inner)


def _networks_within(inner: Condition, outer: Condition) -> bool:
    if inner.test.equals is None and inner.test.in_ is None:
        return False
    wide = [ip_network(text, strict=False) for text in outer.test.texts()]
    return all(
        any(_is_within(ip_network(text, strict=False), network) for network in wide) for text in inner.test.texts()
    )


def _is_within(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


def takes_everything(setting: Setting) -> bool:
    """Whether a row takes every request there is."""
    if any(path != "/" for path in setting.paths):
        return False
    return all(
        not negated and condition.source in ("path", "method") and condition.time is None and _is_trivial(condition)
        for condition, negated in setting.row
    )


def _is_trivial(condition: Condition) -> bool:
    return holds_always(condition) or condition.test.exists is True or condition.test.absent is False
