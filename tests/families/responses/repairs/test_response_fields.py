"""The response object and its usage have the fields that they must have."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, message, numbered, openais, response
from vllm_sse_proxy import Dialect, RequestContext

COUNTS = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
OPENAI_DETAILS = {
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


def vllms(status: str = "in_progress", **fields: Any) -> Json:
    """Return a response object as vLLM sends it: no `error`, no `store`, nulls."""
    own = {name: value for name, value in response(status).items() if name != "error"}
    return {**own, "metadata": None, "text": None, "reasoning": None, "max_output_tokens": 99, **fields}


def created(**fields: Any) -> Json:
    return {"type": "response.created", "response": vllms(**fields)}


def test_vllms_object_is_completed_with_neutral_values() -> None:
    emitted = repaired([created(), terminal()]).one("created")["response"]
    assert emitted["error"] is None
    assert emitted["store"] is True
    assert emitted["metadata"] == {}
    assert emitted["text"] == {"format": {"type": "text"}}
    assert emitted["reasoning"] == {"effort": None, "summary": None}
    assert emitted["max_output_tokens"] == 99


def test_the_request_knows_better_than_a_neutral_value() -> None:
    asked = {
        "store": False,
        "metadata": {"a": "b"},
        "text": {"format": {"type": "json_object"}},
        "reasoning": "no object",
    }
    emitted = repaired([created(), terminal()], request=RequestContext(body=asked)).one("created")["response"]
    assert {name: emitted[name] for name in ("store", "metadata", "text")} == {
        name: asked[name] for name in ("store", "metadata", "text")
    }
    assert emitted["reasoning"] == {"effort": None, "summary": None}


@pytest.mark.parametrize("id_", ["resp_1", "resp_" + "0a" * 25])
def test_openais_own_object_stays(id_: str) -> None:
    """Nearly all of OpenAI's own streams lack `cache_write_tokens`, which its newest types require."""
    events = [
        {"type": "response.created", "response": openais(id=id_)},
        {"type": "response.in_progress", "response": openais(id=id_)},
        {
            "type": "response.completed",
            "response": openais("completed", id=id_, usage={**COUNTS, **OPENAI_DETAILS}),
        },
    ]
    made = repaired(events, conforming=False)
    assert not made.repairs
    assert made.events == numbered(events)


def test_it_gets_what_it_never_lacks() -> None:
    usage = {**COUNTS, "input_tokens_details": {"cached_tokens": 1}}
    end = {"type": "response.completed", "response": openais("completed", usage=usage)}
    emitted = repaired([{"type": "response.created", "response": openais()}, end], conforming=False).events[
        -1
    ]
    assert emitted["response"]["usage"] == {**usage, "output_tokens_details": {"reasoning_tokens": 0}}


@pytest.mark.parametrize(
    "broken", [None, "x", {}, {"id": ""}, {"id": "resp_1", "created_at": True, "model": 7}]
)
def test_an_object_that_no_client_reads_is_made_whole(broken: Any) -> None:
    made = repaired(
        [{"type": "response.created", "response": broken}, terminal()],
        request=RequestContext(seed="s", body={"model": "asked"}),
    )
    emitted = made.one("created")["response"]
    assert emitted["model"] == "asked"
    assert emitted["created_at"] == 0
    assert emitted["id"].startswith("resp_")


def test_without_request_and_model_it_is_unknown() -> None:
    assert (
        repaired([{"type": "response.created"}, terminal()]).one("created")["response"]["model"] == "unknown"
    )


