"""The judge: one perfect stream, and for every rule a change to it that breaks this rule and no other."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_sse_proxy.families.judging import Violation
from vllm_sse_proxy.families.responses.conformance import RULES, ConformanceChecker, check_stream

Body = dict[str, Any]
Stream = list[Any]
"""Bodies of events without their numbers, and bytes for what is not an event."""

DONE = b"data: [DONE]\n\n"
ABSENT = object()
"""As a number: leave the event without one."""

RESPONSE: Body = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1700000000,
    "model": "m",
    "output": [],
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "status": "in_progress",
    "usage": None,
}
USAGE: Body = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 4,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 7,
}


def at(item_id: str, output_index: int, **fields: Any) -> Body:
    return {"item_id": item_id, "output_index": output_index, **fields}


def emitted_part(place: Body, name: str, part: Body, *deltas: str) -> Stream:
    """Return a content part's whole life."""
    field = "refusal" if part["type"] == "refusal" else "text"
    logprobs: Body = {"logprobs": []} if part["type"] == "output_text" else {}
    opened = {**part, field: "", **({"annotations": []} if "annotations" in part else {})}
    return [
        {"type": "response.content_part.added", **place, "part": opened},
        *({"type": f"response.{name}.delta", **place, "delta": delta, **logprobs} for delta in deltas),
        {"type": f"response.{name}.done", **place, field: part[field], **logprobs},
        {"type": "response.content_part.done", **place, "part": part},
    ]


def perfect() -> Stream:
    """Return a stream that has one of everything and breaks no rule."""
    note = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}
    summary = {"type": "summary_text", "text": "In short."}
    thought = {"type": "reasoning_text", "text": "Think."}
    text = {"type": "output_text", "text": "Hello", "annotations": [note]}
    refusal = {"type": "refusal", "refusal": "No."}
    reasoning = {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [summary],
        "content": [thought],
        "status": "completed",
    }
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [text, refusal],
        "status": "completed",
    }
    call = {
        "id": "fc_1",
        "type": "function_call",
        "name": "f",
        "call_id": "c_1",
        "arguments": "{}",
        "status": "completed",
    }
    custom = {"id": "ctc_1", "type": "custom_tool_call", "name": "g", "call_id": "c_2", "input": "x"}
    search = {
        "id": "ws_1",
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "search", "query": "q"},
    }
    mcp = {
        "id": "mcp_1",
        "type": "mcp_call",
        "name": "h",
        "server_label": "s",
        "arguments": "{}",
        "status": "completed",
    }
    shell = {
        "id": "sh_1",
        "type": "shell_call",
        "call_id": "c_3",
        "status": "completed",
        "action": {"commands": ["ls"]},
    }
    search_tool = {"id": "ts_1", "type": "tool_search_call", "call_id": "c_4", "status": "completed"}
    output = [reasoning, message, call, custom, search, mcp, shell, search_tool]
    short = at("rs_1", 0, summary_index=0)
    annotated = emitted_part(at("msg_1", 1, content_index=0), "output_text", text, "Hel", "lo")
    annotation = at("msg_1", 1, content_index=0, annotation_index=0, annotation=note)
    annotated.insert(2, {"type": "response.output_text.annotation.added", **annotation})
    return _unshared(
        [
            {"type": "response.created", "response": {**RESPONSE, "status": "queued"}},
            {"type": "response.queued", "response": {**RESPONSE, "status": "queued"}},
            {"type": "response.in_progress", "response": RESPONSE},
            added(0, {**reasoning, "summary": [], "content": [], "status": "in_progress"}),
            {"type": "response.reasoning_summary_part.added", **short, "part": {**summary, "text": ""}},
            {"type": "response.reasoning_summary_text.delta", **short, "delta": "In short."},
            {"type": "response.reasoning_summary_text.done", **short, "text": "In short."},
            {"type": "response.reasoning_summary_part.done", **short, "part": summary},
            *emitted_part(at("rs_1", 0, content_index=0), "reasoning_text", thought, "Think", "."),
            done(0, reasoning),
            added(1, {**message, "content": [], "status": "in_progress"}),
            *annotated,
            *emitted_part(at("msg_1", 1, content_index=1), "refusal", refusal, "No."),
            done(1, message),
            added(2, {**call, "arguments": "", "status": "in_progress"}),
            {"type": "response.function_call_arguments.delta", **at("fc_1", 2), "delta": "{}"},
            {"type": "response.function_call_arguments.done", **at("fc_1", 2), "arguments": "{}"},
            done(2, call),
            added(3, {**custom, "input": ""}),
            {"type": "response.custom_tool_call_input.delta", **at("ctc_1", 3), "delta": "x"},
            {"type": "response.custom_tool_call_input.done", **at("ctc_1", 3), "input": "x"},
            done(3, custom),
            {"type": "keepalive"},
            added(4, {**search, "status": "in_progress", "action": None}),
            {"type": "response.web_search_call.in_progress", **at("ws_1", 4)},
            {"type": "response.web_search_call.searching", **at("ws_1", 4)},
            {"type": "response.web_search_call.completed", **at("ws_1", 4)},
            done(4, search),
            added(5, {**mcp, "arguments": "", "status": "in_progress"}),
            {"type": "response.mcp_call.in_progress", **at("mcp_1", 5)},
            {"type": "response.mcp_call.in_progress", **at("mcp_1", 5)},
            {"type": "response.mcp_call.failed", **at("mcp_1", 5)},
            done(5, mcp),
            added(6, shell),
            {
                "type": "response.shell_call_command.added",
                "output_index": 6,
                "command_index": 0,
                "command": "",
            },
            {
                "type": "response.shell_call_output_content.delta",
                **at("sh_1", 6),
                "command_index": 0,
                "delta": {"stdout": "x"},
            },
            done(6, shell),
            added(7, {**search_tool, "call_id": "c_5"}),
            done(7, search_tool),
            {"type": "response.audio.delta", "delta": "AAAA"},
            {"type": "vendor:event", "any": "thing"},
            {
                "type": "response.completed",
                "response": {**RESPONSE, "status": "completed", "output": output, "usage": USAGE},
            },
            DONE,
        ]
    )


