"""Which final item is the account of which emitted one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.streams import Json, call, message, reasoning, search, text_part
from vllm_sse_proxy.families.responses.final_match import FinalMatch
from vllm_sse_proxy.families.responses.item_texts import emitted_text, text_of
from vllm_sse_proxy.families.responses.outcome import hit_token_limit, is_cut_short
from vllm_sse_proxy.families.responses.view import ClientView
from vllm_sse_proxy.stream.event import Event

M_DONE = message(0, "Hi")[1]
C_LIFE, C_DONE = call(0, '{"a": 1}')


def emitted(*lives: list[Json]) -> ClientView:
    view = ClientView()
    for life in lives:
        for event in life:
            view.apply(Event(event["type"], event))
    return view


def test_items_are_matched_by_their_ids() -> None:
    items = emitted(message(0, "Hi")[0], C_LIFE)
    match = FinalMatch(items, [{**C_DONE, "arguments": "{}"}, M_DONE])
    assert match.accounts == {1: {**C_DONE, "arguments": "{}"}, 0: M_DONE}
    assert match.unsent == []


def test_else_by_what_they_say() -> None:
    items = emitted(message(0, "Hi")[0], message(1, "Yo")[0], C_LIFE)
    finals = [
        {**message(1, "Yo")[1], "id": "a"},
        {**M_DONE, "id": "b"},
        {**C_DONE, "id": "c", "call_id": "d"},
    ]
    assert FinalMatch(items, finals).accounts == {1: finals[0], 0: finals[1], 2: finals[2]}


def test_what_they_say_counts_more_than_an_id_that_was_used_twice() -> None:
    """R12: the second call was announced under the first one's id, so the first has another (invented) one."""
    lyon, paris = '{"city": "Lyon"}', '{"city": "Paris"}'
    items = emitted(call(0, paris, id_="fc_invented")[0], call(1, lyon, id_="fc_0")[0])
    finals = [call(0, paris, id_="fc_0")[1], call(1, lyon, id_="fc_1")[1]]
    match = FinalMatch(items, finals)
    assert match.accounts == {0: finals[0], 1: finals[1]}
    assert match.unsent == []


def test_one_final_item_accounts_for_one_emitted() -> None:
    items = emitted(message(0, "Hi")[0])
    match = FinalMatch(items, [M_DONE, {**M_DONE, "content": [text_part("Other")]}])
    assert match.accounts == {0: M_DONE}
    assert len(match.unsent) == 1


@pytest.mark.parametrize("output", [None, "x", 7, {}, ["x", 7, None]])
def test_what_is_no_list_of_items_proves_nothing(output: Any) -> None:
    match = FinalMatch(emitted(message(0, "Hi")[0]), output)
    assert (match.accounts, match.unsent) == ({}, [])


def test_a_text_that_was_emitted_in_several_items_is_emitted() -> None:
    items = emitted(message(0, "Hi")[0], message(1, " you")[0])
    assert FinalMatch(items, [{**M_DONE, "id": "x", "content": [text_part("Hi you")]}]).unsent == []


def test_the_last_token_alone_is_emitted_whatever_it_was_taken_for() -> None:
    items = emitted(reasoning(0, "Hm")[0], reasoning(1, "Well yes")[0])
    assert FinalMatch(items, [{**M_DONE, "id": "x", "content": [text_part(" yes")]}]).unsent == []
    final = {**M_DONE, "id": "x", "content": [text_part(" no")]}
    assert FinalMatch(items, [final]).unsent == [final]


@pytest.mark.parametrize(
    "said",
    ["\n\nPart one. Part two.", "Part one. </think>\nPart two.<|im_end|>", "Part one.<think>\n\nPart two."],
)
def test_special_tokens_and_white_space_say_nothing(said: str) -> None:
    """R46: one of vLLM's two parses leaves them out."""
    items = emitted(message(0, "Part one. <think>Part two.")[0])
    final = {**M_DONE, "id": "x", "content": [text_part(said)]}
    match = FinalMatch(items, [final])
    assert (match.accounts, match.unsent) == ({0: final}, [])
    words = {**final, "content": [text_part(said + " Three.")]}
    assert FinalMatch(items, [words]).unsent == [words]


def test_special_tokens_alone_are_no_account_of_a_text() -> None:
    items = emitted(message(0, "Hi")[0])
    final = {**M_DONE, "id": "x", "content": [text_part("</think>")]}
    assert FinalMatch(items, [final]).accounts == {}