@pytest.mark.parametrize("usage", [{}, "x", [], {"input_tokens": None}, {"total_tokens": -1}, {"x": 1}])
def test_usage_that_counts_nothing_is_none(usage: Any) -> None:
    made = repaired(opened(terminal(usage=usage)))
    assert made.one("completed")["response"]["usage"] is None


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"input_tokens": 1}, (1, 0, 1)),
        ({"input_tokens": None, "output_tokens": 4, "total_tokens": None}, (0, 4, 4)),
        ({**COUNTS, "total_tokens": -1}, (3, 4, 7)),
        ({**COUNTS, "input_tokens": True}, (3, 4, 7)),
        ({"input_tokens": 3, "total_tokens": 7}, (3, 4, 7)),
        ({"output_tokens": 4, "total_tokens": 7}, (3, 4, 7)),
        ({"output_tokens": 9, "total_tokens": 7}, (0, 9, 7)),
        ({"total_tokens": 7}, (0, 0, 7)),
        ({**COUNTS, "total_tokens": 100}, (3, 4, 100)),
        ({"input_tokens": 3.0, "output_tokens": "4", "total_tokens": "x"}, (3, 4, 7)),
        ({"input_tokens": 1.5, "output_tokens": "9" * 40, "total_tokens": 7}, (0, 0, 7)),
        ({"input_tokens": 1e300, "output_tokens": -1.0, "total_tokens": 7}, (0, 0, 7)),
        ({"prompt_tokens": 3, "completion_tokens": 4}, (3, 4, 7)),
        ({"prompt_tokens": 9, **COUNTS}, (3, 4, 7)),
    ],
)
def test_counts_that_are_known_stay_and_the_others_are_computed(
    usage: Json, counts: tuple[int, int, int]
) -> None:
    emitted = repaired(opened(terminal(usage=usage))).one("completed")["response"]["usage"]
    assert (emitted["input_tokens"], emitted["output_tokens"], emitted["total_tokens"]) == counts
    assert usage.keys() <= emitted.keys()


