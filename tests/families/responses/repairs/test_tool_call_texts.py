"""A call that is streamed as text is emitted as the call that it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.call_texts import SAMPLES
from tests.support.repairing import Repaired, opened, repaired, terminal, untouched
from tests.support.streams import (
    Json,
    call,
    cut,
    message,
    numbered,
    reasoning,
    response,
    text_part,
    whole,
    wire,
)
from vllm_sse_proxy import BodyEnd, StreamNormalizer, build_plan
from vllm_sse_proxy.families.responses.call_markers import MARKERS, Follow, Marker, find_call
from vllm_sse_proxy.families.responses.echo import Echo
from vllm_sse_proxy.stream.settings import MAX_HELD_EVENTS

TOOLS = [{"type": "function", "name": "get_weather", "parameters": {}, "strict": True}]
CALL = call(1, '{"city": "Paris"}')[1]
HERMES = '<tool_call>{"name": "get_weather", "arguments": {"city": "Rome"}}</tool_call>'
TEXT = '<tool_call>\n{"name": "get_weather"}\n</tool_call>'


def stream(*events: Json, **asked: Any) -> list[Json]:
    """Return a stream whose request had tools."""
    fields: dict[str, Any] = {"tools": TOOLS, **asked}
    return [
        {"type": f"response.{name}", "response": response(**fields)} for name in ("created", "in_progress")
    ] + list(events)


def emitted(*pieces: str, final: tuple[Json, ...] | None = None, **asked: Any) -> Repaired:
    """Send a message of these pieces; the terminal event holds the call, unless `final` says otherwise."""
    life, done = message(0, *pieces)
    items = (CALL,) if final is None else final
    if final == ():
        items = (done,)
    return repaired(stream(*life, terminal(*items), **asked))


def texts(made: Repaired) -> str:
    return "".join(made.values("output_text.delta", "delta"))


@pytest.mark.parametrize(
    "pieces",
    [
        ["Let me see.", TEXT],
        ["Let me see.", TEXT[:4], TEXT[4:20], TEXT[20:]],
        [f"Let me see.{TEXT}"],
        [f"Let me see.{TEXT[:5]}", TEXT[5:]],
    ],
)
def test_the_text_before_it_is_emitted_and_then_the_call(pieces: list[str]) -> None:
    made = emitted(*pieces)
    assert texts(made) == "Let me see."
    assert [item["type"] for item in made.output] == ["message", "function_call"]
    assert made.output[1] == CALL
    assert made.repairs["tool_call_texts"] >= 1


def test_a_marker_may_come_letter_by_letter() -> None:
    assert texts(emitted("Let me see.", *TEXT)) == "Let me see."


@pytest.mark.parametrize(
    "pieces", [["a <", "b"], ["a <tool", "box>"], ["[1", "]"], ["<", "<", "<"], ["{}"], ["x <tool_"]]
)
def test_what_is_no_call_is_emitted_as_it_came(pieces: list[str]) -> None:
    made = emitted(*pieces, final=())
    assert texts(made) == "".join(pieces)
    assert made.output[0]["content"] == [text_part("".join(pieces))]
    assert "tool_call_texts" not in made.repairs


def test_a_call_that_the_final_output_does_not_hold_is_the_text_that_it_was() -> None:
    made = emitted("Like ", TEXT, final=())
    assert texts(made) == f"Like {TEXT}"


def test_so_it_is_when_the_body_breaks() -> None:
    life, _ = message(0, "Like ", TEXT)
    made = repaired(stream(*life[:4]), end=BodyEnd.CUT)
    assert texts(made) == f"Like {TEXT}"


def test_without_tools_nothing_is_held() -> None:
    life, done = message(0, TEXT)
    events = whole((life, done))
    assert texts(repaired(events)) == TEXT
    assert texts(emitted(TEXT, tools=[])) == TEXT


def test_json_that_nobody_forced_is_text() -> None:
    assert texts(emitted('{"a": 1}')) == '{"a": 1}'


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
def test_a_forced_call_begins_with_its_json(choice: Any) -> None:
    """0.20.2 streams it so (R37)."""
    made = emitted(' [{"name":', ' "get_weather"}]', tool_choice=choice)
    assert texts(made) == ""
    assert made.output == [CALL]
    assert texts(emitted('See {"a": 1}', final=(), tool_choice=choice)) == 'See {"a": 1}'
    made = emitted("\n", "", '{"a": 1}', tool_choice=choice)
    assert texts(made).strip() == ""
    assert texts(emitted("See ", '{"a": 1}', tool_choice=choice)) == 'See {"a": 1}'


FORCED: dict[str, Any] = {"tool_choice": "required"}


def test_json_that_the_final_message_has_whole_is_text_though_a_call_was_forced() -> None:
    life, done = message(0, '{"a":', " 1}")
    made = repaired(stream(*life, terminal(done, CALL), **FORCED))
    assert texts(made) == '{"a": 1}'
    assert made.output == [done, CALL]


@pytest.mark.parametrize("pieces", [['[{"name":', " 1}]"], ["", "[", "]"], ["\n", " \n", "{}"]])
def test_a_message_that_is_a_forced_call_is_never_emitted(pieces: list[str]) -> None:
    made = emitted(*pieces, **FORCED)
    assert made.body == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert made.output == [CALL]


@pytest.mark.parametrize("pieces", [["[1", "]"], ["\n", "See."], ["\n"], [], ["\n"] * (MAX_HELD_EVENTS + 2)])
def test_a_message_that_is_none_is_emitted_as_it_came(pieces: list[str]) -> None:
    life, done = message(0, *pieces)
    made = repaired(stream(*life, terminal(done), **FORCED))
    assert made.body == [event["type"].removeprefix("response.") for event in [*life, terminal()]]
    assert made.output == [done]


def test_what_it_says_before_a_marker_is_emitted() -> None:
    made = emitted(f"Let me see.{TEXT}", **FORCED)
    assert made.values("output_text.delta", "delta") == ["Let me see."]
    assert [item["type"] for item in made.output] == ["message", "function_call"]


@pytest.mark.parametrize("kept", [1, 2])
def test_another_announcement_frees_that_of_a_message(kept: int) -> None:
    first, first_done = message(0)
    second, second_done = message(1, "Well")
    made = repaired(stream(*first[:kept], *second, terminal(first_done, second_done), **FORCED))
    assert made.body.count("output_item.added") == 2
    assert texts(made) == "Well"
    made = repaired(
        stream(*first[:kept], *call(1, "{}")[0], terminal(first_done, call(1, "{}")[1]), **FORCED)
    )
    assert [item["type"] for item in made.output] == ["message", "function_call"]


def test_a_heartbeat_frees_the_announcement_of_a_message() -> None:
    life, done = message(0, "[1]")
    events = stream(*life, terminal(done), **FORCED)
    frames = wire(numbered(events), done=False).split(b"\n\n")
    made = repaired(b"\n\n".join([*frames[:4], b": ping", *frames[4:]]))
    names = made.stream[: made.stream.index(b": ping")]
    assert b"output_item.added" in names
    assert b"content_part.added" in names


def test_nothing_is_known_of_what_comes_before_the_response() -> None:
    life, done = message(0, "[1]")
    created, in_progress, *rest = stream(*life, terminal(done), **FORCED)
    made = repaired([rest[0], created, in_progress, *rest[1:]], conforming=False)
    assert texts(made) == "[1]"


def test_the_next_item_frees_it() -> None:
    first, first_done = message(0, "Like ", TEXT)
    second, second_done = message(1, "Well")
    made = repaired(stream(*first, *second, terminal(first_done, second_done)))
    assert texts(made) == f"Like {TEXT}Well"


def test_a_delta_of_another_item_frees_it() -> None:
    first, _ = message(0, "a", TEXT)
    second, _ = message(1, "b<", "c")
    for held in (first[3], {**first[3], "delta": "<"}):
        events = stream(
            first[0], first[1], second[0], second[1], first[2], held, second[2], second[3], terminal()
        )
        assert sorted(texts(repaired(events))) == sorted(f"a{held['delta']}b<c")


def test_text_that_never_ends_is_emitted_after_all() -> None:
    pieces = ["<tool_call>", *["x"] * MAX_HELD_EVENTS]
    life, _ = message(0, *pieces)
    made = repaired(stream(*life[: 2 + len(pieces)]), end=BodyEnd.CUT)
    assert texts(made) == "".join(pieces)
    assert len(made.all("output_text.delta")) == len(pieces)


def test_an_id_that_is_no_string_is_no_item() -> None:
    """Strict repairs let exceptions through: none is raised over an id that no set can hold."""
    life, done = message(0, "Hi")
    wrong = {**life[2], "item_id": ["msg_0"]}
    forced = [{**event, "response": {**event["response"], "tool_choice": "required"}} for event in opened()]
    made = repaired([*forced, *life[:2], wrong, *life[3:], terminal(done)])
    assert made.output[0]["content"][0]["text"] == "Hi"


# The table of markers


def final_message(text: str) -> Json:
    return {
        "id": "msg_f",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [text_part(text)],
    }


def frames(events: list[Json]) -> list[bytes]:
    return [frame + b"\n\n" for frame in wire(numbered(events), done=False).split(b"\n\n") if frame]


def rome(index: int = 1) -> tuple[list[Json], Json]:
    return call(index, '{"city": "Rome"}')


ROME = rome()[1]
SIZES = [1, 1000]
"""Characters of a delta: letter by letter, and all at once."""
ANYWHERE = {
    name: text
    for name, text in SAMPLES.items()
    if find_call(f"Hi\n\n{text}", Echo(TOOLS), is_first=True, is_forced=False).marker is not None
}
"""The samples that are calls behind words, too."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("text", SAMPLES.values(), ids=SAMPLES)
def test_a_call_as_text_is_a_call_once_and_no_text(text: str, size: int) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    made = emitted(*pieces, final=(ROME,))
    assert texts(made) == ""
    assert made.output == [ROME]
    assert made.names.count("output_item.added") == 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("text", ANYWHERE.values(), ids=ANYWHERE)
