from __future__ import annotations

from typing import Any

import pytest

from vllm_sse_proxy.families.responses.requests import ItemMemory, owner_of, references

ALICE, BOB = owner_of(b"Bearer alice"), owner_of(b"Bearer bob")


def item(id_: str, text: str = "hi") -> dict[str, Any]:
    return {"type": "message", "id": id_, "content": [{"type": "output_text", "text": text}]}


def test_what_was_kept_is_found() -> None:
    memory = ItemMemory()
    kept = item("msg_1")
    memory.keep(ALICE, kept, 0)
    kept["content"] = "changed afterwards"
    assert memory.find(ALICE, ["msg_1", "msg_2"], 1) == {"msg_1": item("msg_1")}


def test_nobody_finds_the_items_of_another() -> None:
    memory = ItemMemory()
    memory.keep(ALICE, item("msg_1", "secret"), 0)
    memory.keep(BOB, item("msg_1", "own"), 0)
    assert memory.find(BOB, ["msg_1"], 1) == {"msg_1": item("msg_1", "own")}
    assert memory.find(owner_of(b""), ["msg_1"], 1) == {}
    assert len({ALICE, BOB, owner_of(b""), owner_of(b"Bearer alice ")}) == 4


def test_the_same_id_again() -> None:
    memory = ItemMemory()
    memory.keep(ALICE, item("msg_1", "a"), 0)
    size = memory.size
    memory.keep(ALICE, item("msg_1", "b"), 1)
    assert (len(memory), memory.size) == (1, size)
    assert memory.find(ALICE, ["msg_1"], 2) == {"msg_1": item("msg_1", "b")}


def test_it_is_bounded_in_bytes() -> None:
    memory = ItemMemory(max_bytes=10_000)
    for number in range(100):
        memory.keep(ALICE, item(f"msg_{number}", "x" * 500), number)
        assert memory.size <= 10_000
    assert 5 < len(memory) < 20
    assert memory.find(ALICE, ["msg_0"], 99) == {}
    assert memory.find(ALICE, ["msg_99"], 99)
    memory.keep(ALICE, item("msg_huge", "x" * 20_000), 99)
    assert memory.find(ALICE, ["msg_huge"], 99) == {}
    assert memory.find(ALICE, ["msg_99"], 99), "one that is too large drives nothing out"


def test_it_is_bounded_in_time() -> None:
    memory = ItemMemory(max_age_seconds=10)
    memory.keep(ALICE, item("msg_1"), 0)
    assert memory.find(ALICE, ["msg_1"], 9)
    assert memory.find(ALICE, ["msg_1"], 10) == {}
    memory.keep(ALICE, item("msg_2"), 11)
    assert len(memory) == 1
    assert memory.size < 600


def test_nothing_is_kept_if_so_wished() -> None:
    memory = ItemMemory(max_bytes=0)
    memory.keep(ALICE, item("msg_1"), 0)
    assert (len(memory), memory.size) == (0, 0)
    memory = ItemMemory(max_age_seconds=0)
    memory.keep(ALICE, item("msg_1"), 0)
    assert (len(memory), memory.size) == (0, 0)


@pytest.mark.parametrize("strange", [None, [], {}, {"id": 1}, {"id": ""}, {"id": "a", "text": "\ud83d"}])
def test_what_cannot_be_kept(strange: Any) -> None:
    memory = ItemMemory()
    memory.keep(ALICE, strange, 0)
    assert len(memory) == 0


def test_references_of_a_request() -> None:
    named = {"type": "item_reference", "id": "rs_1"}
    body = {
        "input": [
            named,
            {"id": "msg_1"},
            named,
            {"type": "item_reference"},
            {"type": "message", "id": "m"},
            "?",
        ]
    }
    assert references(body) == ["rs_1", "msg_1"]
    assert references({"input": "Hi"}) == []
    assert references({}) == []
