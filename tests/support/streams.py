"""Conforming streams made from a few choices, and ways to damage them: what the property tests are made of.

Written from the protocol alone: nothing here uses the code under test except the frame encoder.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from vllm_sse_proxy.sse import encode_data, encode_event

Json = dict[str, Any]


TOOL: Json = {
    "type": "function",
    "name": "get_weather",
    "description": None,
    "parameters": None,
    "strict": None,
}


def response(status: str = "in_progress", output: list[Json] | None = None, **fields: Any) -> Json:
    """Return a response object that every client reads."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1741257730,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "m",
        "output": output or [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [TOOL],
        "top_p": 1.0,
        "usage": None,
        **fields,
    }


def openais(status: str = "in_progress", output: list[Json] | None = None, **fields: Any) -> Json:
    """Return a response object as OpenAI's own API sends it: every field, in its order."""
    names = ("id", "object", "created_at", "status", "background", "error", "incomplete_details", "instructions",
             "max_output_tokens", "max_tool_calls", "model", "output", "parallel_tool_calls", "previous_response_id",
             "prompt_cache_key", "reasoning", "safety_identifier", "service_tier", "store", "temperature", "text",
             "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "usage", "user", "metadata")  # fmt: skip
    known = {
        "background": False,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "auto",
        "store": True,
        "text": {"format": {"type": "text"}},
        "top_logprobs": 0,
        "truncation": "disabled",
        **response(status, output, **fields),
    }
    return {name: known.get(name) for name in names}


def text_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message(index: int, *pieces: str, id_: str | None = None) -> tuple[list[Json], Json]:
    """Return a message's events and its done item."""
    id_ = id_ or f"msg_{index}"
    place = {"item_id": id_, "output_index": index, "content_index": 0}
    text = "".join(pieces)
    item = {"id": id_, "type": "message", "role": "assistant"}
    done = {**item, "status": "completed", "content": [text_part(text)]}
    added = {**item, "status": "in_progress", "content": []}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": added},
        {"type": "response.content_part.added", **place, "part": text_part("")},
        *(
            {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
            for piece in pieces
        ),
        {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": text_part(text)},
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ], done


def reasoning(index: int, *pieces: str, id_: str | None = None) -> tuple[list[Json], Json]:
    """Return a reasoning item's events (raw text) and its done item."""
    id_ = id_ or f"rs_{index}"
    place = {"item_id": id_, "output_index": index, "content_index": 0}
    text = "".join(pieces)
    added = {"id": id_, "type": "reasoning", "summary": [], "content": [], "status": "in_progress"}
    done = {**added, "content": [{"type": "reasoning_text", "text": text}], "status": "completed"}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": added},
        {"type": "response.content_part.added", **place, "part": {"type": "reasoning_text", "text": ""}},
        *({"type": "response.reasoning_text.delta", **place, "delta": piece} for piece in pieces),
        {"type": "response.reasoning_text.done", **place, "text": text},
        {"type": "response.content_part.done", **place, "part": {"type": "reasoning_text", "text": text}},
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ], done


def summary(index: int, *pieces: str, id_: str | None = None) -> tuple[list[Json], Json]:
    """Return a reasoning item's events (summary) and its done item."""
    id_ = id_ or f"rs_{index}"
    place = {"item_id": id_, "output_index": index, "summary_index": 0}
    text = "".join(pieces)
    added = {"id": id_, "type": "reasoning", "summary": []}
    done = {**added, "summary": [{"type": "summary_text", "text": text}]}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": added},
        {
            "type": "response.reasoning_summary_part.added",
            **place,
            "part": {"type": "summary_text", "text": ""},
        },
        *({"type": "response.reasoning_summary_text.delta", **place, "delta": piece} for piece in pieces),
        {"type": "response.reasoning_summary_text.done", **place, "text": text},
        {
            "type": "response.reasoning_summary_part.done",
            **place,
            "part": {"type": "summary_text", "text": text},
        },
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ], done


