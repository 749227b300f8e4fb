"""`make mutants`: breaks the program in small ways, one at a time, and says which breaks no test notices.

mutmut makes the mutants and runs for each the tests that call the function it is in (`[tool.mutmut]` in pyproject.toml says which
tests there are to choose from). There are about 15,000, so this takes a sample, the same one for the same seed, and says room by
room what became of it. Nothing here decides whether a survivor matters: some are no change at all.
"""

from __future__ import annotations

import argparse
import ast
import random
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import redirect_stdout
from fnmatch import fnmatch
from io import StringIO
from pathlib import Path

from mutmut.__main__ import collect_source_file_mutation_data, create_mutants
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

ROOT = Path(__file__).parents[2]
COPY = ROOT / "mutants"
"""Where mutmut works; git ignores it."""
CAUGHT = ("killed", "timeout", "segfault")
SHOWN = ("survived", "no tests", "suspicious")


def known(processes: int) -> dict[str, Path]:
    """Every mutant's name, and the file that it is in. Makes those whose file has changed."""
    shutil.rmtree(COPY / "tests", ignore_errors=True)  # a test that is gone is not to kill any more
    for path in COPY.glob("gateway/**/*.py"):
        if not path.with_name(f"{path.name}.meta").exists():
            path.unlink()  # a run that was interrupted may have left half of it
    with redirect_stdout(StringIO()):
        copy_src_dir()
        copy_also_copy_files()
        create_mutants(processes)
        mutants, _ = collect_source_file_mutation_data(mutant_names=())
    return {name: Path(data.path) for data, name, _ in mutants}


def drawn(names: list[str], wanted: list[str], sample: float, seed: int) -> list[str]:
    """A share of the mutants of these rooms, modules or functions, so much of each room."""
    rooms: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        if not wanted or any(fnmatch(name, f"gateway.{part}.*") or fnmatch(name, part) for part in wanted):
            rooms[room(name)].append(name)
    if not rooms:
        sys.exit(f"no mutants in {', '.join(wanted)}; name rooms (routing), modules (proxy.budget) or mutants")
    return [
        name for each in rooms.values() for name in random.Random(seed).sample(each, max(1, round(len(each) * sample)))
    ]


def room(name: str) -> str:
    """The room that a mutant is in."""
    return name.split(".")[1]


def results(names: list[str]) -> dict[str, str]:
    """What became of each mutant."""
    mutants, _ = collect_source_file_mutation_data(mutant_names=())
    found = {name: status_by_exit_code[code] for _, name, code in mutants}
    return {name: found[name] for name in names}


def place(name: str, path: Path, diff: str) -> str:
    """The line that a mutant changes, as `file:line`."""
    function, holder = orig_function_and_class_names_from_key(name)
    nodes: list[ast.stmt] = ast.parse(path.read_text()).body
    if holder is not None:
        nodes = next(node.body for node in nodes if isinstance(node, ast.ClassDef) and node.name == holder)
    start = next(
        node.lineno
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
    )
    hunk = re.search(r"^@@ -(\d+).*\n(?: .*\n)*", diff, re.MULTILINE)
    assert hunk is not None
    return f"{path}:{start + int(hunk[1]) - 1 + hunk[0].count(chr(10)) - 1}"


def main() -> None:
    """Takes rooms, modules or mutants; everything without."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument(
        "wanted", nargs="*", metavar="ROOM|MODULE|MUTANT", help="routing, proxy.budget, a name that was printed"
    )
    parser.add_argument("--sample", type=float, default=1.0, metavar="SHARE", help="of each room's mutants, 0 to 1")
    parser.add_argument("--seed", type=int, default=1, help="which ones: the same for the same seed")
    parser.add_argument("--processes", type=int, default=2, help="mutants that are tried at the same time")
    options = parser.parse_args()
    files = known(options.processes)
    names = drawn(list(files), options.wanted, options.sample, options.seed)
    print(f"{len(names)} of {len(files)} mutants …", file=sys.stderr, flush=True)
    command = "from mutmut.__main__ import cli; cli()"
    run = [sys.executable, "-c", command, "run", "--max-children", str(options.processes), *names]
    if subprocess.run(run, stdout=sys.stderr, check=False).returncode:
        sys.exit("mutmut did not come to its end: the tests must pass before anything is broken, see above")
    became = results(names)
    for name in sorted(name for name, status in became.items() if status in SHOWN):
        diff = get_diff_for_mutant(name, path=files[name])
        print(f"\n{place(name, files[name], diff)}: {became[name]}: {name}")
        print("\n".join(line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")))
    print(
        f"\n{'room':12}{'mutants':>9}{'killed':>9}{'timeout':>9}{'survived':>9}{'no tests':>9}{'other':>7}{'caught':>9}"
    )
    for each in sorted({room(name) for name in names}):
        counts = Counter(status for name, status in became.items() if room(name) == each)
        total = counts.total()
        caught = sum(counts[status] for status in CAUGHT)
        columns = (total, counts["killed"], counts["timeout"], counts["survived"], counts["no tests"])
        other = total - sum(columns[1:])
        print(f"{each:12}" + "".join(f"{column:9}" for column in columns) + f"{other:7}{caught / total:9.1%}")


if __name__ == "__main__":
    main()
