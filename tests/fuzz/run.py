"""`make fuzz`: every target for some seconds, one after the other. Exits 1 on a finding, and says where its input is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
STATE = HERE.parents[1] / ".fuzz"
"""The corpora that grow, logs and findings; git ignores the folder."""
TARGETS = ("request", "response", "chunked", "http2")
MAX_LENGTH = 4096
SLOW = 5
"""Seconds that one input may take: more is a finding."""


def run(target: str, seconds: int) -> bool:
    """Fuzzes one target; whether nothing was found."""
    corpus = STATE / target
    findings = STATE / "findings"
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    (STATE / ".gitignore").write_text("*\n")
    log = STATE / f"{target}.log"
    command = [sys.executable, "-m", "tests.fuzz.target", target, str(corpus), str(HERE / "corpus" / target)]
    options = {"max_total_time": seconds, "max_len": MAX_LENGTH, "timeout": SLOW, "print_final_stats": 1}
    command += [f"-{name}={value}" for name, value in options.items()] + [f"-artifact_prefix={findings}/{target}-"]
    print(f"{target}: {seconds} s …", file=sys.stderr, flush=True)
    with log.open("wb") as output:
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    text = log.read_text(errors="replace")
    executions = re.search(r"number_of_executed_units: *(\d+)", text)
    print(
        f"{target}: {executions[1] if executions else '?'} executions, corpus of {len(list(corpus.iterdir()))} inputs"
    )
    if status:
        found = re.search(r"Test unit written to (.+)", text)
        print(f"{target}: FOUND: {found[1] if found else f'exit status {status}'}; what went wrong is in {log}")
    return not status


def main() -> None:
    """Takes the seconds for each target, and optionally the targets."""
    seconds = int(sys.argv[1])
    results = [run(target, seconds) for target in sys.argv[2:] or TARGETS]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