ARGUMENTS = '{"city": "Rome", "days": "3"}'


@pytest.mark.parametrize(
    "arguments",
    [
        ARGUMENTS,
        '{"days":"3","city":"Rome"}',
        '{"city": "Rome", "days": 3}',
        '{"city": "Rome", "days": null}',
        ARGUMENTS + "\n",
        "{}",
        "",
        ARGUMENTS + ARGUMENTS,
        ARGUMENTS[5:],
        '{"city": "Rome</parameter>", "days": "3"}',
        None,
        7,
    ],
)
@pytest.mark.parametrize(
    "fields", [{}, {"id": "x"}, {"call_id": "x"}, {"id": "x", "call_id": "y"}, {"id": None}]
)
def test_as_many_calls_of_one_name_are_the_same_calls(arguments: object, fields: Json) -> None:
    """Issue 12, K5: whatever their arguments, ids and call_ids say."""
    life, done = call(0, ARGUMENTS)
    final = {**done, "arguments": arguments, **fields}
    match = FinalMatch(emitted(life), [final])
    assert (match.accounts, match.unsent) == ({0: final}, [])


def test_calls_are_the_same_in_their_order() -> None:
    first, second, other = call(0, '{"a": 1}'), call(1, '{"a": 2}'), call(2, "{}", name="get_time")
    finals: list[Json] = [
        {**done, "id": f"x{index}", "call_id": f"y{index}", "arguments": f'{{"b": {index}}}'}
        for index, (_, done) in enumerate((first, second, other))
    ]
    match = FinalMatch(emitted(first[0], second[0], other[0]), finals)
    assert (match.accounts, match.unsent) == (dict(enumerate(finals)), [])
    more = {**finals[2], "id": "x3", "call_id": "y3"}
    assert FinalMatch(emitted(first[0], second[0], other[0]), [*finals, more]).unsent == [more]


def test_a_call_that_is_there_twice_is_one_call() -> None:
    life, done = call(0, "{}")
    assert FinalMatch(emitted(life), [done, done]).unsent == []
    assert FinalMatch(emitted(), [done, {**done, "id": "x"}, {**done, "call_id": "y"}]).unsent == [done]
    again = {**done, "id": "x", "call_id": "y"}
    assert FinalMatch(emitted(), [done, again]).unsent == [done, again]


def test_two_calls_with_one_call_id_are_two_calls() -> None:
    first, second = call(0, '{"a": 1}')[1], {**call(0, '{"a": 2}')[1], "id": "x"}
    assert FinalMatch(emitted(), [first, second]).unsent == [first, second]


def test_a_call_of_another_name_is_the_same_where_it_would_run_twice() -> None:
    """Issue 12, K5. But a name that no tool has is run by nobody (0.18.1 cuts names)."""
    life, _ = call(0, "{}", name="get")
    final = {**call(0, "{}", name="get_weather")[1], "id": "x", "call_id": "y"}
    assert FinalMatch(emitted(life), [final]).unsent == []
    view = emitted(life)
    view.response = {"tools": [{"type": "function", "name": "get_weather"}]}
    assert FinalMatch(view, [final]).unsent == [final]
    view.response = {
        "tools": [{"type": "namespace", "name": "n", "tools": [{"name": "get"}, 7]}, {"name": 7}]
    }
    assert FinalMatch(view, [final]).unsent == []


def test_a_cut_call_goes_on_in_the_call_with_its_beginning() -> None:
    lost, cut = call(0, '{"city": "Lyon"}'), call(1, '{"city": "Pa')
    finals = [
        {**done, "id": f"x{i}", "call_id": f"y{i}"}
        for i, done in enumerate([lost[1], call(1, '{"city": "Paris"}')[1]])
    ]
    match = FinalMatch(emitted(cut[0][:2]), finals)
    assert (match.accounts, match.unsent) == ({0: finals[0]}, [finals[1]])
    match = FinalMatch(emitted(call(0, '{"city": "Ni')[0][:2], cut[0][:2]), [finals[1]])
    assert match.accounts == {1: finals[1]}


def test_an_open_item_may_still_grow() -> None:
    final = {**M_DONE, "id": "x", "content": [text_part("Hi you")]}
    assert FinalMatch(emitted(message(0, "Hi")[0][:3]), [final]).accounts == {0: final}
    closed = FinalMatch(emitted(message(0, "Hi")[0]), [final])
    assert (closed.accounts, closed.unsent) == ({}, [final])


