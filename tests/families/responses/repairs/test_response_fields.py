"""The response object and its usage have the fields that they must have."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, message, response, whole
from vllm_sse_proxy.families.responses import Dialect, RequestContext

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
    told = repaired([created(), terminal()]).one("created")["response"]
    assert told["error"] is None
    assert told["store"] is True
    assert told["metadata"] == {}
    assert told["text"] == {"format": {"type": "text"}}
    assert told["reasoning"] == {"effort": None, "summary": None}
    assert told["max_output_tokens"] == 99


def test_the_request_knows_better_than_a_neutral_value() -> None:
    asked = {
        "store": False,
        "metadata": {"a": "b"},
        "text": {"format": {"type": "json_object"}},
        "reasoning": "no object",
    }
    told = repaired([created(), terminal()], request=RequestContext(body=asked)).one("created")["response"]
    assert {name: told[name] for name in ("store", "metadata", "text")} == {
        name: asked[name] for name in ("store", "metadata", "text")
    }
    assert told["reasoning"] == {"effort": None, "summary": None}


def test_openais_own_object_stays() -> None:
    assert untouched(whole(message(0, "Hi"), usage={**COUNTS, **OPENAI_DETAILS}))


@pytest.mark.parametrize(
    "broken", [None, "x", {}, {"id": ""}, {"id": "resp_1", "created_at": True, "model": 7}]
)
def test_an_object_that_no_client_reads_is_made_whole(broken: Any) -> None:
    made = repaired(
        [{"type": "response.created", "response": broken}, terminal()],
        request=RequestContext(seed="s", body={"model": "asked"}),
    )
    told = made.one("created")["response"]
    assert told["model"] == "asked"
    assert told["created_at"] == 0
    assert told["id"].startswith("resp_")


def test_without_request_and_model_it_is_unknown() -> None:
    assert (
        repaired([{"type": "response.created"}, terminal()]).one("created")["response"]["model"] == "unknown"
    )


@pytest.mark.parametrize(
    "usage", [{}, {"input_tokens": 1}, {**COUNTS, "total_tokens": -1}, {**COUNTS, "input_tokens": True}, "x"]
)
def test_usage_that_cannot_be_counted_is_none(usage: Any) -> None:
    made = repaired(opened(terminal(usage=usage)))
    assert made.one("completed")["response"]["usage"] is None


def test_vllms_usage_gets_its_details() -> None:
    usage = {**COUNTS, "input_tokens_details": {"cached_tokens": 2, "input_tokens_per_turn": []}}
    end = {"type": "response.completed", "response": vllms("completed", usage=usage)}
    told = repaired([created(), end]).one("completed")["response"]["usage"]
    assert told["input_tokens_details"] == {
        "cached_tokens": 2,
        "input_tokens_per_turn": [],
        "cache_write_tokens": 0,
    }
    assert told["output_tokens_details"] == {"reasoning_tokens": 0}


def test_others_usage_gets_only_what_its_own_details_lack() -> None:
    usage = {**COUNTS, **OPENAI_DETAILS, "output_tokens_details": {"reasoning_tokens": True}}
    told = repaired(opened(terminal(usage=usage))).one("completed")["response"]["usage"]
    assert told == {**COUNTS, **OPENAI_DETAILS}


def test_leaked_names_lose_their_underscore() -> None:
    format_ = {"type": "json_schema", "name": "n", "schema_": {"type": "object"}}
    tools = [
        {"type": "function", "name": "f", "parameters": {}, "strict": True, "async_": None},
        {"type": "mcp"},
    ]
    made = repaired([created(text={"format": format_}, tools=tools), terminal()], conforming=False)
    told = made.one("created")["response"]
    assert told["text"] == {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}
    assert told["tools"] == [
        {"type": "function", "name": "f", "parameters": {}, "strict": True, "async": None},
        {"type": "mcp"},
    ]


def test_a_right_name_wins_over_its_leaked_twin() -> None:
    format_ = {"type": "json_schema", "name": "n", "schema_": None, "schema": {"type": "object"}}
    told = repaired([created(text={"format": format_}), terminal()]).one("created")["response"]
    assert told["text"] == {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}


def test_dialect_upstream_leaves_a_readable_object_as_it_is() -> None:
    made = repaired([created(), terminal()], dialect=Dialect.UPSTREAM, conforming=False)
    assert made.one("created")["response"] == vllms()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"message": "boom"}, {"code": "server_error", "message": "boom"}),
        ({"code": 500, "message": "boom", "x": 1}, {"code": "server_error", "message": "boom", "x": 1}),
        ("boom", {"code": "server_error", "message": "boom"}),
        ({"code": "server_error", "message": "boom"}, {"code": "server_error", "message": "boom"}),
    ],
)
def test_an_error_keeps_its_message_and_gets_a_code(error: Any, told: Json) -> None:
    made = repaired(opened(terminal(name="failed", error=error)))
    assert made.one("failed")["response"]["error"] == told


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
    ("field", "value", "told"),
    [
        ("temperature", "hot", 1.0),
        ("metadata", [], {}),
        ("tool_choice", "perhaps", "auto"),
        ("tools", ["x"], []),
        ("instructions", 7, None),
        ("instructions", [{"type": "output_text"}], None),
        ("instructions", [{"role": "user", "content": "Hi"}], [{"role": "user", "content": "Hi"}]),
        ("object", "list", "response"),
    ],
)
def test_a_type_that_no_client_reads_gives_way(field: str, value: Any, told: Any) -> None:
    made = repaired(opened(terminal(**{field: value})))
    assert made.one("completed")["response"][field] == told


def test_a_request_that_no_client_could_read_back_is_not_echoed() -> None:
    request = RequestContext(body={"tools": ["x"], "tool_choice": "required"})
    told = repaired([created(tools=None, tool_choice=None), terminal()], request=request).one("created")
    assert (told["response"]["tools"], told["response"]["tool_choice"]) == ([], "required")
