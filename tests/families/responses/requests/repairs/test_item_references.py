from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.item_references import ItemReferences

REPAIR = ItemReferences()


ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
ITEMS = {"msg_1": ITEM}


def reference(id_: object) -> dict[str, object]:
    return {"type": "item_reference", "id": id_}


def test_a_known_item_takes_its_place() -> None:
    user = {"role": "user", "content": "Hi"}
    assert body_after(REPAIR, {"input": [user, reference("msg_1"), user]}, items=ITEMS)["input"] == [
        user,
        ITEM,
        user,
    ]


def test_a_reference_may_be_an_id_alone() -> None:
    assert body_after(REPAIR, {"input": [{"id": "msg_1"}]}, items=ITEMS)["input"] == [ITEM]


def test_an_item_that_is_referenced_and_sent_is_kept_once() -> None:
    assert body_after(REPAIR, {"input": [ITEM, reference("msg_1")]}, items=ITEMS)["input"] == [ITEM]
    assert body_after(REPAIR, {"input": [reference("msg_1"), ITEM]})["input"] == [ITEM]
    assert body_after(REPAIR, {"input": [reference("msg_1"), reference("msg_1")]}, items=ITEMS)["input"] == [
        ITEM
    ]


def test_an_unknown_item_is_not_made_up() -> None:
    assert repaired_by(REPAIR, {"input": [reference("msg_2"), reference(7), "?"]}, items=ITEMS) is None
    mixed = {"input": [reference("msg_2"), reference("msg_1")]}
    assert body_after(REPAIR, mixed, items=ITEMS)["input"] == [reference("msg_2"), ITEM]


def test_a_text() -> None:
    assert repaired_by(REPAIR, {"input": "Hi"}, items=ITEMS) is None