MCP: Json = {"id": "c", "type": "mcp_call", "name": "f", "server_label": "s", "arguments": ""}


@pytest.mark.parametrize(
    ("item", "final"),
    [
        (search(0)[1], {"type": "web_search_call"}),
        (search(0)[1], {"type": "web_search_call", "id": "x"}),
        (
            {"id": "c", "type": "code_interpreter_call", "code": ""},
            {"type": "code_interpreter_call", "code": "1"},
        ),
        (MCP, {"type": "mcp_call", "name": "f", "arguments": "{}"}),
        ({**MCP, "name": "fs.list"}, {**MCP, "id": "x", "name": "list", "server_label": "fs"}),
        ({"id": "v", "type": "vendor"}, {"id": "v", "type": "vendor"}),
    ],
)
def test_kinds_without_names_or_texts(item: Json, final: Json) -> None:
    view = emitted([{"type": "response.output_item.added", "output_index": 0, "item": item}])
    match = FinalMatch(view, [final])
    assert (match.accounts, match.unsent) == ({0: final}, [])
    assert FinalMatch(view, [final, {**final, "id": "y"}]).unsent == [{**final, "id": "y"}]


@pytest.mark.parametrize("label", ["other", None])
def test_a_tool_of_another_server_is_another_call(label: str | None) -> None:
    """R47: the stream puts the label of an MCP server before its tools' names."""
    item = {**MCP, "name": "fs.list", "server_label": "fs"}
    final = {"type": "mcp_call", "name": "list", "server_label": label, "arguments": "{}"}
    view = emitted([{"type": "response.output_item.added", "output_index": 0, "item": item}])
    assert FinalMatch(view, [final]).unsent == [final]


def test_an_item_of_a_server_that_is_there_twice_is_one_item() -> None:
    first = search(0)[1]
    match = FinalMatch(emitted(search(0)[0]), [first, dict(first), {**first, "status": "failed"}])
    assert match.accounts == {0: first}
    assert match.unsent == [{**first, "status": "failed"}]


def test_an_equal_text_counts_more_than_the_beginning_of_it_under_the_id() -> None:
    """The announcement of the second was lost, so its text came under the first."""
    finals = [reasoning(0, "Hmm")[1], reasoning(1, "Hmm again")[1]]
    match = FinalMatch(emitted(reasoning(0, "Hmm", " again")[0]), finals)
    assert (match.accounts, match.unsent) == ({0: finals[1]}, finals[:1])


class TestLostPieces:
    """K9: a delta that upstream lost does not make its own final text another answer."""

    @pytest.mark.parametrize("said", ["The answer is 42.", "No, it cannot be known."])
    def test_a_text_that_lacks_its_beginning_is_sent_whole(self, said: str) -> None:
        """Nothing can be put before what a client has, and nothing that upstream has said may be lost."""
        final = message(0, said)[1]
        assert FinalMatch(emitted(message(0, "answer", " is 42.")[0]), [final]).unsent == [final]

    def test_parts_that_were_sent_whole_are_not_sent_again(self) -> None:
        life, done = message(0, "0")
        place = {"item_id": "msg_0", "output_index": 0, "content_index": 1}
        second = [
            {"type": "response.content_part.added", **place, "part": text_part("")},
            {"type": "response.output_text.delta", **place, "delta": "See.", "logprobs": []},
        ]
        others = [7, {"type": "refusal"}]
        final = {**done, "content": [text_part("A long answer."), text_part("See."), *others]}
        match = FinalMatch(emitted([*life[:-1], *second]), [final])
        rest = [text_part("A long answer."), *others]
        assert match.unsent == [{**final, "content": rest}]
        other = {**final, "id": "msg_other"}
        match = FinalMatch(emitted([*life[:-1], *second]), [other, message(1, "Hi")[1], other])
        assert match.unsent == [{**other, "content": rest}, message(1, "Hi")[1]]
        alone = {**other, "content": [text_part("A See."), text_part("B")]}
        assert FinalMatch(emitted([*life[:-1], *second]), [alone]).unsent == [alone]

    def test_what_was_sent_as_a_beginning_is_not_sent_again(self) -> None:
        final = message(0, "Yes, and there is much more to say.")[1]
        match = FinalMatch(emitted(message(0, "Yes,")[0]), [final])
        assert match.unsent == [{**final, "content": [text_part(" and there is much more to say.")]}]

    def test_parts_in_another_order_are_the_same_parts(self) -> None:
        life, done = message(0, "One.")
        place = {"item_id": "msg_0", "output_index": 0, "content_index": 1}
        second = [
            {"type": "response.content_part.added", **place, "part": text_part("")},
            {"type": "response.output_text.delta", **place, "delta": "Two.", "logprobs": []},
        ]
        final = {**done, "content": [text_part("Two."), text_part("One.")]}
        assert FinalMatch(emitted([*life[:-1], *second]), [final]).unsent == []


