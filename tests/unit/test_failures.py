"""The table of failures: what follows from an entry."""

from __future__ import annotations

import re

from gateway.failures import DOWNSTREAM, FAILURES, FAULTS, INTERNAL, UPSTREAM


def test_every_entry_is_found_by_its_code() -> None:
    assert all(failure.code == code and re.fullmatch("[a-z_]+", code) for code, failure in FAILURES.items())
    assert {failure.side for failure in FAILURES.values()} == {DOWNSTREAM, UPSTREAM, INTERNAL}


def test_only_what_a_service_did_counts_against_an_instance() -> None:
    blamed = {code for code, failure in FAILURES.items() if failure.blames_instance}
    assert blamed == {"upstream_closed", "bad_response", "response_timeout", "response_stalled", "truncated"}
    assert {FAILURES[code].side for code in blamed} == {UPSTREAM}


def test_what_has_no_response_of_its_own_closes() -> None:
    assert all(failure.closes for failure in FAILURES.values() if not failure.status)


def test_a_fault_ends_in_a_failure_of_the_table() -> None:
    assert {fault.failure.code for fault in FAULTS.values()} <= FAILURES.keys()
