"""The final output is what was streamed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, call, message, reasoning, search, summary, text_part, whole

M_LIFE, M_DONE = message(0, "Hi")
C_LIFE, C_DONE = call(0, "{}")
S_LIFE, S_DONE = search(0)


@pytest.mark.parametrize(
    "output", [None, [], "x", [7], [{**M_DONE, "id": "msg_x"}], [{**M_DONE, "status": "incomplete"}]]
)
def test_the_streamed_items_are_the_output(output: Any) -> None:
    end = terminal()
    end["response"]["output"] = output
    made = repaired(opened(*M_LIFE, end))
    assert made.output == [M_DONE]
    assert made.repairs["final_output"] == 1


def test_a_call_keeps_the_ids_that_were_streamed() -> None:
    final = {**C_DONE, "id": "fc_x", "call_id": "chatcmpl-tool-1"}
    assert repaired(opened(*C_LIFE, terminal(final))).output == [C_DONE]


def test_the_order_is_that_of_the_stream() -> None:
    life, done = call(1, "{}")
    assert repaired(opened(*M_LIFE, *life, terminal(done, M_DONE))).output == [M_DONE, done]


def test_what_only_the_final_item_knows_is_kept() -> None:
    final = {**S_DONE, "action": {"type": "search", "query": "q", "sources": []}}
    assert repaired(opened(*S_LIFE, terminal(final))).output == [final]
    note = {**C_DONE, "id": "fc_x", "namespace": "n"}
    assert repaired(opened(*C_LIFE, terminal(note))).output == [{**C_DONE, "namespace": "n"}]


def test_null_logprobs_become_those_of_the_stream() -> None:
    final = {**M_DONE, "content": [{**text_part("Hi"), "logprobs": None}]}
    assert repaired(opened(*M_LIFE, terminal(final))).output == [M_DONE]


def test_an_item_that_became_another_type_stays_what_was_streamed() -> None:
    final = {**reasoning(0, "print(1)")[1], "id": "ws_0"}
    made = repaired(opened(*S_LIFE, terminal(final)))
    assert made.output[0] == S_DONE


def test_right_output_stays() -> None:
    assert untouched(whole(message(0, "Hi"), reasoning(1, "Hm"), summary(2, "Hm"), call(3, "{}"), search(4)))


def test_what_openai_lets_differ_may_differ() -> None:
    life, done = summary(0, "Hm")
    streamed: Json = {**done, "encrypted_content": "abc"}
    assert untouched(
        opened(*life[:5], {**life[5], "item": streamed}, terminal({**done, "encrypted_content": "def"}))
    )


def test_a_call_that_was_streamed_does_not_become_text() -> None:
    """0.24.0, `tool_choice: allowed_tools` (R39)."""
    life, done = call(0, '{"city": "Paris"}')
    raw = message(0, '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>')[1]
    made = repaired(opened(*life, terminal(raw)))
    assert made.output == [done]
    assert made.body.count("output_item.added") == 1


RAW = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
OTHER = RAW.replace("Paris", "Rome")
LONGER = RAW.replace("</tool_call>", "\nand more</tool_call>")


@pytest.mark.parametrize(
    ("final", "texts"),
    [
        (f"{RAW}\n", []),
        (f"<tool_call>{RAW}", []),
        (f"{RAW}\nMiddle.\n", ["\nMiddle.\n"]),
        (f'{RAW}Middle.<tool_call>\n{{"name', ['Middle.<tool_call>\n{"name']),
        (f"{RAW}{RAW}", [RAW]),  # called once only
        (OTHER, [OTHER]),
        (LONGER, [LONGER]),
    ],
)
def test_what_stands_beside_a_streamed_call_is_emitted(final: str, texts: list[str]) -> None:
    """0.24.0 (R39): the raw text of the call goes, all other words stay."""
    life, done = call(0, '{"city": "Paris"}')
    made = repaired(opened(*life, terminal(message(0, final)[1])))
    assert made.output[0] == done
    assert [item["content"][0]["text"] for item in made.output[1:]] == texts


@pytest.mark.parametrize(
    ("raw", "texts"),
    [
        ('<tool_call>\n{"name": "get_weather', []),
        ('<tool_call>\n{"name": "get_weather", "arguments": ', []),
        (
            '<tool_call>\n{"name": "get_weather": {" and more',
            ['<tool_call>\n{"name": "get_weather": {" and more'],
        ),
    ],
)
def test_a_call_that_was_cut_before_its_arguments_is_emitted_once(raw: str, texts: list[str]) -> None:
    life, _ = call(0, "")
    made = repaired(opened(life[0], terminal(message(0, raw)[1], name="incomplete")))
    assert [item["content"][0]["text"] for item in made.output[1:]] == texts


def test_a_call_closed_with_empty_arguments_is_emitted_once() -> None:
    """0.24.0: a call cut after its name may be closed with `{}`."""
    life, done = call(0, "{}")
    raw = message(0, '<tool_call>\n{"name": "get_weather",', id_="msg_x")[1]
    made = repaired(opened(*life, terminal(raw, name="incomplete")))
    assert [item["id"] for item in made.output] == [done["id"]]
    longer = message(0, '<tool_call>\n{"name": "get_weather", and more', id_="msg_x")[1]
    made = repaired(opened(*life, terminal(longer, name="incomplete")))
    assert [item["id"] for item in made.output] == [done["id"], "msg_x"]


def test_a_call_that_was_streamed_does_not_become_reasoning() -> None:
    """0.24.0 to 0.28.0 without thinking (R45): all that was streamed is raw text in one reasoning item."""
    life, done = call(0, '{"city": "Paris"}')
    made = repaired(opened(*life, terminal(reasoning(0, RAW)[1])))
    assert made.output == [done]
    assert made.body.count("output_item.added") == 1


@pytest.mark.parametrize(
    ("final", "texts"),
    [
        ('[{"name": "get_weather", "parameters": {"city": "Pa', []),
        ('{"city": "Pa', []),
        ('[{"name": "get_weather", "parameters": {"city": "Pa and more', ["and more"]),
        ('[{"name": "get_time", "parameters": {}}]', ["get_time"]),
    ],
)
def test_a_forced_call_that_was_cut_is_emitted_once(final: str, texts: list[str]) -> None:
    """0.22.1, `tool_choice: required` without thinking (R45)."""
    life, _ = call(0, '{"city": "Pa')
    made = repaired(opened(*life, terminal(reasoning(0, final, id_="rs_x")[1], name="incomplete")))
    emitted = [item["content"][0]["text"] for item in made.output[1:]]
    assert len(emitted) == len(texts)
    assert all(word in text for word, text in zip(texts, emitted, strict=True))


def test_the_words_beside_it_are_emitted_as_a_message() -> None:
    before, said = message(0, "Before.\n")
    life, done = call(1, '{"city": "Paris"}')
    final = reasoning(0, f"Before.\n{RAW}\nAfter.", id_="rs_x")[1]
    made = repaired(opened(*before, *life, terminal(final)))
    assert made.output[:2] == [said, done]
    (emitted,) = made.output[2:]
    assert (emitted["type"], emitted["status"], emitted["content"][0]["text"]) == (
        "message",
        "completed",
        "\nAfter.",
    )
    assert emitted["id"].startswith("msg_")
    assert made.values("output_text.delta", "delta") == ["Before.\n", "\nAfter."]


def test_text_streamed_before_a_call_is_not_emitted_again_with_it() -> None:
    before, said = message(0, "Before.\n")
    life, done = call(1, '{"city": "Paris"}')
    made = repaired(opened(*before, *life, terminal(message(0, f"Before.\n{RAW}", id_="msg_x")[1])))
    assert made.output == [said, done]


def test_a_message_about_another_call_is_emitted() -> None:
    life, done = call(0, '{"city": "Paris"}')
    text = message(1, "I asked get_weather about Rome.")[1]
    assert repaired(opened(*life, terminal(text))).output == [done, text]
    quoting = message(1, 'get_weather {"city": "Paris"}')[1]
    assert repaired(opened(*life, terminal(done, quoting))).output == [done, quoting]


def test_messages_of_white_space_keep_their_place() -> None:
    """0.24.0 leaves them out (R38)."""
    space, space_done = message(0, "\n\n")
    life, done = call(1, "{}")
    assert repaired(opened(*space, *life, terminal({**done, "call_id": "call_x"}))).output == [
        space_done,
        done,
    ]


def test_a_message_does_not_become_reasoning() -> None:
    """0.24.0 without thinking (R40)."""
    made = repaired(opened(*M_LIFE, terminal(reasoning(0, "Hi")[1])))
    assert made.output == [M_DONE]


def test_the_status_is_that_of_the_stream() -> None:
    """Harmony says null of reasoning (R42)."""
    life, done = reasoning(0, "Hm")
    assert repaired(opened(*life, terminal({**done, "status": None}))).output == [done]


def test_a_call_that_was_closed_too_early_is_whole() -> None:
    first_life, first = call(0, '{"a"')
    second_life, second = call(1, "{}")
    whole_call = {**first, "arguments": '{"a": 1}'}
    made = repaired(opened(*first_life, *second_life, terminal(whole_call, second)))
    assert made.output == [whole_call, second]
    assert [event["item"] for event in made.all("output_item.done")] == [whole_call, second]
    unreadable = str({"a": "other"})
    made = repaired(opened(*first_life, *second_life, terminal({**first, "arguments": unreadable}, second)))
    assert made.output == [first, second]


def test_what_was_emitted_as_a_summary_is_not_emitted_again_as_content() -> None:
    life, done = summary(0, "1")
    said = {
        "id": "rs_x",
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "1"}],
    }
    made = repaired(opened(*life, terminal(said)))
    assert made.output == [done]