def call(
    index: int, *pieces: str, id_: str | None = None, name: str = "get_weather"
) -> tuple[list[Json], Json]:
    """Return a function call's events and its done item."""
    id_ = id_ or f"fc_{index}"
    place = {"item_id": id_, "output_index": index}
    arguments = "".join(pieces)
    item = {"id": id_, "type": "function_call", "call_id": f"call_{index}", "name": name}
    done = {**item, "arguments": arguments, "status": "completed"}
    added = {**item, "arguments": "", "status": "in_progress"}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": added},
        *({"type": "response.function_call_arguments.delta", **place, "delta": piece} for piece in pieces),
        {"type": "response.function_call_arguments.done", **place, "arguments": arguments, "name": name},
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ], done


def custom_call(index: int, *pieces: str, name: str = "bash") -> tuple[list[Json], Json]:
    """Return a custom tool call's events and its done item."""
    place = {"item_id": f"ctc_{index}", "output_index": index}
    input_ = "".join(pieces)
    item = {"id": f"ctc_{index}", "type": "custom_tool_call", "call_id": f"call_{index}", "name": name}
    done = {**item, "input": input_, "status": "completed"}
    return [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, "input": "", "status": "in_progress"},
        },
        *({"type": "response.custom_tool_call_input.delta", **place, "delta": piece} for piece in pieces),
        {"type": "response.custom_tool_call_input.done", **place, "input": input_},
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ], done


def search(index: int, *_pieces: str, id_: str | None = None) -> tuple[list[Json], Json]:
    """Return a web search's events and its done item."""
    id_ = id_ or f"ws_{index}"
    place = {"item_id": id_, "output_index": index}
    added = {
        "id": id_,
        "type": "web_search_call",
        "status": "in_progress",
        "action": {"type": "search", "query": "q"},
    }
    done = {**added, "status": "completed"}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": added},
        {"type": "response.web_search_call.in_progress", **place},
        {"type": "response.web_search_call.searching", **place},
        {"type": "response.web_search_call.completed", **place},
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ], done


def custom(index: int, *pieces: str, id_: str | None = None) -> tuple[list[Json], Json]:
    """Return a custom tool call's events and its done item."""
    id_ = id_ or f"ctc_{index}"
    place = {"item_id": id_, "output_index": index}
    text = "".join(pieces)
    item = {"id": id_, "type": "custom_tool_call", "call_id": f"call_{index}", "name": "write_sql"}
    return [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, "input": "", "status": "in_progress"},
        },
        *({"type": "response.custom_tool_call_input.delta", **place, "delta": piece} for piece in pieces),
        {"type": "response.custom_tool_call_input.done", **place, "input": text},
        {
            "type": "response.output_item.done",
            "output_index": index,
            "item": {**item, "input": text, "status": "completed"},
        },
    ], {**item, "input": text, "status": "completed"}


def refusal(index: int, *pieces: str, id_: str | None = None) -> tuple[list[Json], Json]:
    """Return the events and the done item of a message that refuses."""
    id_ = id_ or f"msg_{index}"
    place = {"item_id": id_, "output_index": index, "content_index": 0}
    text = "".join(pieces)
    part = {"type": "refusal", "refusal": text}
    item = {"id": id_, "type": "message", "role": "assistant"}
    done = {**item, "status": "completed", "content": [part]}
    return [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **place, "part": {**part, "refusal": ""}},
        *({"type": "response.refusal.delta", **place, "delta": piece} for piece in pieces),
        {"type": "response.refusal.done", **place, "refusal": text},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ], done


def cited(index: int, *pieces: str, id_: str | None = None) -> tuple[list[Json], Json]:
    """Return the events and the done item of a message of two parts, of which the second has an annotation."""
    id_ = id_ or f"msg_{index}"
    item = {"id": id_, "type": "message", "role": "assistant"}
    note = {"type": "url_citation", "url": "http://h/", "title": "t", "start_index": 0, "end_index": 1}
    parts = [text_part("".join(pieces)), {**text_part("See."), "annotations": [note]}]
    done = {**item, "status": "completed", "content": parts}
    events: list[Json] = [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, "status": "in_progress", "content": []},
        }
    ]
    for number, part in enumerate(parts):
        place = {"item_id": id_, "output_index": index, "content_index": number}
        words = pieces if number == 0 else ("See.",)
        events += [
            {"type": "response.content_part.added", **place, "part": text_part("")},
            *(
                {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []}
                for word in words
            ),
            *(
                {
                    "type": "response.output_text.annotation.added",
                    **place,
                    "annotation_index": 0,
                    "annotation": each,
                }
                for each in part["annotations"]
            ),
            {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []},
            {"type": "response.content_part.done", **place, "part": part},
        ]
    events.append({"type": "response.output_item.done", "output_index": index, "item": done})
    return events, done


