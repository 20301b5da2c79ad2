from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.lost_reasoning import LostReasoning

REPAIR = LostReasoning()


USER = {"role": "user", "content": "Hi"}


def test_an_unknown_thought_is_left_out() -> None:
    body = {"input": [USER, {"type": "item_reference", "id": "rs_1"}]}
    assert body_after(REPAIR, body)["input"] == [USER]


def test_messages_and_calls_are_not() -> None:
    for id_ in ("msg_1", "fc_1", "ws_1", 7, None):
        assert repaired_by(REPAIR, {"input": [USER, {"type": "item_reference", "id": id_}]}) is None


def test_a_known_thought_is_not() -> None:
    body = {"input": [USER, {"type": "item_reference", "id": "rs_1"}]}
    assert repaired_by(REPAIR, body, items={"rs_1": {"type": "reasoning"}}) is None


def test_a_request_is_not_left_without_input() -> None:
    assert repaired_by(REPAIR, {"input": [{"type": "item_reference", "id": "rs_1"}]}) is None
