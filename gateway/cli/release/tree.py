"""An order as a tree: what a person sees of it."""

from __future__ import annotations

import time
from typing import Any, Final

from gateway.shapes import COUNT, MOMENT, NUMBER, SHARE, TEXT, Each, Maybe, one_of

MARKS: Final = {
    "INIT": "·",
    "RUNNING": "◐",
    "SUSPENDED": "‖",
    "STOPPING": "↶",
    "FAILED": "✖",
    "SUCCESS": "✔",
    "CANCELED": "⊘",
    "SKIPPED": "↷",
}
_BAR: Final = 10
_FOR_ALL: Final = ("approve", "lane", "pause", "verify")
"""Steps that are not about one application, even in an order of one."""

STATE: Final = one_of(*MARKS)
TASK: Final = {
    "job": TEXT,
    "stage": TEXT,
    "step": COUNT,
    "kind": TEXT,
    "state": STATE,
    "message": TEXT,
    "progress": SHARE,
    "started_at": Maybe(MOMENT),
    "ended_at": Maybe(MOMENT),
    "spec": {
        "environment?": Maybe(TEXT),
        "percent?": Maybe(NUMBER),
        "action?": Maybe(TEXT),
        "group?": TEXT,
        "lane?": TEXT,
    },
}
ORDER: Final = {
    "id": COUNT,
    "revision": COUNT,
    "kind": TEXT,
    "state": STATE,
    "actor": TEXT,
    "reason": TEXT,
    "created_at": MOMENT,
    "ended_at": Maybe(MOMENT),
    "releases": Each({"version": TEXT, "before": Each(Maybe(TEXT))}),
    "environments": [TEXT],
    "lanes?": [[TEXT]],
    "next": TEXT,
    "take_back": [TEXT],
    "jobs": [{"stages": [{"stage": TEXT, "tasks": [TASK]}]}],
}


def tree(order: dict[str, Any], now: float | None = None) -> list[str]:
    """The lines of an order: what, from which version to which, who, why, since when; its steps; what comes next."""
    now = time.time() if now is None else now
    releases = ", ".join(f"{app} {_from_to(item)}" for app, item in order["releases"].items())
    since = _duration((order["ended_at"] or now) - order["created_at"])
    head = f"{MARKS[order['state']]} order {order['id']}  {order['kind']}  {order['state']}  {releases}"
    lines = [head, f"  by {order['actor']}, {since}: {order['reason']}"]
    lanes = ", ".join("/".join(item) for item in order.get("lanes", []))
    lines.append(f"  environments {', '.join(order['environments'])}" + (f"; lane {lanes}" if lanes else ""))
    tasks = [task for job in order["jobs"] for stage in job["stages"] for task in stage["tasks"]]
    stages = list(dict.fromkeys(task["stage"] for task in sorted(tasks, key=_index_in(order))))
    for position, stage in enumerate(stages):
        last = position == len(stages) - 1
        lines.append(f"{'└' if last else '├'}─ {stage}")
        mine = sorted((task for task in tasks if task["stage"] == stage), key=lambda task: task["step"])
        for number, task in enumerate(mine):
            corner = "└" if number == len(mine) - 1 else "├"
            lines.append(f"{' ' if last else '│'}  {corner}─ {_task(task, now)}")
    if order["next"]:
        lines.append(f"  next: {order['next']}")
    if order["take_back"] and order["state"] not in ("SUCCESS", "CANCELED"):
        lines.append(f"  taking it back would: {'; '.join(order['take_back'])}")
    return lines


def _index_in(order: dict[str, Any]) -> Any:
    names = {"take-back": 1}
    first: dict[str, float] = {}
    for job in order["jobs"]:
        for index, stage in enumerate(job["stages"]):
            first[stage["stage"]] = max(first.get(stage["stage"], 0), index)
    return lambda task: (names.get(task["stage"], 0), first.get(task["stage"], 0))


def _task(task: dict[str, Any], now: float) -> str:
    is_for_all = task["job"] == "train" or task["kind"] in _FOR_ALL
    what = task["kind"] + ("" if is_for_all else f" {task['job']}")
    environment = task["spec"].get("environment")
    if environment:
        what += f" in {environment}"
    if task["kind"] == "lane":
        share = "" if task["spec"].get("percent") is None else f" {float(task['spec']['percent']):g} %"
        what += f" {task['spec'].get('action') or 'at'} {task['spec'].get('group')}/{task['spec'].get('lane')}{share}"
    parts = [MARKS[task["state"]], what]
    if task["started_at"] is not None:
        parts.append(_duration((task["ended_at"] or now) - task["started_at"]))
    if task["state"] in ("RUNNING", "SUSPENDED"):
        full = round(task["progress"] * _BAR)
        parts.append(f"[{'█' * full}{'░' * (_BAR - full)}]")
    if task["message"]:
        parts.append(task["message"])
    return "  ".join(parts)


def _from_to(release: dict[str, Any]) -> str:
    before = list(dict.fromkeys(version for version in release["before"].values() if version))
    return f"{before[0] if before else 'nothing'} → {release['version']}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{max(0.0, seconds):.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
