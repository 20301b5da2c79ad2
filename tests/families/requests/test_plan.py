"""The planner of a family whose answers need nothing converted back."""

from __future__ import annotations

from vllm_sse_proxy.families.requests import Facts, RequestAttempts, RequestPlanner, Step

PLANNER = RequestPlanner(())


def test_nothing_is_converted() -> None:
    body = {"model": "m"}
    repairing = PLANNER.repaired(body, Facts(), Step.LOSSY)
    assert (repairing.body, repairing.names, repairing.tools) == (body, (), ())
    assert PLANNER.conversion(body, repairing) is None
    assert PLANNER.with_conversion(body, None) is body


def test_a_request_that_needs_nothing_goes_as_it_came() -> None:
    raw = b'{"model": "m"}'
    attempts = RequestAttempts(PLANNER, raw, {"model": "m"}, Facts())
    assert attempts.first().body is raw
    assert attempts.after(400, b'{"error": {}}') is None
    assert attempts.decisive == 0