class TestEarlierTexts:
    """Issue 12, K9: a final answer that is a part of an earlier text, or equal to one, is still an answer."""

    @pytest.mark.parametrize("said", ["yes", "I will answer yes or no."])
    @pytest.mark.parametrize("ids", [("msg_0", "y"), ("x", "y"), ("", "")])
    def test_what_is_matched_is_used_up(self, said: str, ids: tuple[str, str]) -> None:
        life, done = message(0, "I will answer yes or no.")
        answer = {**done, "id": ids[1], "content": [text_part(said)]}
        match = FinalMatch(emitted(life), [{**done, "id": ids[0]}, answer])
        assert match.unsent == [answer]

    def test_what_is_beyond_a_match_is_not(self) -> None:
        life, done = message(0, "One. Two.")
        parts = [
            {**done, "id": id_, "content": [text_part(text)]} for id_, text in (("a", "One."), ("b", "Two."))
        ]
        assert FinalMatch(emitted(life), parts).unsent == []

    def test_a_repeated_final_text_is_one(self) -> None:
        _, done = message(0, "Hi")
        assert FinalMatch(emitted(), [done, done]).unsent == [done]
        assert FinalMatch(emitted(), [done, {**done, "id": "x"}]).unsent == [done, {**done, "id": "x"}]


class TestShapes:
    @pytest.mark.parametrize(
        "content",
        [
            "Hi there",
            ["Hi there"],
            [{"type": "text", "text": "Hi there"}],
            [{"type": "input_text", "text": "Hi there"}],
            [{"type": "vendor", "x": 1}, {"type": "output_text", "text": "Hi there"}],
            [{"type": "vendor", "x": 1}, {"type": "text", "text": "Hi there"}],
            [{"text": "Hi there"}],
        ],
    )
    def test_a_text_in_a_chats_shape_is_a_text(self, content: Any) -> None:
        life, done = message(0, "Hi there")
        final = {**done, "id": "x", "content": content}
        assert FinalMatch(emitted(life), [final]).unsent == []
        (unsent,) = FinalMatch(emitted(), [final]).unsent
        assert text_of(unsent) == "Hi there"

    @pytest.mark.parametrize("content", ["", [], None, 7])
    def test_what_says_nothing_is_nothing(self, content: Any) -> None:
        assert FinalMatch(emitted(), [{**M_DONE, "content": content}]).unsent == []

    def test_reasoning_too(self) -> None:
        life, done = reasoning(0, "Hm")
        assert FinalMatch(emitted(life), [{**done, "id": "x", "content": "Hm"}]).unsent == []

    def test_a_summary_beside_what_was_sent_is_no_other_item(self) -> None:
        life, done = reasoning(0, "Hm")
        final = {**done, "summary": [{"type": "summary_text", "text": "Sum"}]}
        match = FinalMatch(emitted(life), [final])
        assert (match.accounts, match.unsent) == ({0: final}, [])

    @pytest.mark.parametrize("summary", ["", "Sum"])
    def test_a_thought_that_came_under_anothers_id_is_not_sent_again(self, summary: str) -> None:
        """The announcement of the second item was lost, so its text came as the first one's (issue 12, K9)."""
        thought, done = reasoning(0, "Hm")
        place = {"item_id": "rs_0", "output_index": 0, "summary_index": 0}
        part = {"type": "summary_text", "text": ""}
        life: list[Json] = [
            thought[0],
            {"type": "response.reasoning_summary_part.added", **place, "part": part},
            {"type": "response.reasoning_summary_text.delta", **place, "delta": summary},
            *thought[1:],
        ]
        first = {**done, "summary": [{**part, "text": summary}], "content": []}
        second = {**done, "id": "rs_1"}
        assert FinalMatch(emitted(life), [first, second]).unsent == []

    def test_one_text_is_the_account_of_one_item(self) -> None:
        """An item that says the same as its summary and as its content still is one item."""
        thought = reasoning(0, "Hm")[0][:-1]
        place = {"item_id": "rs_0", "output_index": 0, "summary_index": 0}
        part = {"type": "summary_text", "text": ""}
        life: list[Json] = [
            thought[0],
            {"type": "response.reasoning_summary_part.added", **place, "part": part},
            {"type": "response.reasoning_summary_text.delta", **place, "delta": "Hm"},
            *thought[1:],
        ]
        finals = [{**reasoning(0, "Hm")[1], "id": id_} for id_ in ("x", "y")]
        match = FinalMatch(emitted(life), finals)
        assert (match.accounts, match.unsent) == ({0: finals[0]}, [finals[1]])

    def test_a_search_without_end_is_given_up(self) -> None:
        """Issue 12, K11: beyond its budget a text counts as unsent."""
        view = emitted(message(0, "x" * 100)[0], message(1, "y" * 100 + "z")[0])
        others = [{**M_DONE, "id": f"o{n}", "content": [text_part(f"{n:0200}")]} for n in range(400)]
        last = {**M_DONE, "id": "last", "content": [text_part("y" * 100)]}
        assert FinalMatch(view, [*others, last]).unsent == [*others, last]
        assert FinalMatch(view, [*others[:9], last]).unsent == others[:9]

    @pytest.mark.parametrize(
        "said", ['[{"name": "get_weather", "why": "{}"}]', '[{"name": "get_weather"}] Done.']
    )
    def test_a_text_that_says_more_than_forced_calls_is_a_text(self, said: str) -> None:
        final = {**M_DONE, "id": "x", "content": [text_part(said)]}
        assert FinalMatch(emitted(call(0, "{}")[0]), [final]).unsent == [final]