def _unshared(events: Stream) -> Stream:
    """Return a copy in which no two events share an object, so that one can be changed alone."""
    return [event if isinstance(event, bytes) else json.loads(json.dumps(event)) for event in events]


def added(index: int, item: Body) -> Body:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(index: int, item: Body) -> Body:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def frames(events: Stream) -> bytes:
    """Return the stream's bytes; events without a number get the next."""
    made = b""
    number = 0
    for event in events:
        if isinstance(event, bytes):
            made += event
            continue
        keepalive = event["type"] == "keepalive"
        body = {**event, "sequence_number": event.get("sequence_number", number - keepalive)}
        if body["sequence_number"] is ABSENT:
            del body["sequence_number"]
        number += not keepalive
        line = body.pop("event line", body["type"])
        made += f"event: {line}\ndata: {json.dumps(body)}\n\n".encode()
    return made


def place(events: Stream, type_: str, nth: int = 0) -> int:
    """Return the index of the nth event of a type (the prefix `response.` left out)."""
    return [
        n
        for n, e in enumerate(events)
        if not isinstance(e, bytes) and e["type"] in (type_, f"response.{type_}")
    ][nth]


Change = Callable[[Stream], object]


def put(type_: str, path: str, value: Any, nth: int = 0) -> Change:
    """Set a field of an event."""

    def change(events: Stream) -> None:
        target: Any = events[place(events, type_, nth)]
        *steps, last = [int(step) if step.lstrip("-").isdigit() else step for step in path.split("/")]
        for step in steps:
            target = target[step]
        if value is ABSENT and last != "sequence_number":
            del target[last]
        else:
            target[last] = value

    return change


def drop(type_: str, nth: int = 0) -> Change:
    """Take an event away."""
    return lambda events: events.pop(place(events, type_, nth))


def twice(type_: str, nth: int = 0, **fields: Any) -> Change:
    """Send an event a second time, right after the first."""

    def change(events: Stream) -> None:
        index = place(events, type_, nth)
        events.insert(index + 1, {**events[index], **fields})

    return change


def swap(type_: str, nth: int = 0) -> Change:
    """Exchange an event with the next."""

    def change(events: Stream) -> None:
        index = place(events, type_, nth)
        events[index : index + 2] = events[index + 1], events[index]

    return change


def move(type_: str, nth: int, before: str, nth_before: int = 0) -> Change:
    """Send an event earlier or later."""

    def change(events: Stream) -> None:
        event = events.pop(place(events, type_, nth))
        events.insert(place(events, before, nth_before), event)

    return change


