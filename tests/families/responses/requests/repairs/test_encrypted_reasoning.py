from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.encrypted_reasoning import EncryptedReasoning

REPAIR = EncryptedReasoning()


USER = {"role": "user", "content": "Hi"}
SUMMARY = [{"type": "summary_text", "text": "s"}]
CONTENT = [{"type": "reasoning_text", "text": "t"}]


def thought(**members: object) -> dict[str, object]:
    return {"type": "reasoning", "id": "rs_1", **members}


def test_the_member_goes() -> None:
    for rest in ({"summary": SUMMARY}, {"summary": [], "content": CONTENT}):
        body = {"input": [USER, thought(**rest, encrypted_content="gAAAA")]}
        assert body_after(REPAIR, body)["input"] == [USER, thought(**rest)]


def test_the_item_goes_if_nothing_else_is_in_it() -> None:
    rests: tuple[dict[str, object], ...] = (
        {"summary": []},
        {"summary": [], "content": None},
        {"summary": None, "content": []},
    )
    for rest in rests:
        assert body_after(REPAIR, {"input": [USER, thought(**rest, encrypted_content="g")]})["input"] == [
            USER
        ]


def test_other_items() -> None:
    for item in (
        thought(encrypted_content=None),
        thought(summary=[]),
        {"type": "compaction", "encrypted_content": "g"},
    ):
        assert repaired_by(REPAIR, {"input": [USER, item]}) is None


def test_when() -> None:
    assert REPAIR.step(Facts()) is Step.LOSSLESS
    assert REPAIR.step(Facts(harmony=True)) is Step.LOSSLESS
    assert REPAIR.step(Facts(harmony=True, release=(0, 24))) is Step.NEVER
    assert REPAIR.step(Facts(harmony=False, release=(0, 24))) is Step.LOSSLESS
