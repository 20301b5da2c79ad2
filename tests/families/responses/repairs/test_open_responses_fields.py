"""In dialect open-responses, the objects that events carry fit the schema of Open Responses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import Repaired, opened, repaired, terminal
from tests.support.streams import Json, message, reasoning, whole, wire
from vllm_sse_proxy import Dialect

LOGPROB: Json = {"token": "Hi", "logprob": -0.5, "top_logprobs": [{"token": "Ho", "logprob": -1.5}]}
WHOLE: Json = {
    "token": "Hi",
    "bytes": [72, 105],
    "logprob": -0.5,
    "top_logprobs": [{"token": "Ho", "bytes": [72, 111], "logprob": -1.5}],
}


def emitted(events: list[Json], **settings: Any) -> Repaired:
    return repaired(events, **{"dialect": Dialect.OPEN_RESPONSES, **settings})


def response(**fields: Any) -> Json:
    """Return the response of the terminal event after a stream with these fields."""
    body: Json = emitted(opened(terminal(**fields))).one("completed")["response"]
    return body


def test_every_key_is_there_whoever_upstream_is() -> None:
    """An object that is whole to OpenAI's types (`error` is there, so it is not vLLM's own) still lacks 15 keys."""
    body = response()
    assert {
        "completed_at": None,
        "previous_response_id": None,
        "truncation": "disabled",
        "text": {"format": {"type": "text"}},
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "top_logprobs": 0,
        "reasoning": {"effort": None, "summary": None},
        "max_output_tokens": None,
        "max_tool_calls": None,
        "store": True,
        "background": False,
        "service_tier": "default",
        "safety_identifier": None,
        "prompt_cache_key": None,
    }.items() <= body.items()


@pytest.mark.parametrize("phase", [None, "thinking", []])
def test_a_message_has_no_phase_rather_than_none(phase: Any) -> None:
    events, done = message(0, "Hi")
    for item in (events[0]["item"], done):
        item["phase"] = phase
    made = emitted(whole((events, done)))
    items = [made.one("output_item.added")["item"], made.one("output_item.done")["item"], *made.output]
    assert [("phase" in item) for item in items] == [False] * 3
    assert "phase" in repaired(whole((events, done)), conforming=False).one("output_item.added")["item"]


def test_a_phase_that_the_schema_knows_stays() -> None:
    events, done = message(0, "Hi")
    for item in (events[0]["item"], done):
        item["phase"] = "final_answer"
    assert emitted(whole((events, done))).output[0]["phase"] == "final_answer"


def test_a_reasoning_item_has_no_encrypted_content_rather_than_none() -> None:
    events, done = reasoning(0, "Hm")
    for item in (events[0]["item"], done):
        item["encrypted_content"] = None
    made = emitted(whole((events, done)))
    assert "encrypted_content" not in made.one("output_item.done")["item"]
    assert "encrypted_content" not in made.output[0]
    assert made.output[0]["content"] == [{"type": "reasoning_text", "text": "Hm"}]


def test_logprobs_have_their_bytes_everywhere() -> None:
    events, done = message(0, "Hi")
    for event in events[2:4]:
        event["logprobs"] = [LOGPROB]
    events[4]["part"]["logprobs"] = done["content"][0]["logprobs"] = [LOGPROB]
    made = emitted(whole((events, done)))
    assert made.one("output_text.delta")["logprobs"] == [WHOLE]
    assert made.one("output_text.done")["logprobs"] == [WHOLE]
    assert made.one("content_part.done")["part"]["logprobs"] == [WHOLE]
    assert made.one("output_item.done")["item"]["content"][0]["logprobs"] == [WHOLE]
    assert made.output[0]["content"][0]["logprobs"] == [WHOLE]


def test_a_deltas_logprobs_stay_in_the_default_dialect() -> None:
    events, done = message(0, "Hi")
    for event in events[2:4]:
        event["logprobs"] = [LOGPROB]
    events[4]["part"]["logprobs"] = done["content"][0]["logprobs"] = [WHOLE]
    assert not repaired(whole((events, done))).repairs


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ({"format": {"type": "text"}, "verbosity": None}, {"format": {"type": "text"}}),
        ({"verbosity": "low"}, {"format": {"type": "text"}, "verbosity": "low"}),
        ({"format": {"type": "grammar"}}, {"format": {"type": "text"}}),
        ({"format": {"type": "json_object"}}, {"format": {"type": "json_object"}}),
        (
            {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
            {"format": {"type": "json_schema", "name": "n", "schema": None, "strict": True, "description": None}},
        ),
        (
            {"format": {"type": "json_schema", "name": "n", "strict": None, "description": "d", "schema": None}},
            {"format": {"type": "json_schema", "name": "n", "strict": False, "description": "d", "schema": None}},
        ),
    ],
)  # fmt: skip
def test_the_text_format_is_one_that_the_schema_knows(text: Json, wanted: Json) -> None:
    assert response(text=text)["text"] == wanted


def test_the_echo_of_tools_names_functions_only() -> None:
    tools = [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]
    assert response(tools=tools)["tools"] == [
        {"type": "function", "name": "f", "description": None, "parameters": None, "strict": None}
    ]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("none", "none"),
        ({"type": "function", "name": "f"}, {"type": "function", "name": "f"}),
        ({"type": "custom", "name": "g"}, "required"),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom"}, {"type": "function"}]},
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function"}]},
        ),
        ({"type": "allowed_tools", "tools": None}, {"type": "allowed_tools", "mode": "auto", "tools": []}),
    ],
)  # fmt: skip
def test_the_choice_of_tools_is_one_that_the_schema_knows(choice: Any, wanted: Any) -> None:
    assert response(tool_choice=choice)["tool_choice"] == wanted


@pytest.mark.parametrize(
    ("field", "said", "wanted"),
    [
        ("reasoning", {"effort": "minimal", "summary": "long"}, {"effort": None, "summary": None}),
        ("reasoning", {"effort": "high", "summary": "auto"}, {"effort": "high", "summary": "auto"}),
        ("truncation", "middle", "disabled"),
        ("instructions", [{"role": "user", "content": "Be."}], None),
        ("instructions", "Be.", "Be."),
        ("created_at", 1764028800.5, 1764028800),
        ("completed_at", 1764028801.5, 1764028801),
        ("incomplete_details", {}, None),
    ],
)
def test_a_value_that_the_schema_does_not_know_gives_way(field: str, said: Any, wanted: Any) -> None:
    got = response(**{field: said})[field]
    assert got == wanted
    assert type(got) is type(wanted)


def test_what_fits_stays_as_it_is() -> None:
    once = emitted(whole(message(0, "Hi"), reasoning(1, "Hm")))
    stream = wire(once.events)  # other white space than the proxy's own
    again = repaired(stream, dialect=Dialect.OPEN_RESPONSES)
    assert not again.repairs
    assert again.stream == stream


def test_items_that_the_schema_does_not_know_are_the_answer_and_stay() -> None:
    item: Json = {
        "id": "x_1",
        "type": "shell_call",
        "call_id": "c",
        "status": "completed",
        "phase": None,
        "action": {},
    }
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    made = emitted(
        opened(added, {**added, "type": "response.output_item.done"}, terminal(item)), conforming=False
    )
    assert made.output == [item]
    assert made.one("output_item.added")["item"]["phase"] is None


@pytest.mark.parametrize("logprobs", [None, {}, "x"])
def test_a_part_that_only_the_final_object_gives_logprobs_has_a_list(logprobs: Any) -> None:
    events, done = message(0, "Hi")
    for part in (events[1]["part"], events[4]["part"], events[5]["item"]["content"][0]):
        del part["logprobs"]
    final = {**done, "content": [{**done["content"][0], "logprobs": logprobs}]}
    assert emitted(opened(*events, terminal(final))).output[0]["content"][0].get("logprobs", []) == []


def test_the_reason_of_an_incomplete_response_stays() -> None:
    events = opened(terminal(name="incomplete", incomplete_details={"reason": "max_output_tokens"}))
    assert emitted(events).one("incomplete")["response"]["incomplete_details"] == {
        "reason": "max_output_tokens"
    }