def insert(before: str, *new: Any, nth: int = 0) -> Change:
    """Send more."""

    def change(events: Stream) -> None:
        index = place(events, before, nth)
        events[index:index] = new

    return change


def append(*new: Any) -> Change:
    """Send more at the end."""
    return lambda events: events.extend(new)


def both(*changes: Change) -> Change:
    """Change several things."""

    def change(events: Stream) -> None:
        for each in changes:
            each(events)

    return change


def ending(type_: str, status: str, **fields: Any) -> Change:
    """End the stream in another way."""

    def change(events: Stream) -> None:
        index = place(events, "completed", -1)
        response = {**events[index]["response"], "status": status, **fields}
        events[index] = {"type": f"response.{type_}", "response": response}

    return change


FAILURE = {"code": "server_error", "message": "m"}
ERROR_EVENT = {"type": "error", "code": "c", "message": "m", "error": {"message": "m"}}
HALF_OPENED = added(8, {"id": "rs_9", "type": "reasoning", "summary": []})

CHANGES: dict[str, list[Change]] = {
    "frame_shape": [
        insert("in_progress", b"id: 7\n\n"),
        insert("in_progress", b"event: ping\n\n"),
        insert("in_progress", b"\n"),
        insert("in_progress", b"\n\n"),
        insert("in_progress", b": a comment\r\n\n"),
        insert("in_progress", b"\xef\xbb\xbf\n\n"),
        append(b"data: [DO"),
    ],
    "event_line": [put("created", "event line", "message")],
    "json": [
        insert("in_progress", b"event: x\ndata: {]\n\n"),
        insert("in_progress", b'event: x\ndata: {"type":"x","a":NaN}\n\n'),
        insert("in_progress", b'event: x\ndata: {"type":"\xff"}\n\n'),
        insert("in_progress", b'event: x\ndata: ["type"]\n\n'),
        insert("in_progress", b"event: x\ndata: " + b"[" * 100_000 + b"\n\n"),
    ],
    "type": [
        insert("in_progress", b'event: x\ndata: {"error":{}}\n\n'),
        insert("in_progress", b'event: x\ndata: {"type":1}\n\n'),
        insert("in_progress", b'event: x\ndata: {"type":' + b"[" * 1000 + b"]" * 1000 + b"}\n\n"),
    ],
    "sequence_number": [
        put("in_progress", "sequence_number", -1),
        put("in_progress", "sequence_number", ABSENT),
        put("in_progress", "sequence_number", "2"),
        put("in_progress", "sequence_number", 2.0),
        put("vendor:event", "sequence_number", None),
        insert("in_progress", b'event: x\ndata: {"type":"x"}\n\n'),
    ],
    "nested_number": [
        put("output_item.done", "item/sequence_number", -1, 2),
        put("content_part.done", "part/sequence_number", 0),
        put("completed", "response/output/1/content/0/sequence_number", 7),
    ],
    "keepalive": [put("keepalive", "sequence_number", 7), put("keepalive", "sequence_number", ABSENT)],
    "standard_name": [
        put("reasoning_text.delta", "type", "response.reasoning.delta"),
        put("content_part.added", "type", "response.reasoning_part.added"),
        put("vendor:event", "type", "response.ping"),
        put("vendor:event", "type", "response.tool_call.delta"),
    ],
    "fields": [
        both(twice("output_text.delta"), put("output_text.delta", "logprobs", ABSENT)),
        both(twice("reasoning_text.delta"), put("reasoning_text.delta", "item_id", "")),
        put("web_search_call.searching", "item_id", None),
        put("web_search_call.searching", "output_index", -1),
        put("web_search_call.searching", "output_index", True),
        put("queued", "response", None),
    ],
    "delta_type": [
        insert(
            "output_text.done",
            {
                "type": "response.output_text.delta",
                "logprobs": [],
                **at("msg_1", 1),
                "content_index": 0,
                "delta": delta,
            },
        )
        for delta in ({"content": ""}, None, [""])
    ]
    + [put("shell_call_output_content.delta", "delta", "x")],
    "created_first": [drop("created")],
    "created_once": [
        twice("created"),
        insert("completed", {"type": "response.created", "response": RESPONSE}),
    ],
    "queued_order": [twice("queued"), swap("queued")],
    "in_progress_once": [
        drop("in_progress"),
        twice("in_progress"),
        move("in_progress", 0, "reasoning_text.delta"),
    ],
    "response_fields": [
        put("created", "response/model", ABSENT),
        put("in_progress", "response/created_at", "now"),
        put("queued", "response/output", None),
        put("completed", "response/output", None),
        put("created", "response/object", 7),
        put("created", "response/temperature", "hot"),
        put("created", "response/error", {"message": "m"}),
        put("created", "response/tool_choice", "perhaps"),
        put("created", "response/tools", ["f"]),
        put("created", "response/tools", [{"type": "function", "name": "f", "parameters": {}}]),
    ],
    "response_id": [put("completed", "response/id", "resp_2"), put("in_progress", "response/id", "resp_2")],
    "response_status": [
        put("completed", "response/status", "incomplete"),
        put("created", "response/status", "completed"),
        put("in_progress", "response/status", ABSENT),
    ],
    "opening_output": [put("in_progress", "response/output", [{}])],
    "usage_details": [
        put("completed", "response/usage/input_tokens_details", {}),
        put("completed", "response/usage/output_tokens_details", None),
        put("completed", "response/usage/total_tokens", -1),
    ],
    "incomplete_reason": [
        ending("incomplete", "incomplete", incomplete_details={}),
    ],
    "failed_error": [ending("failed", "failed"), ending("failed", "failed", error={"message": "m"})],
    "error_shape": [
        both(
            ending("failed", "failed", error=FAILURE),
            insert("failed", {"type": "error", "message": "m", "code": "c", "param": None}),
        ),
        both(
            ending("failed", "failed", error=FAILURE),
            insert("failed", {"type": "error", "error": {"message": None}}),
        ),
    ],
    "error_then_failed": [insert("completed", ERROR_EVENT), insert("vendor:event", ERROR_EVENT)],
    "terminal": [both(drop("completed"), lambda events: events.remove(DONE))],
    "after_terminal": [
        twice("completed"),
        both(lambda events: events.remove(DONE), append({"type": "vendor:event"}, DONE)),
        both(lambda events: events.remove(DONE), append({"type": "keepalive"}, DONE)),
    ],
    "done_sentinel": [
        lambda events: events.remove(DONE),
        append(DONE),
        append({"type": "vendor:event"}),
    ],
    "output_index": [
        twice("output_item.added", 7),
        both(
            *(put(f"output_item.{when}", "output_index", 9, 7) for when in ("added", "done")),
        ),
    ],
    "item_id": [
        both(
            *(put(f"output_item.{when}", "item/id", value, 7) for when in ("added", "done")),
            put("completed", "response/output/7/id", value),
        )
        for value in ("", None, "sh_1")
    ],
    "item_fields": [
        put("output_item.added", "item/content", None, 1),
        put("output_item.added", "item/summary", ABSENT, 0),
        put("output_item.added", "item/content", "", 0),
        put("output_item.added", "item/arguments", None, 2),
        both(
            *(put(f"output_item.{when}", "item/call_id", 7, 2) for when in ("added", "done")),
            put("completed", "response/output/2/call_id", 7),
        ),
        both(
            *(put(f"output_item.{when}", "item/name", "", 2) for when in ("added", "done")),
            put("completed", "response/output/2/name", ""),
        ),
        both(
            *(put(f"output_item.{when}", "item/type", None, 6) for when in ("added", "done")),
            put("completed", "response/output/6/type", None),
        ),
        both(
            put("output_item.done", "item/content", "Think.", 0),
            put("completed", "response/output/0/content", "Think."),
        ),
    ],
    "item_status": [
        put("output_item.added", "item/status", "completed", 2),
        both(
            put("output_item.done", "item/status", ABSENT, 2),
            put("completed", "response/output/2/status", ABSENT),
        ),
        both(
            put("output_item.done", "item/status", "in_progress", 1),
            put("completed", "response/output/1/status", "in_progress"),
        ),
    ],
    "opened_empty": [
        put("output_item.added", "item/arguments", "{}", 2),
        put("output_item.added", "item/input", "x", 3),
        put("output_item.added", "item/content", [{}], 1),
        put("output_item.added", "item/summary", [{}], 0),
        put("content_part.added", "part/text", "Hel", 1),
        put("content_part.added", "part/annotations", [{}], 1),
    ],
    "call_id": [
        both(
            put("output_item.added", "item/call_id", "c_1", 3),
            put("output_item.done", "item/call_id", "c_1", 3),
            put("completed", "response/output/3/call_id", "c_1"),
        )
    ],
    "item_open": [
        twice("output_item.done"),
        move("web_search_call.completed", 0, "vendor:event"),
        move("web_search_call.in_progress", 0, "keepalive"),
        insert("vendor:event", {"type": "response.web_search_call.completed", **at("x", 33)}),
    ],
    "item_id_match": [
        put("web_search_call.searching", "item_id", "msg_1"),
        put("output_text.delta", "item_id", "msg_2"),
    ],
    "item_identity": [
        both(put("output_item.done", "item/id", "fc_2", 2), put("completed", "response/output/2/id", "fc_2")),
        both(
            put("output_item.done", "item/call_id", "c_9", 2),
            put("completed", "response/output/2/call_id", "c_9"),
        ),
    ],
    "item_type": [
        insert("web_search_call.searching", {"type": "response.file_search_call.searching", **at("ws_1", 4)})
    ],
    "progress_order": [
        swap("web_search_call.in_progress"),
        twice("web_search_call.searching"),
    ],
    "items_closed": [drop("output_item.done", 7), drop("output_item.done", 1)],
    "incomplete_item": [
        both(
            put("output_item.done", "item/status", "incomplete", -1),
            put("completed", "response/output/-1/status", "incomplete"),
        ),
    ],
    "content_index": [
        both(
            *(
                put(type_, "content_index", 2, -1)
                for type_ in ("content_part.added", "refusal.delta", "refusal.done", "content_part.done")
            )
        ),
        twice("content_part.added", 1),
    ],
    "summary_index": [
        both(
            *(
                put(f"reasoning_summary_{type_}", "summary_index", 1)
                for type_ in ("part.added", "text.delta", "text.done", "part.done")
            )
        ),
        twice("reasoning_summary_part.added"),
    ],
    "parts_overlap": [
        move("content_part.done", 1, "refusal.done"),
        move("reasoning_summary_part.done", 0, "reasoning_text.delta"),
    ],
    "part_fields": [
        put("content_part.added", "part/annotations", None, 1),
        put("content_part.added", "part/text", ABSENT, 0),
        put("content_part.done", "part/annotations", ABSENT, 1),
        put("reasoning_summary_part.added", "part/text", None),
    ],
    "logprobs": [
        put("output_text.delta", "logprobs", ["x"]),
        put("output_text.delta", "logprobs", [{"token": "Hel"}]),
        put("output_text.delta", "logprobs", [{"token": "Hel", "logprob": 0.0, "top_logprobs": [{}]}]),
        put("output_text.done", "logprobs", [{"token": 7, "logprob": 0.0}]),
        both(
            put("content_part.done", "part/logprobs", [{"token": "Hello", "logprob": 0.0}], 1),
            put("output_item.done", "item/content/0/logprobs", [{"token": "Hello", "logprob": 0.0}], 1),
            put("completed", "response/output/1/content/0/logprobs", [{"token": "Hello", "logprob": 0.0}]),
        ),
    ],
    "part_type": [
        put("content_part.added", "part", {"type": "output_text", "text": "", "annotations": []}, 0),
        both(
            put("content_part.done", "part/type", "output_text", 0),
            put("output_item.done", "item/content/0/type", "output_text", 0),
            put("completed", "response/output/0/content/0/type", "output_text"),
        ),
        insert(
            "refusal.done",
            {
                "type": "response.output_text.delta",
                "logprobs": [],
                **at("msg_1", 1),
                "content_index": 1,
                "delta": "",
            },
        ),
        put("content_part.added", "part", {}, 0),
    ],
    "part_open": [
        twice("content_part.done"),
        insert(
            "output_item.done",
            {"type": "response.reasoning_text.delta", **at("rs_1", 0), "content_index": 3, "delta": ""},
        ),
        insert(
            "output_item.done",
            {"type": "response.reasoning_text.delta", **at("rs_1", 0), "content_index": 0, "delta": ""},
        ),
    ],
    "parts_closed": [drop("content_part.done", 0), drop("content_part.done", 2)],
    "text_after_done": [
        twice("reasoning_text.done"),
        insert(
            "content_part.done",
            {"type": "response.reasoning_text.delta", **at("rs_1", 0), "content_index": 0, "delta": ""},
        ),
        twice("function_call_arguments.done"),
        twice("custom_tool_call_input.done"),
    ],
    "text_done": [
        drop("reasoning_text.done"),
        drop("function_call_arguments.done"),
        drop("reasoning_summary_text.done"),
    ],
    "text_sum": [drop("output_text.delta"), put("function_call_arguments.delta", "delta", "{} ")],
    "part_text": [
        both(
            put("content_part.done", "part/text", "Think", 0),
            put("output_item.done", "item/content/0/text", "Think", 0),
            put("completed", "response/output/0/content/0/text", "Think"),
        ),
    ],
    "annotations": [drop("output_text.annotation.added"), twice("output_text.annotation.added")],
    "item_content": [
        both(
            put("output_item.done", "item/content/0/text", "Think", 0),
            put("completed", "response/output/0/content/0/text", "Think"),
        ),
        both(
            put("output_item.done", "item/content", [], 1), put("completed", "response/output/1/content", [])
        ),
        both(
            put("output_item.done", "item/summary", [], 0), put("completed", "response/output/0/summary", [])
        ),
        both(
            put("output_item.done", "item/arguments", "", 2),
            put("completed", "response/output/2/arguments", ""),
        ),
        both(
            put("output_item.done", "item/content/0", "Think.", 0),
            put("completed", "response/output/0/content/0", "Think."),
        ),
    ],
    "terminal_output": [
        put("completed", "response/output", []),
        put("completed", "response/output/1/id", "msg_2"),
        put("completed", "response/output/2/arguments", "{"),
        put("completed", "response/output/1/content/0/text", "Hell"),
        put("completed", "response/output/1/content/0/annotations", []),
        put("completed", "response/output/4/action/query", "r"),
        lambda events: events[place(events, "completed")]["response"]["output"].reverse(),
    ],
}
OPEN_RESPONSES: Body = {
    "truncation": "disabled",
    "text": {"format": {"type": "text"}, "verbosity": "low"},
    "temperature": 1.0,
    "top_p": 1,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
    "store": True,
    "background": False,
    "service_tier": "default",
    "metadata": {},
    "reasoning": {"effort": None, "summary": "auto"},
    **dict.fromkeys(("completed_at", "max_output_tokens", "max_tool_calls", "previous_response_id")),
    **dict.fromkeys(("instructions", "safety_identifier", "prompt_cache_key", "incomplete_details", "error")),
}
"""What a response has in dialect open-responses, beside what it must have everywhere."""