@pytest.mark.parametrize(
    ("usage", "details"),
    [
        ({}, (0, 0, 0)),
        ({"input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1}}, (2, 1, 0)),
        ({"input_tokens_details": {"cached_tokens": 2.0, "x": 1}, "output_tokens_details": None}, (2, 0, 0)),
        ({"output_tokens_details": {"reasoning_tokens": "5"}}, (0, 0, 5)),
        (
            {
                "prompt_tokens_details": {"cached_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            (2, 0, 5),
        ),
        ({"cache_read_input_tokens": 2, "cache_creation_input_tokens": 1}, (2, 1, 0)),
        ({"input_tokens_details": "x", "output_tokens_details": []}, (0, 0, 0)),
    ],
)
def test_so_do_their_details(usage: Json, details: tuple[int, int, int]) -> None:
    emitted = repaired(opened(terminal(usage={**COUNTS, **usage}))).one("completed")["response"]["usage"]
    read, written = emitted["input_tokens_details"], emitted["output_tokens_details"]
    assert (read["cached_tokens"], read["cache_write_tokens"], written["reasoning_tokens"]) == details
    known = usage.get("input_tokens_details")
    assert not isinstance(known, dict) or known.keys() <= read.keys()


def test_vllms_usage_gets_its_details() -> None:
    usage = {**COUNTS, "input_tokens_details": {"cached_tokens": 2, "input_tokens_per_turn": []}}
    end = {"type": "response.completed", "response": vllms("completed", usage=usage)}
    emitted = repaired([created(), end]).one("completed")["response"]["usage"]
    assert emitted["input_tokens_details"] == {
        "cached_tokens": 2,
        "input_tokens_per_turn": [],
        "cache_write_tokens": 0,
    }
    assert emitted["output_tokens_details"] == {"reasoning_tokens": 0}


def test_everybodys_usage_has_what_the_newest_types_require() -> None:
    usage = {**COUNTS, **OPENAI_DETAILS, "output_tokens_details": {"reasoning_tokens": True}}
    emitted = repaired(opened(terminal(usage=usage))).one("completed")["response"]["usage"]
    assert emitted == {
        **COUNTS,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }


def test_leaked_names_lose_their_underscore() -> None:
    format_ = {"type": "json_schema", "name": "n", "schema_": {"type": "object"}}
    tools = [
        {"type": "function", "name": "f", "parameters": {}, "strict": True, "async_": None},
        {"type": "mcp"},
    ]
    made = repaired([created(text={"format": format_}, tools=tools), terminal()], conforming=False)
    emitted = made.one("created")["response"]
    assert emitted["text"] == {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}
    assert emitted["tools"] == [
        {"type": "function", "name": "f", "parameters": {}, "strict": True, "async": None},
        {"type": "mcp"},
    ]


def test_a_right_name_wins_over_its_leaked_twin() -> None:
    format_ = {"type": "json_schema", "name": "n", "schema_": None, "schema": {"type": "object"}}
    emitted = repaired([created(text={"format": format_}), terminal()]).one("created")["response"]
    assert emitted["text"] == {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}


def test_dialect_upstream_leaves_a_readable_object_as_it_is() -> None:
    made = repaired([created(), terminal()], dialect=Dialect.UPSTREAM, conforming=False)
    assert made.one("created")["response"] == vllms()


@pytest.mark.parametrize(
    ("error", "emitted"),
    [
        ({"message": "boom"}, {"code": "server_error", "message": "boom"}),
        ({"code": 500, "message": "boom", "x": 1}, {"code": "server_error", "message": "boom", "x": 1}),
        ("boom", {"code": "server_error", "message": "boom"}),
        ({"code": "server_error", "message": "boom"}, {"code": "server_error", "message": "boom"}),
    ],
)
def test_an_error_keeps_its_message_and_gets_a_code(error: Any, emitted: Json) -> None:
    made = repaired(opened(terminal(name="failed", error=error)))
    assert made.one("failed")["response"]["error"] == emitted


@pytest.mark.parametrize("error", [{}, {"code": "x"}, "", 7, {"message": ""}])
def test_an_error_without_a_message_says_nothing(error: Any) -> None:
    assert repaired(opened(terminal(error=error))).one("completed")["response"]["error"] is None


def test_an_echoed_function_has_what_typed_clients_insist_on() -> None:
    tools = [
        {"type": "function", "name": "f"},
        {"type": "function", "name": "g", "description": 7, "parameters": "x", "strict": "yes"},
        {"type": "function", "function": {"name": "h"}},
        {"type": "custom", "name": "i"},
    ]
    assert repaired(opened(terminal(tools=tools))).one("completed")["response"]["tools"] == [
        {"type": "function", "name": "f", "parameters": None, "strict": None},
        {"type": "function", "name": "g", "description": None, "parameters": None, "strict": None},
        {"type": "custom", "name": "i"},
    ]


@pytest.mark.parametrize(
    ("field", "value", "emitted"),
    [
        ("temperature", "hot", 1.0),
        ("metadata", [], {}),
        ("tool_choice", "perhaps", "auto"),
        ("tool_choice", {"type": "function"}, "auto"),
        ("tool_choice", {"type": "function", "name": "f"}, {"type": "function", "name": "f"}),
        ("input_transformations", 7, None),
        ("tools", ["x"], []),
        ("instructions", 7, None),
        ("instructions", [{"type": "output_text"}], None),
        ("instructions", [{"role": "user", "content": "Hi"}], [{"role": "user", "content": "Hi"}]),
        ("object", "list", "response"),
    ],
)
def test_a_type_that_no_client_reads_gives_way(field: str, value: Any, emitted: Any) -> None:
    made = repaired(opened(terminal(**{field: value})))
    assert made.one("completed")["response"].get(field) == emitted


def test_a_request_that_no_client_could_read_back_is_not_echoed() -> None:
    request = RequestContext(body={"tools": ["x"], "tool_choice": "required"})
    emitted = repaired([created(tools=None, tool_choice=None), terminal()], request=request).one("created")
    assert (emitted["response"]["tools"], emitted["response"]["tool_choice"]) == ([], "required")


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"error": "boom"}, ("server_error", "boom")),
        ({"error": {"message": "boom", "code": 429}}, ("rate_limit_exceeded", "boom")),
        ({"message": "boom", "code": "invalid_prompt"}, ("invalid_prompt", "boom")),
        ({"message": "boom", "code": "made_up"}, ("server_error", "boom")),
        ({"response": {"error": ["boom"]}}, ("server_error", "boom")),
        ({"response": {"error": {"error": {"message": "boom"}}}}, ("server_error", "boom")),
        ({"response": {"error": {"detail": "boom"}}}, ("server_error", "boom")),
        (
            {"response": {"error": {"code": "rate_limit_exceeded"}}},
            ("rate_limit_exceeded", "The response failed."),
        ),
        ({"response": {"error": {"code": "invalid_prompt"}}, "message": "boom"}, ("invalid_prompt", "boom")),
        ({"response": {"last_error": {"code": "server_error", "message": "boom"}}}, ("server_error", "boom")),
        ({"response": {"status_details": {"error": {"message": "boom"}}}}, ("server_error", "boom")),
        ({"response": None}, ("server_error", "The response failed.")),
        ({}, ("server_error", "The response failed.")),
    ],
)
def test_a_failed_response_has_the_words_of_its_error_wherever_they_are(
    event: Json, error: tuple[str, str]
) -> None:
    response_ = (
        response("failed", **event["response"])
        if event.get("response")
        else event.get("response", response("failed"))
    )
    made = repaired(opened({"type": "response.failed", **event, "response": response_}))
    emitted = made.one("failed")["response"]["error"]
    assert (emitted["code"], emitted["message"]) == error