def mcp(index: int, *pieces: str, id_: str | None = None) -> tuple[list[Json], Json]:
    """Return the events and the done item of a call of an MCP server's tool."""
    id_ = id_ or f"mcp_{index}"
    place = {"item_id": id_, "output_index": index}
    text = "".join(pieces)
    item = {"id": id_, "type": "mcp_call", "name": "ask", "server_label": "wiki", "approval_request_id": None}
    done = {**item, "arguments": text, "status": "completed", "output": "o", "error": None}
    return [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, "arguments": "", "status": "in_progress", "output": None, "error": None},
        },
        {"type": "response.mcp_call.in_progress", **place},
        *({"type": "response.mcp_call_arguments.delta", **place, "delta": piece} for piece in pieces),
        {"type": "response.mcp_call_arguments.done", **place, "arguments": text},
        {"type": "response.mcp_call.completed", **place},
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ], done


def code(index: int, *pieces: str, id_: str | None = None) -> tuple[list[Json], Json]:
    """Return the events and the done item of a run of the code interpreter."""
    id_ = id_ or f"ci_{index}"
    place = {"item_id": id_, "output_index": index}
    text = "".join(pieces)
    item = {"id": id_, "type": "code_interpreter_call", "container_id": "c", "outputs": []}
    done = {**item, "code": text, "status": "completed"}
    name = "response.code_interpreter_call"
    return [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, "code": "", "status": "in_progress"},
        },
        {"type": f"{name}.in_progress", **place},
        *({"type": f"{name}_code.delta", **place, "delta": piece} for piece in pieces),
        {"type": f"{name}_code.done", **place, "code": text},
        {"type": f"{name}.interpreting", **place},
        {"type": f"{name}.completed", **place},
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ], done


LIVES = (message, reasoning, summary, call, search, custom, refusal, cited, mcp, code)
"""The kinds of items that streams are made of, the commonest first."""
_OF_CALLS = (call, mcp)


def whole(*lives: tuple[list[Json], Json], terminal: str = "completed", **fields: Any) -> list[Json]:
    """Return a whole stream's events: opened, the items, the terminal event; not numbered."""
    output = [done for _, done in lives]
    return [
        {"type": "response.created", "response": response()},
        {"type": "response.in_progress", "response": response()},
        *(event for events, _ in lives for event in events),
        {"type": f"response.{terminal}", "response": response(terminal, output, **fields)},
    ]


def numbered(events: list[Json]) -> list[Json]:
    """Return the events with the numbers 0, 1, 2 …"""
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def wire(events: list[Json], *, done: bool = True) -> bytes:
    """Return the stream's bytes as a conforming server writes them."""
    frames = [encode_event(_name(event), json.dumps(event, ensure_ascii=False).encode()) for event in events]
    return b"".join(frames) + (encode_data(b"[DONE]") if done else b"")


def _name(event: Json) -> str:
    name = event.get("type")
    return name if isinstance(name, str) and name else "message"


def events_of(stream: bytes) -> list[Json]:
    """Return the events of a stream that the proxy wrote: whole frames, LF, data on one line."""
    lines = (line for frame in stream.split(b"\n\n") for line in frame.split(b"\n"))
    return [json.loads(line[6:]) for line in lines if line.startswith(b"data: ") and line != b"data: [DONE]"]


# Strategies

texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["<", "<tool_", "call>", "<tool_call>{", "["]
)
pieces = st.lists(texts, min_size=1, max_size=4)
argument_pieces = st.sampled_from(
    [["{}"], ['{"city"', ': "Paris"', "}"], ['{"a": [1, 2', "]}"], ['{"sequence_number": 7}']]
)


@st.composite
def conforming_events(draw: st.DrawFn) -> list[Json]:
    """Draw a conforming stream as a list of numbered events."""
    lives = []
    for index in range(draw(st.integers(0, 4))):
        life = draw(st.sampled_from(LIVES))
        lives.append(life(index, *draw(argument_pieces if life in _OF_CALLS else pieces)))
    return numbered(whole(*lives))