def without(node: Body, name: str) -> Body:
    return {key: value for key, value in node.items() if key != name}


def in_open_responses(events: Stream) -> Stream:
    """Return the stream in dialect open-responses."""
    for event in events:
        if not isinstance(event, bytes):
            event["type"] = event["type"].replace("reasoning_text", "reasoning")
            if "response" in event:
                event["response"] = {**deepcopy(OPEN_RESPONSES), **event["response"]}
    return events


def test_the_perfect_stream_breaks_no_rule() -> None:
    assert check_stream(frames(perfect())) == []
    assert check_stream(frames(in_open_responses(perfect())), dialect="open-responses") == []
    assert check_stream(frames(perfect()), dialect="upstream") == []


def test_every_rule_is_shown() -> None:
    assert {*CHANGES, "open_responses_keys", "open_responses_fields"} == {*RULES}
    assert all(sentence.endswith((".", "…")) for sentence in RULES.values())


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        pytest.param(rule, change, id=f"{rule}-{n}")
        for rule, changes in CHANGES.items()
        for n, change in enumerate(changes)
    ],
)
def test_change_breaks_this_rule_and_no_other(rule: str, change: Change) -> None:
    events = perfect()
    change(events)
    violations = check_stream(frames(events))
    assert {violation.rule for violation in violations} == {rule}, [*map(str, violations)]