def test_they_may_have_come_in_an_event_before() -> None:
    error = {"type": "error", "error": {"message": "boom", "code": "c", "type": "t", "param": None}}
    made = repaired(opened(error, {"type": "response.failed", "response": response("failed")}))
    assert made.one("failed")["response"]["error"] == {"code": "server_error", "message": "boom"}


@pytest.mark.parametrize(
    ("item", "emitted"),
    [
        ({"type": "message", "content": None}, {"content": []}),
        ({"type": "message", "content": [], "role": "tool"}, {"role": "assistant"}),
        ({"type": "message", "content": {}}, {"content": []}),
        ({"type": "reasoning"}, {"summary": []}),
        (
            {"type": "function_call", "name": "f", "call_id": "c", "arguments": {"a": 1}},
            {"arguments": '{"a":1}'},
        ),
        ({"type": "file_search_call"}, {"queries": []}),
        ({"type": "shell_call", "call_id": "c"}, {"action": {"commands": []}}),
    ],
)
def test_items_of_the_final_output_have_the_fields_of_their_type(item: Json, emitted: Json) -> None:
    item = {"id": "x_1", **item}
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    for events in ([added, done], [added], [done]):
        output = repaired(opened(*events, terminal(item))).output
        assert {name: output[0][name] for name in emitted} == emitted


def test_annotations_of_the_final_output_are_objects() -> None:
    note = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}
    _, done = message(0, "Hi")
    for notes, emitted in (
        (["x", note], [note]),
        ("x", []),
        ([{"url": "u"}], [{**note, "title": "", "end_index": 0}]),
    ):
        part = {**done["content"][0], "annotations": notes}
        made = repaired(opened(terminal({**done, "content": [part, {"type": "refusal", "refusal": "no"}]})))
        assert [dict(one) for one in made.output[0]["content"][0]["annotations"]] == emitted


@pytest.mark.parametrize(
    ("format_", "emitted"),
    [
        ({}, {"type": "text"}),
        ({"type": "json_schema"}, {"type": "json_schema", "name": "", "schema": {}}),
        ({"type": "json_object"}, {"type": "json_object"}),
    ],
)
def test_an_echoed_format_has_what_its_type_requires(format_: Json, emitted: Json) -> None:
    made = repaired(opened(terminal(text={"format": format_})))
    assert made.one("completed")["response"]["text"] == {"format": emitted}


@pytest.mark.parametrize("name", ["prompt", "conversation", "tool_usage", "moderation", "image"])
@pytest.mark.parametrize("value", [{}, 7, "x"])
def test_an_object_that_need_not_be_there_is_whole_or_goes(name: str, value: Any) -> None:
    assert name not in repaired(opened(terminal(**{name: value}))).one("completed")["response"]


def test_such_an_object_stays_if_it_is_whole() -> None:
    fields: Json = {"prompt": {"id": "p"}, "conversation": None}
    assert untouched(opened(terminal(**fields)))


@pytest.mark.parametrize(("name", "number"), [("temperature", 1.0), ("top_p", 1), ("top_logprobs", 0)])
def test_a_truth_value_is_no_number_though_python_calls_them_equal(name: str, number: float) -> None:
    life, done = message(0, "Hi")
    end = terminal(done)
    end["response"][name] = bool(number)
    made = repaired(opened(*life, end))
    assert type(made.one("completed")["response"].get(name)) is not bool


def test_the_request_may_be_any_mapping() -> None:
    asked = MappingProxyType({"metadata": {"k": "v"}})
    made = repaired([created(), terminal()], request=RequestContext(body=asked))
    assert made.one("created")["response"]["metadata"] == {"k": "v"}
