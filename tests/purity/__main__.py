"""See `run.py`."""

from __future__ import annotations

import argparse
import random
import sys

import uvloop

from tests.purity.registries import installed
from tests.purity.run import churn

parser = argparse.ArgumentParser(prog="python -m tests.purity", description=__doc__)
parser.add_argument("--seconds", type=float, default=120, help="how long faults are inflicted, on each registry")
parser.add_argument("--seed", type=int, default=random.randrange(10**6))
parser.add_argument("--registry", action="append", choices=["embedded", "consul", "r-nacos"], help="can be repeated")
parser.add_argument("--rate", type=float, default=200, help="requests per second")
given = parser.parse_args()
sys.exit(not uvloop.run(churn(given.registry or installed(), given.seconds, given.seed, given.rate)))