ALLOWED: dict[str, Change] = {
    "comments": insert("in_progress", b": keep-alive\n\n", b": a\n: b\n\n", b":\n\n"),
    "lone surrogates": insert("vendor:event", {"type": "vendor:event", "text": "\ud800"}),
    "unknown types that look like the protocol's": insert(
        "vendor:event", {"type": "response.new_tool.delta", "delta": {}}
    ),
    "an error before failed": both(ending("failed", "failed", error=FAILURE), insert("failed", ERROR_EVENT)),
    "an error in OpenAI's own shape": both(
        ending("failed", "failed", error=FAILURE),
        insert("failed", {"type": "error", "error": {"message": "m"}}),
    ),
    "cancelled, emitted as failed": ending("failed", "cancelled", error=FAILURE),
    "an incomplete item in an incomplete response": both(
        put("output_item.done", "item/status", "incomplete", 1),
        put("completed", "response/output/1/status", "incomplete"),
        ending("incomplete", "incomplete", incomplete_details={"reason": "max_output_tokens"}),
    ),
    "no queued": drop("queued"),
    "a server without a label": both(
        put("output_item.added", "item/server_label", "", 5),
        put("output_item.done", "item/server_label", "", 5),
        put("completed", "response/output/5/server_label", ""),
    ),
    "the number of the event inside an item": put("output_item.added", "item/sequence_number", 3, 0),
    "a tool whose schema has a property called sequence_number": put(
        "created",
        "response/tools",
        [{"type": "function", "name": "f", "strict": None, "parameters": {"sequence_number": 7}}],
    ),
    "reasoning without status": both(
        *(put(f"output_item.{when}", "item/status", ABSENT, 0) for when in ("added", "done")),
        put("completed", "response/output/0/status", ABSENT),
    ),
    "encrypted_content that the terminal event gives anew": both(
        put("output_item.done", "item/encrypted_content", "a", 0),
        put("completed", "response/output/0/encrypted_content", "b"),
    ),
    "call_id of a tool_search_call that changes": put("completed", "response/output/7/call_id", "c_6"),
    "what only the terminal event knows": put("completed", "response/output/1/content/0/logprobs", [{}]),
    "a call of OpenAI's programs, in progress when done": both(
        put("output_item.done", "item/status", "in_progress", 2),
        put("output_item.done", "item/caller", {"type": "program"}, 2),
        put("completed", "response/output/2/status", "in_progress"),
        put("completed", "response/output/2/caller", {"type": "program"}),
    ),
}


