"""A short stream that conforms, frame by frame: it must cross the proxy unchanged."""

from __future__ import annotations

import orjson

BODY = b'{"model":"m","input":"hi","stream":true}'


def event(kind: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


def response(status: str, *output: object) -> dict[str, object]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": status,
        "output": list(output),
        "error": None,
        "incomplete_details": None,
        "completed_at": None,
        "instructions": None,
        "previous_response_id": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "safety_identifier": None,
        "prompt_cache_key": None,
        "usage": None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "temperature": 1.0,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "top_logprobs": 0,
        "truncation": "disabled",
        "background": False,
        "store": True,
        "service_tier": "default",
        "metadata": {},
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": None, "summary": None},
    }


def message(status: str, *content: object) -> dict[str, object]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": list(content)}


TEXT = {"type": "output_text", "text": "Hi.", "annotations": []}
AT = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
CREATED = event("response.created", sequence_number=0, response=response("in_progress"))
STARTED = event("response.in_progress", sequence_number=1, response=response("in_progress"))
ADDED = event("response.output_item.added", sequence_number=2, output_index=0, item=message("in_progress"))
PART = event("response.content_part.added", sequence_number=3, **AT, part={**TEXT, "text": ""})
DELTA = event("response.output_text.delta", sequence_number=4, **AT, delta="Hi.", logprobs=[])
TEXT_DONE = event("response.output_text.done", sequence_number=5, **AT, text="Hi.", logprobs=[])
PART_DONE = event("response.content_part.done", sequence_number=6, **AT, part=TEXT)
ITEM_DONE = event(
    "response.output_item.done", sequence_number=7, output_index=0, item=message("completed", TEXT)
)
COMPLETED = event(
    "response.completed", sequence_number=8, response=response("completed", message("completed", TEXT))
)
DONE = b"data: [DONE]\n\n"
WHOLE = (CREATED, STARTED, ADDED, PART, DELTA, TEXT_DONE, PART_DONE, ITEM_DONE, COMPLETED, DONE)
