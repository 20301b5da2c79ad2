"""What a request repair converted is converted back in the stream, whatever shape upstream's events have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.judging import violations
from tests.support.repairing import Repaired, repaired, terminal
from tests.support.streams import (
    Json,
    call,
    custom_call,
    cut,
    damaged_events,
    message,
    numbered,
    response,
    wire,
)
from vllm_sse_proxy import BodyEnd, Dialect, Reasoning, RequestContext, StreamNormalizer, build_plan
from vllm_sse_proxy.families.requests import Facts, RequestAttempts, Step
from vllm_sse_proxy.families.responses.requests import (
    KEY,
    Conversion,
    ConvertedTool,
    ResponsesPlanner,
    ToolKind,
)

PATCH = '*** Begin Patch\n*** Add File: a.txt\n+hello "you" \N{GRINNING FACE}\n*** End Patch'
TOOLS: list[Json] = [
    {
        "type": "namespace",
        "name": "crm",
        "description": "d",
        "tools": [
            {"type": "function", "name": "get", "description": "d", "parameters": {}, "strict": None},
            {"type": "custom", "name": "note", "description": "d", "format": {"type": "text"}},
        ],
    },
    {"type": "function", "name": "plain", "description": "d", "parameters": {}, "strict": None},
    {"type": "custom", "name": "run", "description": "d", "format": {"type": "text"}},
    {"type": "shell"},
    {"type": "apply_patch"},
    {"type": "tool_search", "execution": "client", "description": "d", "parameters": {}},
]
REQUEST: Json = {"model": "m", "input": "Hi", "tools": TOOLS, "stream": True}


def sent(request: Json = REQUEST) -> tuple[Conversion, Json]:
    """Return the conversion of a request, and what harmony is sent."""
    attempts = RequestAttempts(
        ResponsesPlanner(), json.dumps(request).encode(), request, Facts(harmony=True), Step.LOSSY
    )
    post = attempts.first()
    return post.conversion, json.loads(post.body)


CONVERSION, SENT = sent()
BACKGROUND = sent({**REQUEST, "background": True})[1]


def stream(*lives: list[Json], done: list[Json], tools: Any = None, **fields: Any) -> list[Json]:
    echo = {"tools": SENT["tools"] if tools is None else tools, **fields}
    opening = [
        {"type": f"response.{name}", "response": response(**echo)} for name in ("created", "in_progress")
    ]
    events = [event for life in lives for event in life]
    return [*opening, *events, terminal(*done, **echo)]


def back(events: list[Json] | bytes, conversion: Conversion | None = CONVERSION, **settings: Any) -> Repaired:
    context = RequestContext(body=REQUEST, conversion=conversion)
    return repaired(events, request=context, **settings)


def called(name: str, *pieces: str, **settings: Any) -> Repaired:
    life, done = call(0, *pieces, name=name)
    return back(stream(life, done=[done]), **settings)


def pieces_of(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


class TestFunctions:
    @pytest.mark.parametrize("name", ["crm__get", "crm.get", "get"])
    def test_a_name(self, name: str) -> None:
        made = called(name, "{", "}")
        for item in (made.one("output_item.added")["item"], made.output[0]):
            assert (item["type"], item["namespace"], item["name"]) == ("function_call", "crm", "get")
        assert made.values("function_call_arguments.delta", "delta") == ["{", "}"]
        assert made.one("function_call_arguments.done")["name"] == "get"

    def test_what_the_client_knows_so(self) -> None:
        made = called("plain", "{}")
        assert made.one("output_item.added")["item"]["name"] == "plain"
        assert made.repairs["converted_calls"] == 3, "only the echo"

    def test_the_echo(self) -> None:
        made = called("plain", "{}")
        for event in made.events:
            if "response" in event:
                assert event["response"]["tools"] == TOOLS


class TestCustomTools:
    @pytest.mark.parametrize("size", [1, 2, 5, 1000])
    @pytest.mark.parametrize(("name", "own"), [("run", {}), ("crm__note", {"namespace": "crm"})])
    def test_an_input(self, size: int, name: str, own: Json) -> None:
        made = called(name, *pieces_of(json.dumps({"input": PATCH}), size))
        assert not [each for each in made.names if "function_call" in each]
        assert "".join(made.values("custom_tool_call_input.delta", "delta")) == PATCH
        assert made.one("custom_tool_call_input.done")["input"] == PATCH
        assert made.output == [
            {
                "id": "ctc_0",
                "type": "custom_tool_call",
                "call_id": "call_0",
                "name": name.rpartition("__")[2],
                "status": "completed",
                "input": PATCH,
                **own,
            }
        ]

    def test_one_that_upstream_makes_itself(self) -> None:
        life, done = custom_call(0, PATCH, name="crm__note")
        made = back(stream(life, done=[done]))
        assert (made.output[0]["namespace"], made.output[0]["name"]) == ("crm", "note")
        assert made.one("output_item.added")["item"]["name"] == "note"


class TestWholeCalls:
    """Calls without events for their arguments are announced empty, and closed whole."""

    @pytest.mark.parametrize("size", [1, 1000])
    @pytest.mark.parametrize(
        ("name", "arguments", "member", "value"),
        [
            (
                "shell",
                {"commands": ["ls"]},
                "action",
                {"commands": ["ls"], "timeout_ms": None, "max_output_length": None},
            ),
            ("tool_search", {"query": "q"}, "arguments", {"query": "q"}),
            (
                "apply_patch",
                {"type": "delete_file", "path": "a"},
                "operation",
                {"type": "delete_file", "path": "a"},
            ),
        ],
    )
    def test_a_call(self, size: int, name: str, arguments: Json, member: str, value: Any) -> None:
        made = called(name, *pieces_of(json.dumps(arguments), size))
        assert made.body == ["output_item.added", "output_item.done", "completed"]
        assert made.output[0]["type"] == f"{name}_call"
        assert made.output[0][member] == value
        announced = made.one("output_item.added")["item"]
        assert (announced["type"], announced["status"]) == (f"{name}_call", "in_progress")
        assert announced[member] != value

    def test_a_patch_that_cannot_be_read_is_one_of_no_file(self) -> None:
        made = called("apply_patch", '{"type": "rename"', "}")
        assert made.output[0]["operation"] == {
            "type": "update_file",
            "path": "",
            "diff": '{"type": "rename"}',
        }

    def test_between_others(self) -> None:
        lives = [
            message(0, "Hi"),
            call(1, '{"commands": ["ls"]}', name="shell"),
            call(2, "{}", name="crm__get"),
            call(3, '{"input": "x"}', name="run"),
        ]
        made = back(stream(*(life for life, _ in lives), done=[done for _, done in lives]))
        assert [item["type"] for item in made.output] == [
            "message",
            "shell_call",
            "function_call",
            "custom_tool_call",
        ]

    def test_one_that_only_the_final_output_has(self) -> None:
        _, done = call(0, '{"commands": ["ls"]}', name="shell")
        made = back(stream(done=[done]))
        assert made.one("output_item.done")["item"]["type"] == "shell_call"

    @pytest.mark.parametrize("done", [b"", b"data: [DONE]\n\n"])
    def test_one_that_is_cut_off_is_no_success(self, done: bytes) -> None:
        life, _ = call(0, '{"commands": ["l', name="shell")
        raw = wire(numbered(stream(life[:-2], done=[])[:-1]), done=False)
        made = back(raw + done)
        assert made.names[-1] == "failed"
        assert "output_item.done" not in made.names

    def test_one_that_has_a_namespace_is_the_clients(self) -> None:
        life, item = call(0, "{}", name="shell")
        own = [{**e, "item": {**e["item"], "namespace": "x"}} if "item" in e else e for e in life]
        made = back(stream(own, done=[{**item, "namespace": "x"}]))
        assert (made.output[0]["type"], made.output[0]["namespace"]) == ("function_call", "x")


@pytest.mark.parametrize(("name", "type_"), [("crm__get", "function_call"), ("run", "custom_tool_call")])
def test_a_call_that_was_streamed_as_text(name: str, type_: str) -> None:
    spelled = json.dumps({"input": PATCH})
    life, _ = message(
        0, *pieces_of(f'<tool_call>\n{{"name": "{name}", "arguments": {spelled}}}\n</tool_call>', 9)
    )
    _, done = call(0, spelled, name=name)
    (item,) = back(stream(life, done=[done])).output
    assert (item["type"], item["name"]) == (type_, name.rpartition("__")[2])


class TestBackground:
    """The conversion travels in `metadata`."""

    def made(self, metadata: Any = ..., **settings: Any) -> Repaired:
        lives = [call(0, "{}", name="crm__get"), call(1, '{"input": "x"}', name="run")]
        fields = {"metadata": BACKGROUND["metadata"] if metadata is ... else metadata, "background": True}
        events = stream(
            *(life for life, _ in lives),
            done=[done for _, done in lives],
            tools=BACKGROUND["tools"],
            **fields,
        )
        return back(events, None, **settings)

    def test_a_resumed_stream(self) -> None:
        made = self.made()
        first, second = made.output
        assert (first["namespace"], first["name"], second["type"]) == ("crm", "get", "custom_tool_call")
        for event in made.events:
            if "response" in event:
                assert event["response"]["metadata"] == {} or event["response"]["metadata"] is None
                assert [tool["type"] for tool in event["response"]["tools"]] == [
                    tool["type"] for tool in TOOLS
                ]

    def test_a_key_that_says_nothing_is_taken_out(self) -> None:
        made = self.made({KEY: "nonsense", "own": "kept"})
        assert made.events[-1]["response"]["metadata"] == {"own": "kept"}
        assert made.output[0]["name"] == "crm__get"

    def test_other_metadata_stays(self) -> None:
        assert "converted_calls" not in self.made({"own": "kept"}).repairs

    def test_it_cannot_be_switched_off(self) -> None:
        with pytest.raises(ValueError, match="converted_calls"):
            build_plan(disabled=["converted_calls"])


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("reasoning", list(Reasoning))
def test_in_every_setting(dialect: Dialect, reasoning: Reasoning) -> None:
    made = called("run", '{"input": "x"}', dialect=dialect, reasoning=reasoning)
    assert made.output[0]["input"] == "x"


@pytest.mark.parametrize(
    "item", [None, "x", {"type": "function_call"}, {"type": "function_call", "name": 7}, {}]
)
def test_nonsense(item: Any) -> None:
    life, done = call(0, "{}", name="run")
    events = stream(
        [{**life[0], "item": item}, *life[1:-1], {**life[-1], "item": item}],
        [{"type": "response.in_progress", "response": "x"}],
        done=[done],
    )
    back(events, conforming=False)


@given(
    st.permutations(["crm__get", "run", "crm__note", "shell", "plain"]),
    st.lists(st.integers(min_value=0), max_size=12),
    st.integers(1, 9),
)
def test_every_chunking(names: list[str], sizes: list[int], size: int) -> None:
    """However the bytes and the arguments are cut, the client gets the same calls."""
    arguments = {"shell": {"commands": ["ls"]}, "run": {"input": PATCH}, "crm__note": {"input": PATCH}}
    lives = [
        call(index, *pieces_of(json.dumps(arguments.get(name, {})), size), name=name)
        for index, name in enumerate(names)
    ]
    events = stream(*(life for life, _ in lives), done=[done for _, done in lives])
    raw = wire(numbered(events), done=False)
    whole = back(raw, conforming=False)
    normalizer = StreamNormalizer(
        build_plan(strict=True), RequestContext(body=REQUEST, conversion=CONVERSION)
    )
    made = b"".join(map(normalizer.feed, cut(raw, sizes))) + normalizer.finish(BodyEnd.EOF)
    assert made == whole.stream
    texts = {item["name"]: item["input"] for item in whole.output if item["type"] == "custom_tool_call"}
    assert texts == {"run": PATCH, "note": PATCH}


@given(damaged_events(), st.sampled_from(list(ToolKind)), st.sampled_from(["", "crm"]))
def test_damaged_streams(events: list[Json], kind: ToolKind, namespace: str) -> None:
    """Whatever upstream makes of it: nothing raises, and what leaves conforms."""
    tool = ConvertedTool("get_weather", "get_weather", kind, "weather", namespace)
    made = back(wire(events, done=False), Conversion([tool]), conforming=False)
    assert not violations(made.stream)


def test_an_item_that_is_no_object_where_shapes_are_not_corrected() -> None:
    life, done = call(0, "{}", name="crm__get")
    empty = [{**life[0], "item": None}, {**life[-1], "item": None}]
    made = back(stream(empty, life, done=[done]), disabled=["item_shapes"], conforming=False)
    assert made.output[-1]["namespace"] == "crm"