@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED)
def test_allowed(change: Change) -> None:
    events = perfect()
    change(events)
    assert [*map(str, check_stream(frames(events)))] == []


def test_open_responses_keys() -> None:
    violations = check_stream(frames(perfect()), dialect="open-responses")
    assert {violation.rule for violation in violations} == {
        "open_responses_keys",
        "open_responses_fields",
        "standard_name",
    }
    assert "prompt_cache_key" in str(violations[0])


SCHEMA: Body = {"type": "json_schema", "name": "n", "description": None, "schema": None, "strict": True}
FUNCTION: Body = {"type": "function", "name": "f", "description": None, "parameters": None, "strict": None}
LOGPROB: Body = {"token": "Hel", "bytes": [72], "logprob": 0.0, "top_logprobs": []}


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("open_responses_keys", put("created", "response/created_at", 1700000000.5)),
        ("open_responses_keys", put("created", "response/instructions", ["x"])),
        ("open_responses_fields", put("created", "response/tools", [{"type": "mcp", "description": "d"}])),
        ("open_responses_fields", put("created", "response/tools", [without(FUNCTION, "description")])),
        ("open_responses_fields", put("created", "response/tool_choice", {"type": "mcp"})),
        ("open_responses_fields", put("created", "response/tool_choice", {"type": "allowed_tools"})),
        ("open_responses_fields", put("created", "response/truncation", "middle")),
        ("open_responses_fields", put("created", "response/reasoning/effort", "minimal")),
        ("open_responses_fields", put("created", "response/reasoning/summary", "long")),
        ("open_responses_fields", put("created", "response/text/verbosity", None)),
        ("open_responses_fields", put("created", "response/text/format", ABSENT)),
        ("open_responses_fields", put("created", "response/text/format", {"type": []})),
        ("open_responses_fields", put("created", "response/text/format", {**SCHEMA, "schema": {}})),
        ("open_responses_fields", put("created", "response/text/format", without(SCHEMA, "strict"))),
        ("open_responses_fields", put("output_item.added", "item/phase", None, 1)),
        ("open_responses_fields", put("output_item.added", "item/encrypted_content", None, 0)),
        ("logprobs", put("output_text.delta", "logprobs", [without(LOGPROB, "bytes")])),
        ("logprobs", put("output_text.delta", "logprobs", [without(LOGPROB, "top_logprobs")])),
        (None, put("output_text.delta", "logprobs", [LOGPROB])),
        (None, put("created", "response/text/format", SCHEMA)),
        (None, put("created", "response/tools", [FUNCTION])),
        (None, put("created", "response/tool_choice", {"type": "function", "name": "f"})),
        (
            None,
            put("created", "response/tool_choice", {"type": "allowed_tools", "mode": "auto", "tools": []}),
        ),
        (None, put("created", "response/reasoning", None)),
    ],
)
def test_what_the_schema_of_open_responses_refuses(rule: str | None, change: Change) -> None:
    events = in_open_responses(perfect())
    change(events)
    found = {violation.rule for violation in check_stream(frames(events), dialect="open-responses")}
    assert found == ({rule} if rule else set())