class TestLast:
    def test_what_stands_last_in_both_accounts(self) -> None:
        first, second = message(0, "Hi"), message(1, "Ho")
        view = emitted(first[0], second[0])
        match = FinalMatch(view, [first[1], second[1]])
        assert not match.is_last(view.items[0])
        assert match.is_last(view.items[1])

    def test_an_unsent_item_comes_after_what_stands_before_it(self) -> None:
        """Issue 12, K3: 0.32 and 0.33 harmony, cut in a call that was never streamed."""
        life, done = reasoning(0, "Hm")
        view = emitted(life)
        assert not FinalMatch(view, [done, call(1, '{"a')[1]]).is_last(view.items[0])
        assert FinalMatch(view, [call(1, '{"a')[1], done]).is_last(view.items[0])

    def test_what_no_final_item_accounts_for_was_cut_or_came_before(self) -> None:
        view = emitted(call(0, '{"a')[0][:2])
        match = FinalMatch(view, [M_DONE])
        assert not match.is_last(view.items[0])
        assert match.is_last(view.items[0], was_cut=True)
        assert FinalMatch(view, []).is_last(view.items[0])


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
    def test_a_response_with_all_its_tokens_hit_the_limit(self, usage: Any, limit: Any, spent: bool) -> None:  # noqa: FBT001
        assert hit_token_limit({"usage": usage, "max_output_tokens": limit}) is spent

    @pytest.mark.parametrize("status", ["in_progress", "incomplete"])
    def test_half_is_what_is_unfinished_when_the_tokens_are_spent(self, status: str) -> None:
        spent = {"usage": {"output_tokens": 5}, "max_output_tokens": 5}
        assert is_cut_short({**M_DONE, "status": status}, spent)
        assert is_cut_short({**C_DONE, "status": status}, spent)
        assert not is_cut_short(M_DONE, spent)

    @pytest.mark.parametrize("status", ["in_progress", "incomplete"])
    def test_before_that_an_unfinished_call_is_cut_short_if_nobody_can_read_it(self, status: str) -> None:
        assert is_cut_short({**C_DONE, "status": status, "arguments": '{"a'}, {})
        assert not is_cut_short({**C_DONE, "status": status}, {})
        assert not is_cut_short(
            {**M_DONE, "status": status}, {}
        )  # a stop string ends a message in the middle


class TestTexts:
    def test_a_emitted_text_is_that_of_all_parts_or_the_items_own(self) -> None:
        message_, call_ = emitted(message(0, "Hi", " you")[0], C_LIFE).items
        assert emitted_text(message_) == "Hi you"
        assert emitted_text(call_) == '{"a": 1}'

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
