"""Answers that may be longer than there is room for."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, made_by
from vllm_sse_proxy.families.messages.requests.repairs.token_limits import TokenLimits
from vllm_sse_proxy.families.requests import Facts, Step

REPAIR = TokenLimits()
made = made_by(REPAIR)


ROOM = Facts(room=1000)


def test_no_more_than_there_is_room_for() -> None:
    repairing = REPAIR.repair({"max_tokens": 64000, "model": "m"}, ROOM)
    assert repairing is not None
    assert repairing.body == {"max_tokens": 1000, "model": "m"}
    for limit in (1000, 1, None, "64000", True):
        assert REPAIR.repair({"max_tokens": limit}, ROOM) is None
    assert made(max_tokens=64000) is None, "nobody has said how much room there is"


def test_when() -> None:
    assert REPAIR.step(UNKNOWN) is Step.NEVER
    assert REPAIR.step(ROOM) is Step.LOSSLESS