def test_names_are_free_in_dialect_upstream() -> None:
    events = in_open_responses(perfect())
    put("vendor:event", "type", "response.ping")(events)
    assert check_stream(frames(events), dialect="upstream") == []
    put("response.reasoning.delta", "delta", {})(events)
    assert {v.rule for v in check_stream(frames(events), dialect="upstream")} == {"delta_type", "text_sum"}


def test_sentinel_may_be_left_out_where_it_is_not_asked_for() -> None:
    events = perfect()
    events.remove(DONE)
    assert check_stream(frames(events), require_done=False) == []
    assert [v.rule for v in check_stream(frames([*events, DONE, DONE]), require_done=False)] == [
        "done_sentinel"
    ]


def test_early_sentinel() -> None:
    events = perfect()
    insert("completed", DONE)(events)
    rules = {v.rule for v in check_stream(frames(events))}
    assert rules == {"done_sentinel", "terminal"}


def test_nothing_at_all() -> None:
    assert check_stream(b"") == [
        Violation("terminal", 0, "the stream ended without completed, incomplete or failed")
    ]


def test_violation_says_where_and_what() -> None:
    events = perfect()
    put("in_progress", "sequence_number", -1)(events)
    assert (
        str(check_stream(frames(events))[0])
        == "event 2: sequence_number: response.in_progress has -1 instead of 2"
    )
    long = Violation("json", 1, "")
    assert str(long) == "event 1: json: "


