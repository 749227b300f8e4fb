"""`process_…` metrics: each process by its name, under the names every Prometheus client uses."""

from __future__ import annotations

import os

from gateway.admin.processes import process_metrics

NAMES = {
    "process_virtual_memory_bytes",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_cpu_seconds",
    "process_open_fds",
    "process_max_fds",
}


def test_each_process_has_a_sample_of_each_metric() -> None:
    families = list(process_metrics({"main": os.getpid(), "worker-0": os.getppid()}))
    assert {family.name for family in families} == NAMES
    for family in families:
        assert [sample.labels for sample in family.samples] == [{"process": "main"}, {"process": "worker-0"}]
    [memory] = [family for family in families if family.name == "process_resident_memory_bytes"]
    assert memory.samples[0].value > 1_000_000


def test_a_process_that_is_gone_is_left_out() -> None:
    families = list(process_metrics({"gone": 2**22 + 1, "main": os.getpid()}))
    assert {family.name for family in families} == NAMES
    assert all(sample.labels == {"process": "main"} for family in families for sample in family.samples)
