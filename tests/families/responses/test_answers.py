"""Response objects that are answered as JSON are what their streams would have ended with."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recordings import load
from tests.support.replay import bodies, normalize
from tests.support.streams import message, openais, response, text_part
from vllm_sse_proxy import RequestContext, build_plan
from vllm_sse_proxy.families.responses.answers import MAX_PIECES, RepairedAnswer, answer_plan, repaired_answer
from vllm_sse_proxy.families.responses.grammar import TERMINAL

if TYPE_CHECKING:
    from tests.support.recordings import Recording

Json = dict[str, Any]
RECORDINGS = Path(__file__).parents[2] / "recordings"
TEXT: Json = text_part("Hi")
MESSAGE: Json = message(1, "Hi")[1]
THOUGHT: Json = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "Hm."}],
    "encrypted_content": None,
    "status": None,
}
CALL: Json = {
    "id": "fc_1",
    "type": "function_call",
    "call_id": "call_1",
    "name": "get_weather",
    "arguments": "{}",
    "status": "completed",
}
USAGE: Json = {
    "input_tokens": 1,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 21,
}


def answer(raw: bytes, request: RequestContext | None = None, **settings: Any) -> RepairedAnswer | None:
    plan = answer_plan(build_plan(strict=True, **settings))
    return repaired_answer(raw, plan, request or RequestContext())


def answered(document: Json, **settings: Any) -> Json:
    made = answer(json.dumps(document).encode(), **settings)
    assert made is not None
    document_: Json = json.loads(made.body)
    return document_


CONFORMING = [
    response("completed", [MESSAGE]),
    response("completed", [{**THOUGHT, "status": "completed"}, MESSAGE, CALL]),
    response(
        "incomplete",
        [{**MESSAGE, "status": "incomplete"}],
        incomplete_details={"reason": "max_output_tokens"},
    ),
    response("failed", [], error={"code": "server_error", "message": "No."}),
    response("cancelled", []),
    response("queued"),
    response("in_progress"),
    openais("completed", [{"id": "rs_1", "type": "reasoning", "summary": []}, MESSAGE, CALL]),
    openais(
        "completed",
        [
            {
                "id": "ws_1",
                "type": "web_search_call",
                "status": "completed",
                "action": {"type": "search", "query": "q"},
            }
        ],
    ),
    openais("completed", [{**CALL, "name": "go"}, {**CALL, "id": "fc_2", "call_id": "call_2"}]),
]


class TestConforming:
    @pytest.mark.parametrize("document", CONFORMING, ids=lambda one: one["status"])
    def test_the_bytes_stay(self, document: Json) -> None:
        raw = json.dumps(document, indent=1).encode()
        made = answer(raw)
        assert made is not None
        assert made.body is raw, made.repairs
        assert made.repairs == {}
        assert made.failures == {}

    def test_large_integers_stay(self) -> None:
        raw = json.dumps(response("completed", [MESSAGE], metadata={"n": 2**70})).encode()
        made = answer(raw)
        assert made is not None
        assert made.body is raw


class TestRepaired:
    def test_required_fields(self) -> None:
        document = response("completed", [{**MESSAGE, "content": [{"type": "output_text", "text": "Hi"}]}])
        del document["error"]
        raw = json.dumps(document).encode()
        made = answer(raw)
        assert made is not None
        repaired = json.loads(made.body)
        assert repaired["error"] is None
        assert repaired["store"] is True
        assert repaired["output"][0]["content"][0]["annotations"] == []
        assert made.repairs["response_fields"] == 1, "openings are not counted"

    def test_large_integers(self) -> None:
        repaired = answered(response("completed", [{**MESSAGE, "id": ""}], metadata={"n": 2**70}))
        assert repaired["metadata"] == {"n": 2**70}

    def test_the_request_fills_what_is_missing(self) -> None:
        document = response("completed", [MESSAGE])
        del document["error"]
        made = answer(json.dumps(document).encode(), RequestContext(body={"store": False}))
        assert made is not None
        assert json.loads(made.body)["store"] is False

    def test_ids_depend_on_the_response_alone(self) -> None:
        document = response(
            "completed", [{**MESSAGE, "id": ""}, {**CALL, "call_id": None}, {**CALL, "name": "go"}]
        )
        posted, fetched = answered(document), answered(document)
        assert posted == fetched
        ids = [item["id"] for item in posted["output"]]
        assert all(ids)
        assert len(set(ids)) == 3
        assert posted["output"][1]["call_id"]
        other = answered({**document, "id": "resp_2"})
        assert other["output"][0]["id"] != ids[0]

    def test_what_the_stream_proves_of_reasoning_without_a_status(self) -> None:
        assert answered(response("completed", [THOUGHT, MESSAGE]))["output"][0]["status"] == "completed"
        cut = answered(response("incomplete", [THOUGHT], incomplete_details={"reason": "max_output_tokens"}))
        assert cut["output"][0]["status"] == "incomplete"
        spent = answered(response("completed", [THOUGHT], usage=USAGE, max_output_tokens=20))
        assert (spent["status"], spent["output"][0]["status"]) == ("incomplete", "incomplete")

    def test_cut_items(self) -> None:
        cut = answered(response("incomplete", [MESSAGE, {**CALL, "arguments": '{"a'}]))
        assert cut["output"][1]["status"] == "incomplete"
        assert cut["output"][1]["arguments"] == '{"a'
        assert cut["output"][0]["status"] == "completed"

    def test_private_statuses(self) -> None:
        assert answered(response("aborted", []))["status"] == "failed"

    def test_a_cancelled_response_has_upstreams_error(self) -> None:
        document = response("cancelled", [{**MESSAGE, "id": ""}])
        assert answered(document)["error"] is None
        error = {"code": "server_error", "message": "Stopped."}
        assert answered({**document, "error": error})["error"] == error

    def test_numbers_inside_items_go(self) -> None:
        repaired = answered(response("completed", [{**CALL, "sequence_number": -1}]))
        assert repaired["output"] == [CALL]

    def test_custom_tools(self) -> None:
        tool = {"type": "custom", "name": "get_weather", "description": ""}
        document = response("completed", [{**CALL, "arguments": '{"input":"Rome"}'}], tools=[tool])
        (item,) = answered(document)["output"]
        assert (item["type"], item["input"]) == ("custom_tool_call", "Rome")
        (kept,) = answered(document, disabled=["custom_tool_calls"])["output"]
        assert kept["type"] == "function_call"

    def test_summaries(self) -> None:
        document = response("completed", [THOUGHT, MESSAGE], reasoning={"effort": None, "summary": "auto"})
        thought = answered(document)["output"][0]
        assert thought["summary"] == [{"type": "summary_text", "text": "Hm."}]
        assert thought["content"] == THOUGHT["content"]
        assert answered(answered(document)) == answered(document)

    @pytest.mark.parametrize("status", ["queued", "in_progress"])
    def test_a_response_that_goes_on(self, status: str) -> None:
        document = response(status, background=True)
        del document["error"]
        repaired = answered(document)
        assert repaired["status"] == status
        assert repaired["error"] is None
        assert repaired["background"] is True
        assert repaired["output"] == []


LONG = response("completed", [{**MESSAGE, "content": [TEXT] * (MAX_PIECES + 1)}])
CITED = response("completed", [{**MESSAGE, "content": [{**TEXT, "annotations": [{}] * MAX_PIECES}]}])


class TestUnread:
    @pytest.mark.parametrize(
        "document",
        [
            None,
            [],
            "text",
            {"error": {"message": "No."}},
            {"object": "list", "data": []},
            {**response("completed"), "object": "chat.completion"},
            {**response("completed"), "id": ""},
            {**response("completed"), "id": 5},
            {**response("completed"), "status": None},
            response("strange"),
            {**response("completed"), "output": None},
            response("completed", [{"id": "msg_1"}]),
            response("completed", ["text"]),  # type: ignore[list-item]
            response("in_progress", [MESSAGE]),
            response("completed", [MESSAGE] * (MAX_PIECES + 1)),
            LONG,
            CITED,
        ],
    )
    def test_what_is_not_understood(self, document: Any) -> None:
        assert answer(json.dumps(document).encode()) is None

    @pytest.mark.parametrize("raw", [b"", b"\xff", b"{", b'{"id":NaN}', b"[" * 500 + b"]" * 500])
    def test_what_is_no_json(self, raw: bytes) -> None:
        assert answer(raw) is None

    def test_what_is_nested_too_deep(self) -> None:
        deep: Any = "x"
        for _ in range(220):
            deep = [deep]
        assert answer(json.dumps(response("completed", metadata={"x": deep})).encode()) is None

    def test_limits(self) -> None:
        raw = json.dumps(
            response("completed", [{**MESSAGE, "id": "", "content": [{**TEXT, "text": "x" * 5000}]}])
        ).encode()
        assert answer(raw, max_text_bytes=4000) is None
        assert answer(raw, max_frame_bytes=len(raw) - 10) is None
        assert answer(json.dumps(response("queued")).encode(), max_frame_bytes=10) is None
        assert answer(raw) is not None


def recordings() -> list[Recording]:
    paths = sorted(RECORDINGS.glob("vllm-*/*.sse"))
    return [one for one in map(load, paths) if one.is_response_stream]


def final_object(stream: bytes) -> Json | None:
    found = [body for body in bodies(stream) if body.get("type") in TERMINAL]
    return found[-1]["response"] if found else None


NAMES = frozenset({"id", "call_id", "sequence_number"})


def without_names(items: list[Json]) -> list[Json]:
    return [{name: value for name, value in item.items() if name not in NAMES} for item in items]


def texts(items: list[Json]) -> list[Any]:
    return [
        (
            item["type"],
            item.get("name"),
            item.get("arguments"),
            [part.get("text") for part in item.get("content") or []],
        )
        for item in items
    ]


class TestRecordings:
    """What vLLM said in its terminal events, answered as JSON."""

    def test_the_same_truth_as_in_the_stream(self) -> None:
        same = 0
        for recording in recordings():
            emitted, _ = normalize([recording.body], recording.known_end, context=recording.context())
            said, final = final_object(recording.body), final_object(emitted)
            if said is None or final is None or texts(said["output"]) != texts(final["output"]):
                continue  # the stream has brought something else than upstream's second parse
            made = answer(json.dumps(said).encode(), recording.context())
            assert made is not None
            repaired = json.loads(made.body)
            assert without_names(repaired.pop("output")) == without_names(final.pop("output")), recording.name
            assert repaired == final, recording.name
            same += 1
        assert same > 60

    def test_what_was_repaired_needs_no_repair(self) -> None:
        fixed = 0
        for recording in recordings():
            emitted, _ = normalize([recording.body], recording.known_end, context=recording.context())
            final = final_object(emitted)
            if final is None:
                continue
            made = answer(json.dumps(final).encode(), recording.context())
            assert made is not None
            again = answer(made.body, recording.context())
            assert again is not None
            assert again.body is made.body, recording.name
            fixed += made.repairs == {}
        assert fixed > 140


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
TYPES = st.sampled_from(
    [
        "message",
        "reasoning",
        "function_call",
        "custom_tool_call",
        "web_search_call",
        "mcp_call",
        "shell_call",
        "new",
    ]
)
PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["output_text", "reasoning_text", "refusal", "summary_text", "text", "new"])},
    optional=dict.fromkeys(("text", "refusal", "annotations", "logprobs"), JSON_VALUES),
)
ITEMS = st.fixed_dictionaries(
    {"type": TYPES},
    optional={
        "content": st.lists(PARTS, max_size=3) | JSON_VALUES,
        "summary": st.lists(PARTS, max_size=2) | JSON_VALUES,
        **{
            name: JSON_VALUES | st.sampled_from(["completed", "in_progress", "incomplete", "failed", "a", ""])
            for name in (
                "id",
                "call_id",
                "name",
                "namespace",
                "status",
                "arguments",
                "input",
                "role",
                "action",
                "error",
            )
        },
    },
)
STATUSES = st.sampled_from(
    ["completed", "incomplete", "failed", "cancelled", "in_progress", "queued", "done"]
)
OBJECTS = st.builds(
    lambda status, output, fields: response(status, output) | fields,
    STATUSES,
    st.lists(ITEMS, max_size=4),
    st.dictionaries(
        st.sampled_from(
            ["error", "incomplete_details", "usage", "tools", "tool_choice", "metadata", "text", "model"]
        ),
        JSON_VALUES,
        max_size=3,
    ),
)


@given(OBJECTS)
def test_any_object_is_answered(document: Json) -> None:
    raw = json.dumps(document).encode()
    made = answer(raw)
    assert made is None or (made.failures == {} and json.loads(made.body)["id"] == "resp_1")


@given(JSON_VALUES)
def test_any_json_passes(value: Any) -> None:
    assert answer(json.dumps(value).encode()) is None


def test_time_is_linear() -> None:
    def seconds(size: int) -> float:
        parts = [{**TEXT, "text": "x" * size}]
        raw = json.dumps(response("completed", [{**MESSAGE, "id": "", "content": parts}] * 20)).encode()
        best = []
        for _ in range(3):
            begun = perf_counter()
            answer(raw)
            best.append(perf_counter() - begun)
        return min(best)

    assert seconds(40_000) < 12 * max(seconds(10_000), 0.001)