def test_long_values_are_cut_in_messages() -> None:
    events = perfect()
    put("completed", "response/id", "x" * 1000)(events)
    (violation,) = check_stream(frames(events))
    assert len(violation.detail) < 200


def test_data_of_several_lines() -> None:
    assert [v.rule for v in ConformanceChecker().feed("x", b'{"type":\n"x"}')] == ["json"]


def test_checker_counts_the_events_that_it_was_fed() -> None:
    checker = ConformanceChecker()
    assert checker.feed("x", b"{") == [Violation("json", 0, "the data is b'{'")]
    assert checker.feed(None, b"{}")[0].position == 1
    assert checker.finish()[0].position == checker.position == 2


@given(st.lists(st.sampled_from(perfect()), max_size=30), st.binary(max_size=10), st.data())
def test_total(events: Stream, noise: bytes, data: st.DataObject) -> None:
    """No stream makes the judge raise, and no stream that lacks a terminal event passes."""
    stream = frames(events)
    cut = data.draw(st.integers(0, len(stream)))
    found = check_stream(stream[:cut] + noise + stream[cut:])
    assert found or (b"response.completed" in stream and b"[DONE]" in stream)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)


@given(st.integers(0, 60), st.data())
def test_total_on_wrong_types(nth: int, data: st.DataObject) -> None:
    """Whatever stands in a field, the judge does not raise, and finds a wrong sequence of types."""
    events = perfect()
    event = events[nth % (len(events) - 1)]
    event = event if isinstance(event, dict) else events[0]
    target: Any = event
    while isinstance(target, dict) and target:
        key = data.draw(st.sampled_from(sorted(target)))
        if not isinstance(target[key], dict) or data.draw(st.booleans()):
            target[key] = data.draw(JSON)
            break
        target = target[key]
    if isinstance(event.get("type"), str):
        check_stream(frames(events))
    check_stream(b"event: x\ndata: " + json.dumps(event).encode() + b"\n\n")