@st.composite
def damaged_events(draw: st.DrawFn) -> list[Json]:
    """Draw a stream that a few defects of any kind have damaged."""
    events = draw(conforming_events())
    for _ in range(draw(st.integers(1, 6))):
        if not events:
            break
        position = draw(st.integers(0, len(events) - 1))
        damage = draw(st.sampled_from(DAMAGES))
        events = damage(draw, events, position)
    return events


def _drop(_draw: st.DrawFn, events: list[Json], position: int) -> list[Json]:
    return events[:position] + events[position + 1 :]


def _repeat(_draw: st.DrawFn, events: list[Json], position: int) -> list[Json]:
    return [*events[: position + 1], events[position], *events[position + 1 :]]


def _swap(_draw: st.DrawFn, events: list[Json], position: int) -> list[Json]:
    if position + 1 >= len(events):
        return events
    return [*events[:position], events[position + 1], events[position], *events[position + 2 :]]


def _move(draw: st.DrawFn, events: list[Json], position: int) -> list[Json]:
    rest = _drop(draw, events, position)
    target = draw(st.integers(0, len(rest)))
    return [*rest[:target], events[position], *rest[target:]]


def _truncate(_draw: st.DrawFn, events: list[Json], position: int) -> list[Json]:
    return events[: position + 1]


_FIELDS = ["item_id", "output_index", "content_index", "summary_index", "sequence_number", "delta", "text", "type", "part",
           "item", "response", "arguments", "logprobs", "name", "error"]  # fmt: skip
_VALUES: list[Any] = [None, -1, 0, 1, 7, "", "x", "msg_0", "rs_1", [], {}, {"content": "We"},
                      [{"type": "output_text", "text": "t"}],
                      True, 1.5, {"id": "x", "type": "message"}, {"type": "reasoning_text"}, {"message": "boom"}]  # fmt: skip


def _set_field(draw: st.DrawFn, events: list[Json], position: int) -> list[Json]:
    field, value = draw(st.sampled_from(_FIELDS)), draw(st.sampled_from(_VALUES))
    return [*events[:position], {**events[position], field: value}, *events[position + 1 :]]


def _remove_field(draw: st.DrawFn, events: list[Json], position: int) -> list[Json]:
    event = events[position]
    if not event:
        return events
    field = draw(st.sampled_from(sorted(event)))
    return [*events[:position], {k: v for k, v in event.items() if k != field}, *events[position + 1 :]]


def _set_nested(draw: st.DrawFn, events: list[Json], position: int) -> list[Json]:
    event = dict(events[position])
    for holder in ("item", "part", "response"):
        if isinstance(event.get(holder), dict):
            names = sorted(event[holder]) or ["id"]
            field = draw(
                st.sampled_from(
                    [*names, "sequence_number", "id", "type", "status", "content", "output", "call_id"]
                )
            )
            event[holder] = {**event[holder], field: draw(st.sampled_from(_VALUES))}
    return [*events[:position], event, *events[position + 1 :]]


_NAMES = ["response.reasoning.delta", "response.reasoning_part.added", "response.ping", "response.error", "error", "vendor:x",
          "response.queued", "response.tool_call.delta", "response.output_text.delta", "response.output_item.done",
          "response.reasoning_text.delta", "response.content_part.done", "response.incomplete", "<end>"]  # fmt: skip


def _rename(draw: st.DrawFn, events: list[Json], position: int) -> list[Json]:
    return [
        *events[:position],
        {**events[position], "type": draw(st.sampled_from(_NAMES))},
        *events[position + 1 :],
    ]


def _shift_ids(_draw: st.DrawFn, events: list[Json], position: int) -> list[Json]:
    """Give everything from here on other ids, as a second parse does."""
    shifted = json.loads(
        json.dumps(events[position:]).replace('"msg_', '"other_').replace('"fc_', '"chatcmpl_')
    )
    return [*events[:position], *shifted]


DAMAGES = [
    _drop,
    _repeat,
    _swap,
    _move,
    _truncate,
    _set_field,
    _remove_field,
    _set_nested,
    _rename,
    _shift_ids,
]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Return ``data`` cut at these places (taken modulo its length)."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]
