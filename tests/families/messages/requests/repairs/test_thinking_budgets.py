"""Budgets of thinking that upstream cannot hold the model to."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, made_by
from vllm_sse_proxy.families.messages.requests.repairs.thinking_budgets import ThinkingBudgets
from vllm_sse_proxy.families.requests import Facts, Step

REPAIR = ThinkingBudgets()
made = made_by(REPAIR)


NONE = (Facts(budgets=False), Facts(harmony=True), Facts(harmony=True, release=(0, 32)))


def test_a_budget_goes_below_the_limit() -> None:
    thinking = {"type": "enabled", "budget_tokens": 4096, "display": "omitted"}
    assert made(max_tokens=2000, thinking=thinking) == {
        "max_tokens": 2000,
        "thinking": {"type": "enabled", "budget_tokens": 1999, "display": "omitted"},
    }


def test_where_no_budget_is_left_the_model_decides() -> None:
    for limit in (1, 1024):
        repaired = made(max_tokens=limit, thinking={"type": "enabled", "budget_tokens": 1024})
        assert repaired == {"max_tokens": limit, "thinking": {"type": "adaptive"}}


def test_where_upstream_has_none_the_model_decides() -> None:
    body = {"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    for facts in NONE:
        repairing = REPAIR.repair(body, facts)
        assert repairing is not None
        assert repairing.body == {"max_tokens": 2000, "thinking": {"type": "adaptive"}}
        assert REPAIR.step(facts) is Step.FIRST
        assert REPAIR.repair({"thinking": {"type": "adaptive"}}, facts) is None


def test_anything_else_stays() -> None:
    assert made(max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1999}) is None
    assert made(max_tokens=2000, thinking={"type": "adaptive"}) is None
    assert made(max_tokens=2000, thinking="on") is None
    assert made(thinking={"budget_tokens": 4096}) is None
    assert REPAIR.step(UNKNOWN) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=True, release=(0, 24))) is Step.LOSSY, "it ignores them"
    assert REPAIR.concerns({"thinking": {"budget_tokens": 1}}, UNKNOWN)
    assert not REPAIR.concerns({"thinking": {"type": "adaptive"}}, UNKNOWN)
    assert not REPAIR.concerns({}, UNKNOWN)
