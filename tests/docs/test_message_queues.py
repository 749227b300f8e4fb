"""The example of `docs/message-queues.md` runs, and prints what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "message-queues.md"


def test_the_example_prints_what_the_page_says(tmp_path: Path) -> None:
    found = re.search(r"```python\n(.+?)```\n\n```\n(.+?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    run = subprocess.run([sys.executable, "-c", found[1]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == (found[2], "")
