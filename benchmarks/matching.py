"""What matching costs against the number of lanes, the kind of condition and the size of a segment; what compiling costs.

`python -m benchmarks.matching`: microseconds a request in one process, no network. Each row is the median of several
rounds; compare rows of one run only.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from gateway.cli.output import print_table
from gateway.cli.version import is_compiled
from gateway.http.head_reader import HeadReader
from gateway.rules.compile import compile_rules
from gateway.rules.context import MatchContext
from gateway.rules.environment import MatchEnvironment
from gateway.rules.match import CompiledRules
from gateway.rules.model import LaneGroup
from gateway.rules.ruleset import RuleSet

ROUNDS = 7
REQUESTS = 2000

AROUND = MatchEnvironment(time.time)


def three_fields(number: int) -> list[dict[str, Any]]:
    """The design's benchmark: a parameter, a header and a cookie, each equal to something of the lane's own."""
    return [
        {"param": "group", "equals": f"g{number}"},
        {"header": "x-user", "in": [f"u{number}", f"v{number}"]},
        {"cookie": "uid", "exists": True},
    ]


KINDS: dict[str, Callable[[int], list[dict[str, Any]]]] = {
    "three fields, equality": three_fields,
    "one parameter": lambda number: [{"param": "group", "equals": f"g{number}"}],
    "path prefix": lambda number: [{"path": {"prefix": f"/team{number}/"}}],
    "client network": lambda number: [{"client_ip": {"in": [f"10.{number // 250 % 250}.{number % 250}.0/24"]}}],
    "number in a range": lambda number: [{"header": "x-build", "range": [number * 10, number * 10 + 9]}],
    "not equal, and equal": lambda number: [
        {"header": "x-user", "not_equals": f"w{number}"},
        {"param": "group", "equals": f"g{number}"},
    ],
    "equal, and a regex": lambda number: [
        {"param": "group", "equals": f"g{number}"},
        {"header": "x-user", "regex": f"u{number}|v{number}"},
    ],
    "a regex alone": lambda number: [{"header": "x-user", "regex": f"u{number}|v{number}"}],
}


def rules_of(count: int, conditions: Callable[[int], list[dict[str, Any]]]) -> RuleSet:
    """So many lanes in one group."""
    lanes = [{"name": f"l{number}", "tag": "gray", "match": conditions(number)} for number in range(count)]
    return RuleSet.of([LaneGroup.model_validate({"name": "g", "lanes": lanes})])


def split_evenly(count: int) -> RuleSet:
    """So many lanes that share 100 % of a cookie."""
    step = 100 / count
    lanes = [
        {
            "name": f"l{number}",
            "tag": "gray",
            "match": [{"cookie": "uid", "percent": [f"{number * step:.2f}-{(number + 1) * step:.2f}"]}],
        }
        for number in range(count)
    ]
    return RuleSet.of([LaneGroup.model_validate({"name": "g", "lanes": lanes})])


def heads(count: int) -> list[bytes]:
    """Requests, half of which some lane takes; no two alike, so that nothing is only remembered."""
    found = []
    for number in range(REQUESTS):
        lane = number % count
        hit = number % 2 == 0
        found.append(
            (
                f"GET /team{lane if hit else count + lane}/x?a=1&group=g{lane if hit else count + lane}&n={number} HTTP/1.1\r\n"
                f"Host: shop.example\r\nX-User: u{lane}\r\nX-Build: {lane * 10 + 3 if hit else 10 * count + 1}\r\n"
                f"Cookie: a=b; uid={number}\r\n\r\n"
            ).encode()
        )
    return found


def microseconds(rules: CompiledRules, several: list[bytes], count: int) -> float:
    """Of one `match`, the median of rounds. Requests are read anew for each round: what a request parses, it remembers."""
    reader = HeadReader("x-gray-tag")
    rounds: list[float] = []
    match = rules.match
    for _ in range(ROUNDS):
        requests: list[MatchContext] = []
        for number, head in enumerate(several):
            address = f"10.{number % count // 250 % 250}.{number % count % 250}.7"
            requests.append(MatchContext(reader.read(head), address))
        gc.collect()
        gc.disable()
        started = time.process_time()
        for request in requests:
            match(request)
        rounds.append((time.process_time() - started) / len(requests) * 1e6)
        gc.enable()
    return statistics.median(rounds)


def _cell(rules: RuleSet, count: int) -> str:
    return f"{microseconds(compile_rules(rules, AROUND), heads(count), count):.2f}"


def memory_of(rules: RuleSet) -> float:
    """The mebibytes that the index of these rules takes, as far as Python allocated them."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = compile_rules(rules, AROUND)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return (after - before) / 2**20


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lanes", type=int, nargs="*", default=[1, 10, 100, 1000, 10_000])
    counts = parser.parse_args().lanes
    print(f"Python {sys.version.split()[0]}, {'compiled' if is_compiled() else 'plain'}; CPU µs to match one request\n")
    rows: list[list[object]] = []
    for kind, conditions in KINDS.items():
        rows.append([kind, *(_cell(rules_of(count, conditions), count) for count in counts)])
    rows.append(["percent of a cookie", *(_cell(split_evenly(count), count) for count in counts)])
    print_table(["conditions of each lane", *(f"{count:,} lanes" for count in counts)], rows)
    print()
    rows = []
    for size in (10, 1000, 100_000, 1_000_000):
        group = LaneGroup.model_validate(
            {"name": "g", "lanes": [{"name": "l", "tag": "t", "match": [{"header": "x-user", "segment": "s"}]}]}
        )
        rules = RuleSet.of([group], {"s": frozenset(f"u{number}" for number in range(size))})
        rows.append([f"{size:,}", f"{microseconds(compile_rules(rules, AROUND), heads(1000), 1000):.2f}"])
    print_table(["values in the segment", "µs"], rows)
    print()
    rows = []
    for count in counts:
        rules = rules_of(count, three_fields)
        started = time.process_time()
        compile_rules(rules, AROUND)
        seconds = time.process_time() - started
        rows.append([f"{count:,}", f"{seconds * 1000:.1f}", f"{memory_of(rules):.1f}"])
    print_table(["lanes of three fields", "compile, ms", "index, MiB"], rows)


if __name__ == "__main__":
    main()
