"""A deadline has passed: who took too long, and what the client gets, if a response is still possible."""

from __future__ import annotations

from gateway.failures import (
    BODY_TIMEOUT,
    BODY_TOO_SLOW,
    LATE,
    SLOW_CLIENT,
    STALLED,
    TUNNEL_IDLE,
    TUNNEL_STALLED,
    Failure,
    Fault,
)


class Delay:
    """A verdict: why the exchange ends, in a sentence too, and what is held against the instance, if anything is."""

    __slots__ = ("detail", "failure", "fault")

    def __init__(self, failure: Failure, detail: str = "", fault: Fault | None = None) -> None:
        self.failure = failure
        self.detail = detail
        self.fault = fault


def judge_tunnel(is_stuck: bool) -> Delay:
    """Of a tunnel in which nothing moved. `is_stuck`: somebody does not read."""
    return Delay(TUNNEL_STALLED if is_stuck else TUNNEL_IDLE)


def judge_response(is_client_slow: bool) -> Delay:
    """Of a response that has begun. `is_client_slow`: the client does not read it."""
    return Delay(SLOW_CLIENT) if is_client_slow else Delay(STALLED.failure, fault=STALLED)


def judge_request(service: str, is_whole: bool, is_instance_slow: bool, is_silent: bool, rate: int) -> Delay:
    """Of a request without a response. `is_whole`: the instance has all of it.

    `is_instance_slow`: it does not take the body; `is_silent`: no byte of that has come for long; `rate` is what is required of
    it, in bytes a second.
    """
    if is_whole:
        return Delay(LATE.failure, f"service {service} did not respond in time", LATE)
    if is_instance_slow:
        return Delay(LATE.failure, f"service {service} did not accept the request body in time", LATE)
    if is_silent:
        return Delay(BODY_TIMEOUT, "the request body stopped arriving")
    return Delay(BODY_TOO_SLOW, f"the request body arrived at less than {rate} bytes a second")