def test_the_words_before_a_call_stay(text: str, size: int) -> None:
    whole_text = f"Let me see.\n\n{text}"
    pieces = [whole_text[at : at + size] for at in range(0, len(whole_text), size)]
    for final in ((ROME,), (final_message("Let me see."), ROME)):
        made = emitted(*pieces, final=final)
        assert texts(made).startswith("Let me see.\n\n")
        assert "Rome" not in texts(made)
        assert [item["type"] for item in made.output] == ["message", "function_call"]
        assert made.output[1] == ROME
        assert made.output[0]["content"] == [text_part(texts(made))]


@pytest.mark.parametrize("text", SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize("before", ["", "Like this: "])
def test_without_a_proven_call_every_byte_stays(text: str, before: str) -> None:
    """The final output says that it is text, or says nothing (0.10.2 to 0.13); nothing here makes a call of it."""
    life, done = message(0, *(before + text))
    assert untouched(stream(*life, terminal(done)))
    made = repaired(stream(*life, terminal()))
    assert texts(made) == before + text
    assert made.output == [done]


WRITABLE = [marker for marker in MARKERS if marker.follow is not Follow.ANYTHING]
"""Those that are more than a token that nothing else has."""


@pytest.mark.parametrize("marker", WRITABLE, ids=lambda marker: marker.text)
def test_what_quotes_a_marker_does_not_wait_for_the_end(marker: Marker) -> None:
    life, _ = message(0, "The token `", marker.text, "` begins", " a call.")
    normalizer = StreamNormalizer(build_plan(strict=True))
    made = b"".join(map(normalizer.feed, frames(stream(*life[:6]))))
    assert made.count(b'"response.output_text.delta"') == 4


@given(st.sampled_from(sorted(SAMPLES.values())), st.lists(st.integers(0, 400)), st.data())
def test_how_a_call_is_cut_changes_nothing(text: str, places: list[int], data: st.DataObject) -> None:
    """Any split into deltas, empty ones too, and any split into chunks gives the same text and the same call."""
    before = data.draw(st.sampled_from(["", "\n\n", "I see: "]))
    whole_text = before + text
    cuts = sorted(min(place, len(whole_text)) for place in places)
    pieces = [whole_text[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole_text)], strict=True)]
    life, done = message(0, *pieces)
    for final in ((ROME,), (done,), ()):
        events = stream(*life, terminal(*final))
        made = repaired(events, conforming=False)
        whole_made = repaired(stream(*message(0, whole_text)[0], terminal(*final)), conforming=False)
        assert texts(made) == texts(whole_made)
        assert made.output == whole_made.output
        normalizer = StreamNormalizer(build_plan(strict=True))
        sent = b"".join(frames(events))
        parts = cut(sent, data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
        assert (
            b"".join(map(normalizer.feed, parts)) + normalizer.finish(BodyEnd.EOF)
            == repaired(sent, conforming=False).stream
        )


# What the final output says


def test_several_calls_in_one_text_are_several() -> None:
    other = call(2, '{"city": "Oslo"}')[1]
    text = "".join(
        f'<tool_call>{{"name": "get_weather", "arguments": {item["arguments"]}}}</tool_call>\n'
        for item in (ROME, other)
    )
    made = emitted("Both.\n", *text, final=(final_message("Both."), ROME, other))
    assert texts(made) == "Both.\n"
    assert made.output[1:] == [ROME, other]


def test_what_the_final_message_says_behind_the_call_is_emitted_too() -> None:
    made = emitted("Before.\n", HERMES, "\nAfter.", final=(final_message("Before.\n\nAfter."), ROME))
    assert texts(made) == "Before.\n\nAfter."
    assert made.output[0]["content"] == [text_part("Before.\n\nAfter.")]
    assert made.output[1] == ROME
    assert made.body.count("output_item.done") == 2
    assert made.body.index("output_item.done") < made.body.index("function_call_arguments.delta")


@pytest.mark.parametrize("final", [(ROME,), (final_message("Before."), ROME)])
def test_words_behind_the_call_that_the_final_output_lacks_are_not_lost(final: tuple[Json, ...]) -> None:
    made = emitted("Before.", HERMES, "\nAfter.", final=final)
    assert texts(made) == "Before.\nAfter."
    assert [item["type"] for item in made.output] == ["message", "function_call"]


@pytest.mark.parametrize("behind", ["<tool_response>sunny</tool_response> Fine.", "<|im_end|>", " \n", "[1]"])
def test_what_may_be_more_markup_goes_with_the_call(behind: str) -> None:
    assert texts(emitted("Before.", HERMES, behind, final=(ROME,))) == "Before."


def test_a_message_that_is_only_words_behind_a_call_is_one() -> None:
    made = emitted(HERMES, "Done.", final=(ROME,))
    assert texts(made) == "Done."
    assert [item["type"] for item in made.output] == ["message", "function_call"]


QUOTE = 'Write <tool_call>{"name": "get_weather"}</tool_call> to call. '


def test_a_quoted_call_stays_and_the_call_behind_it_is_emitted_once() -> None:
    """The final message has the quoted one: what comes behind is the call."""
    made = emitted(*(QUOTE + HERMES), final=(final_message(QUOTE.strip()), ROME))
    assert texts(made) == QUOTE.strip()
    assert made.output[1] == ROME


def test_a_text_that_the_final_message_has_whole_stays_whatever_is_called_beside_it() -> None:
    life, done = message(0, *QUOTE)
    made = repaired(stream(*life, terminal(done, ROME)))
    assert texts(made) == QUOTE
    assert made.output == [done, ROME]
    streamed, item = rome()
    assert untouched(stream(*life, *streamed, terminal(done, item)))


def test_a_call_that_the_text_does_not_name_proves_nothing_about_it() -> None:
    text = '<tool_call>{"name": "get_time", "arguments": {}}</tool_call>'
    made = emitted(text, final=(ROME,))
    assert texts(made) == text
    assert [item["type"] for item in made.output] == ["message", "function_call"]


def test_the_names_of_a_call_may_be_flattened_in_the_text() -> None:
    item = {**call(1, "{}", name="list_apps")[1], "namespace": "mcp__desk"}
    tools = [
        {
            "type": "namespace",
            "name": "mcp__desk",
            "description": "Desktop",
            "tools": [{"type": "function", "name": "list_apps"}],
        }
    ]
    made = emitted("[mcp__desk__list_apps()]", final=(item,), tools=tools)
    assert texts(made) == ""
    assert made.output == [item]


def test_white_space_before_the_first_word_may_be_missing_in_the_final_message() -> None:
    made = emitted(" \n", "Before. ", HERMES, final=(final_message("Before."), ROME))
    assert texts(made) == " \nBefore. "
    assert [item["type"] for item in made.output] == ["message", "function_call"]


def test_a_final_message_that_is_another_one_says_nothing_about_the_text() -> None:
    made = emitted("Before. ", HERMES, final=(final_message("Else."), ROME))
    assert texts(made) == "Before. Else."
    assert [item["type"] for item in made.output] == ["message", "message", "function_call"]


def test_the_message_that_fits_best_is_the_account() -> None:
    first, first_done = message(0, "Hello")
    second, _ = message(1, "Hello there. ", *HERMES)
    third = final_message("Hello there.")
    made = repaired(stream(*first, *second, terminal(first_done, third, rome(2)[1])))
    assert texts(made) == "HelloHello there. "
    assert [item["type"] for item in made.output] == ["message", "message", "function_call"]


@pytest.mark.parametrize("output", [None, 7, {}, [None, 7, {"type": 7}]])
def test_an_output_that_is_none_proves_nothing(output: Any) -> None:
    life, _ = message(0, HERMES)
    end = terminal()
    end["response"]["output"] = output
    assert texts(repaired(stream(*life, end))) == HERMES


def test_an_answer_that_was_cut_in_its_call_stays_text() -> None:
    life, _ = message(0, "See. ", HERMES[:30])
    made = repaired(stream(*life, terminal(final_message("See."), name="incomplete")))
    assert texts(made).startswith("See. ")


# What else may come with it


def test_a_call_that_was_streamed_behind_its_text_is_emitted_once() -> None:
    """Some releases stream both; the final output has no message with that text."""
    life, _ = message(0, "See. ", *HERMES)
    streamed, item = rome()
    made = repaired(stream(*life, *streamed, terminal(final_message("See."), item)))
    assert texts(made) == "See. "
    assert made.output[1] == item
    assert made.body.count("function_call_arguments.done") == 1
    closed = [event["item"]["type"] for event in made.all("output_item.done")]
    assert closed == ["message", "function_call"]


def test_so_it_is_with_several_calls() -> None:
    first, first_done = rome(1)
    second, second_done = call(2, '{"city": "Oslo"}')
    life, _ = message(0, HERMES, "\n", HERMES.replace("Rome", "Oslo"))
    for end in (terminal(first_done, second_done), terminal()):
        made = repaired(stream(*life, *first, *second, end))
        assert texts(made) == ""
        assert made.output == [first_done, second_done]


def test_so_it_is_if_the_call_came_before_its_text() -> None:
    streamed, item = rome(0)
    life, _ = message(1, HERMES)
    for end in (terminal(item), terminal()):
        made = repaired(stream(*streamed, *life, end))
        assert texts(made) == ""
        assert made.output == [item]


def test_a_call_that_came_before_proves_nothing_while_more_may_come() -> None:
    """The final output may have the text as the message that it is."""
    streamed, item = call(0, "{}")
    life, done = message(1, "get_weather(", ")")
    other, other_done = message(2, "Done.")
    assert untouched(stream(*streamed, *life, *other, terminal(item, done, other_done)))


def test_deltas_without_an_id_go_on_with_the_text() -> None:
    life, _ = message(0, "See. ", *HERMES)
    for event in life[3:-3]:
        del event["item_id"]
    made = repaired(stream(*life, terminal(final_message("See."), ROME)))
    assert texts(made) == "See. "
    assert made.output[1] == ROME


def test_many_texts_are_judged_in_no_time() -> None:
    """Each looks at no more than what stands beside it."""
    events: list[Json] = []
    for index in range(0, 1_000, 2):
        events += message(index, HERMES)[0]
        events += reasoning(index + 1, "Hm")[0]
    made = repaired(stream(*events, terminal(ROME)), conforming=False)
    assert texts(made) == HERMES * 500


@pytest.mark.parametrize("then", ["item", "text", "end", "message"])
def test_without_a_final_output_the_arguments_show_that_both_are_one(then: str) -> None:
    life, _ = message(0, "See. ", *HERMES)
    streamed, item = rome()
    events: list[Json] = [*life, *streamed]
    if then == "item":
        events += reasoning(2, "Hm")[0]
    elif then == "message":
        events += message(2, "Hm")[0]
    elif then == "text":
        events = [*life[:-3], *streamed, {**life[2], "delta": "More"}]
    made = repaired(stream(*events, *([] if then == "end" else [terminal()])), end=BodyEnd.EOF)
    assert texts(made).startswith("See. ")
    assert "tool_call" not in texts(made)
    assert made.body.count("function_call_arguments.done") == 1
    assert item in [event["item"] for event in made.all("output_item.done")]


@pytest.mark.parametrize(
    ("arguments", "is_one"),
    [
        ('{"city": "Rome"}', True),
        ("{}", True),
        ("", True),
        ('{"a": [true, null, {"city": "Rome"}]}', True),
        ('{"city": "Oslo"}', False),
        ('{"city": "Rome", "days": 3}', False),
        ('{"city": "Ro', False),
    ],
)
def test_other_arguments_are_another_call(arguments: str, is_one: bool) -> None:  # noqa: FBT001 - a column
    life, _ = message(0, *HERMES)
    streamed, _ = call(1, *arguments)
    made = repaired(stream(*life, *streamed, terminal()), conforming=arguments != '{"city": "Ro')
    assert texts(made) == ("" if is_one else HERMES)


def test_text_that_may_begin_another_call_behind_one_that_was_streamed_is_held_too() -> None:
    """The first is settled by then: text and call are one."""
    life, done = message(0, TEXT)
    c_life, _ = call(1, "{}")
    more = {**life[2], "delta": TEXT}
    made = repaired(stream(*life[:3], *c_life, more, terminal(done, call(1, "{}")[1])), conforming=False)
    assert len(made.all("output_item.done")) <= 3
    assert [item["type"] for item in made.output].count("function_call") == 1


def test_a_custom_call_that_was_streamed_behind_its_text_is_emitted_once() -> None:
    tools = [{"type": "custom", "name": "apply_patch"}]
    text = '<tool_call>{"name": "apply_patch", "arguments": {"input": "a\\nb"}}</tool_call>'
    streamed, item = call(1, '{"input": "a', '\\nb"}', name="apply_patch")
    life, _ = message(0, text)
    for end in (terminal(item), terminal()):
        made = repaired(stream(*life, *streamed, end, tools=tools))
        assert texts(made) == ""
        assert [one["input"] for one in made.output] == ["a\nb"]


def test_a_call_of_another_tool_frees_the_text() -> None:
    life, done = message(0, *HERMES)
    streamed, item = call(1, "{}", name="get_time")
    assert untouched(stream(*life, *streamed, terminal(done, item)))


def test_upstreams_heartbeats_change_nothing() -> None:
    life, _ = message(0, "See. ", *HERMES)
    beaten = b": ping\n\n".join(frames(stream(*life, terminal(final_message("See."), ROME))))
    made = repaired(beaten)
    assert texts(made) == "See. "
    assert made.output[1] == ROME


def test_an_opening_that_comes_again_changes_nothing() -> None:
    life, _ = message(0, HERMES)
    events = stream(*life, terminal(ROME))
    made = repaired([*events[:5], events[1], *events[5:]])
    assert texts(made) == ""
    assert made.output == [ROME]


def test_without_an_announcement_nothing_is_emitted_of_the_message_either() -> None:
    life, _ = message(0, HERMES)
    assert repaired(stream(*life[2:], terminal(ROME))).output == [ROME]
    assert repaired(stream(*life[2:3], terminal(ROME))).output == [ROME]


def test_a_message_that_was_announced_before_is_closed_as_empty() -> None:
    life, _ = message(0, "", HERMES)
    events = frames(stream(*life, terminal(ROME)))
    made = repaired(b"".join([*events[:5], b": ping\n\n", *events[5:]]))
    assert texts(made) == ""
    assert [item["type"] for item in made.output] == ["message", "function_call"]


@pytest.mark.parametrize("choice", [{"type": "allowed_tools", "mode": "auto", "tools": []}, "auto"])
def test_a_choice_of_tools_that_forces_none_holds_no_json(choice: Any) -> None:
    life, _ = message(0, '{"a": 1}')
    normalizer = StreamNormalizer(build_plan(strict=True))
    sent = b"".join(map(normalizer.feed, frames(stream(*life[:3], tool_choice=choice))))
    assert b"output_text.delta" in sent
    assert texts(emitted('{"a": 1}', tool_choice=FORCED_OF_SOME)) == ""


FORCED_OF_SOME = {"type": "allowed_tools", "mode": "required", "tools": []}


def test_where_no_tool_may_be_called_nothing_is_held() -> None:
    life, done = message(0, HERMES)
    normalizer = StreamNormalizer(build_plan(strict=True))
    sent = b"".join(map(normalizer.feed, frames(stream(*life[:3], tool_choice="none"))))
    assert b"output_text.delta" in sent
    assert untouched(stream(*life, terminal(done, tool_choice="none"), tool_choice="none"))


def test_reasoning_is_not_held() -> None:
    life, done = reasoning(0, *HERMES)
    made = StreamNormalizer(build_plan(strict=True))
    sent = b"".join(map(made.feed, frames(stream(*life[:-3]))))
    assert sent.count(b"reasoning_text.delta") >= len(HERMES)
    assert untouched(stream(*life, *rome()[0], terminal(done, ROME)))


# Bounds


@pytest.mark.parametrize("first", ["<", "<tool_call>{", " ", "Hi <"])
def test_empty_deltas_are_held_in_bounds_and_in_no_time(first: str) -> None:
    """They were read again and again, and without an end."""
    pieces = [first, *[""] * (2 * MAX_HELD_EVENTS)]
    life, _ = message(0, *pieces)
    normalizer = StreamNormalizer(build_plan(strict=True))
    sent = [normalizer.feed(frame) for frame in frames(stream(*life[: 2 + len(pieces)]))]
    assert sum(map(bool, sent)) > len(pieces) - MAX_HELD_EVENTS - 10
    assert b"".join(sent).count(b"output_text.delta") >= len(pieces) - MAX_HELD_EVENTS


def test_white_space_is_held_in_bounds_and_in_no_time() -> None:
    life, done = message(0, *[" " * 50] * (2 * MAX_HELD_EVENTS))
    assert untouched(stream(*life, terminal(done)))


def test_a_text_of_beginnings_is_read_in_no_time() -> None:
    life, done = message(
        0, *['{"name": "get_weather", "argu'] * 3_000, *["<tool_call "] * 3_000, *["<"] * 9_000
    )
    assert untouched(stream(*life, terminal(done)))


def test_no_more_is_held_than_a_response_may_have() -> None:
    life, _ = message(0, HERMES, *["x" * 1000] * 10)
    made = repaired(stream(*life[:-3]), max_text_bytes=5000, conforming=False)
    assert made.normalizer.limit == "max_text_bytes"
    assert texts(made).startswith(HERMES)


def test_a_call_behind_a_text_is_held_in_bounds() -> None:
    life, done = message(0, HERMES)
    streamed, item = call(1, '{"city": "', *["Rome"] * MAX_HELD_EVENTS, '"}')
    made = repaired(stream(*life, *streamed, terminal(done, item)))
    assert texts(made) == HERMES
    assert made.output == [done, item]
