"""Which final item is the account of which told one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.streams import Json, call, message, reasoning, search, text_part
from vllm_sse_proxy.families.responses.events import Event
from vllm_sse_proxy.families.responses.proof import Proof, agrees, is_half, is_spent, text_of, told_text
from vllm_sse_proxy.families.responses.view import ClientView, ItemView

M_DONE = message(0, "Hi")[1]
C_LIFE, C_DONE = call(0, '{"a": 1}')


def told(*lives: list[Json]) -> list[ItemView]:
    view = ClientView()
    for life in lives:
        for event in life:
            view.apply(Event(event["type"], event))
    return view.items


def test_items_are_matched_by_their_ids() -> None:
    items = told(message(0, "Hi")[0], C_LIFE)
    proof = Proof(items, [{**C_DONE, "arguments": "{}"}, M_DONE])
    assert proof.accounts == {1: {**C_DONE, "arguments": "{}"}, 0: M_DONE}
    assert proof.untold == []


def test_else_by_what_they_say() -> None:
    items = told(message(0, "Hi")[0], message(1, "Yo")[0], C_LIFE)
    finals = [
        {**message(1, "Yo")[1], "id": "a"},
        {**M_DONE, "id": "b"},
        {**C_DONE, "id": "c", "call_id": "d"},
    ]
    assert Proof(items, finals).accounts == {1: finals[0], 0: finals[1], 2: finals[2]}


def test_what_they_say_counts_more_than_an_id_that_was_used_twice() -> None:
    """R12: the second call was announced under the first one's id, so the first has another (invented) one."""
    lyon, paris = '{"city": "Lyon"}', '{"city": "Paris"}'
    items = told(call(0, paris, id_="fc_invented")[0], call(1, lyon, id_="fc_0")[0])
    finals = [call(0, paris, id_="fc_0")[1], call(1, lyon, id_="fc_1")[1]]
    proof = Proof(items, finals)
    assert proof.accounts == {0: finals[0], 1: finals[1]}
    assert proof.untold == []


def test_one_final_item_accounts_for_one_told() -> None:
    items = told(message(0, "Hi")[0])
    proof = Proof(items, [M_DONE, {**M_DONE, "content": [text_part("Other")]}])
    assert proof.accounts == {0: M_DONE}
    assert len(proof.untold) == 1


@pytest.mark.parametrize("output", [None, "x", 7, {}, ["x", 7, None]])
def test_what_is_no_list_of_items_proves_nothing(output: Any) -> None:
    proof = Proof(told(message(0, "Hi")[0]), output)
    assert (proof.accounts, proof.untold) == ({}, [])


def test_a_text_that_was_told_in_several_items_is_told() -> None:
    items = told(message(0, "Hi")[0], message(1, " you")[0])
    assert Proof(items, [{**M_DONE, "id": "x", "content": [text_part("Hi you")]}]).untold == []


def test_the_last_token_alone_is_told_whatever_it_was_taken_for() -> None:
    items = told(reasoning(0, "Hm")[0], reasoning(1, "Well yes")[0])
    assert Proof(items, [{**M_DONE, "id": "x", "content": [text_part(" yes")]}]).untold == []
    final = {**M_DONE, "id": "x", "content": [text_part(" no")]}
    assert Proof(items, [final]).untold == [final]


@pytest.mark.parametrize(
    "said",
    ["\n\nPart one. Part two.", "Part one. </think>\nPart two.<|im_end|>", "Part one.<think>\n\nPart two."],
)
def test_special_tokens_and_white_space_say_nothing(said: str) -> None:
    """R46: one of vLLM's two parses leaves them out."""
    items = told(message(0, "Part one. <think>Part two.")[0])
    final = {**M_DONE, "id": "x", "content": [text_part(said)]}
    proof = Proof(items, [final])
    assert (proof.accounts, proof.untold) == ({0: final}, [])
    words = {**final, "content": [text_part(said + " Three.")]}
    assert Proof(items, [words]).untold == [words]


def test_special_tokens_alone_are_no_account_of_a_text() -> None:
    items = told(message(0, "Hi")[0])
    final = {**M_DONE, "id": "x", "content": [text_part("</think>")]}
    assert Proof(items, [final]).accounts == {}


class TestAgreement:
    @pytest.mark.parametrize(
        ("final", "agreed"),
        [
            (C_DONE, True),
            ({**C_DONE, "name": "other"}, False),
            ({**C_DONE, "arguments": "{}"}, True),
            ({**C_DONE, "call_id": "x"}, True),
            ({**C_DONE, "call_id": "x", "arguments": '{ "a":1 }'}, True),
            ({**C_DONE, "call_id": "x", "arguments": "{}"}, False),
            ({**C_DONE, "call_id": "x", "arguments": "{"}, False),
            ({**C_DONE, "call_id": "x", "arguments": None}, True),
            ({**C_DONE, "call_id": "x", "arguments": '{"a": 1}, "b'}, False),
        ],
    )
    def test_of_calls(self, final: Json, agreed: bool) -> None:  # noqa: FBT001
        (item,) = told(C_LIFE)
        assert agrees(item, final) is agreed

    def test_an_open_item_may_still_grow(self) -> None:
        (item,) = told(call(0, '{"a"')[0][:2])
        assert agrees(item, {**C_DONE, "call_id": "x", "arguments": '{"a": 1}'})
        (item,) = told(message(0, "Hi")[0][:3])
        assert agrees(item, {**M_DONE, "content": [text_part("Hi you")]})
        (item,) = told(message(0, "Hi")[0])
        assert not agrees(item, {**M_DONE, "content": [text_part("Hi you")]})

    def test_kinds_without_names_or_texts(self) -> None:
        (item,) = told(search(0)[0])
        assert agrees(item, {"type": "web_search_call"})
        code = {"id": "c", "type": "code_interpreter_call", "code": ""}
        (item,) = told([{"type": "response.output_item.added", "output_index": 0, "item": code}])
        assert agrees(item, {"type": "code_interpreter_call", "code": "1"})
        mcp = {"id": "c", "type": "mcp_call", "name": "f", "server_label": "s", "arguments": ""}
        (item,) = told([{"type": "response.output_item.added", "output_index": 0, "item": mcp}])
        assert agrees(item, {"type": "mcp_call", "name": "f", "arguments": "{}"})

    @pytest.mark.parametrize(("label", "agreed"), [("fs", True), ("other", False), (None, False)])
    def test_a_tool_of_a_server_is_streamed_with_its_label(self, label: str | None, agreed: bool) -> None:  # noqa: FBT001
        mcp = {"id": "c", "type": "mcp_call", "name": "fs.list", "server_label": "fs", "arguments": ""}
        (item,) = told([{"type": "response.output_item.added", "output_index": 0, "item": mcp}])
        final = {"type": "mcp_call", "name": "list", "server_label": label, "arguments": "{}"}
        assert agrees(item, final) is agreed


class TestHalves:
    @pytest.mark.parametrize(
        ("usage", "limit", "spent"),
        [
            ({"output_tokens": 30}, 30, True),
            ({"output_tokens": 29}, 30, False),
            ({"output_tokens": 30}, None, False),
            ({}, 30, False),
            (None, 30, False),
        ],
    )
    def test_a_response_with_all_its_tokens_is_spent(self, usage: Any, limit: Any, spent: bool) -> None:  # noqa: FBT001
        assert is_spent({"usage": usage, "max_output_tokens": limit}) is spent

    @pytest.mark.parametrize("status", ["in_progress", "incomplete"])
    def test_half_is_what_is_unfinished_when_the_tokens_are_spent(self, status: str) -> None:
        spent = {"usage": {"output_tokens": 5}, "max_output_tokens": 5}
        assert is_half({**M_DONE, "status": status}, spent)
        assert is_half({**C_DONE, "status": status}, spent)
        assert not is_half(M_DONE, spent)

    @pytest.mark.parametrize("status", ["in_progress", "incomplete"])
    def test_before_that_an_unfinished_call_is_half_if_nobody_can_read_it(self, status: str) -> None:
        assert is_half({**C_DONE, "status": status, "arguments": '{"a'}, {})
        assert not is_half({**C_DONE, "status": status}, {})
        assert not is_half({**M_DONE, "status": status}, {})  # a stop string ends a message in the middle


class TestTexts:
    def test_a_told_text_is_that_of_all_parts_or_the_items_own(self) -> None:
        message_, call_ = told(message(0, "Hi", " you")[0], C_LIFE)
        assert told_text(message_) == "Hi you"
        assert told_text(call_) == '{"a": 1}'

    @pytest.mark.parametrize(
        ("content", "text"),
        [
            ([text_part("a"), {"type": "refusal", "refusal": "b"}], "ab"),
            ([{"type": "vendor", "text": "a"}, "x", {}, {"type": "output_text", "text": 7}], ""),
            (None, ""),
        ],
    )
    def test_a_final_text_is_that_of_all_parts(self, content: Any, text: str) -> None:
        assert text_of({"content": content}) == text
