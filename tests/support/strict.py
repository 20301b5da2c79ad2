"""The strictest reader of a stream: every event validated by the `openai` package's own types.

The package itself validates nothing (it builds whatever came), so a stream that passes here is read by every typed client.
"""

from typing import Any, get_args

import orjson
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter, ValidationError

from vllm_sse_proxy.sse import FrameDecoder

_CLASSES: dict[str, TypeAdapter[Any]] = {
    get_args(member.model_fields["type"].annotation)[0]: TypeAdapter(member)
    for member in get_args(get_args(ResponseStreamEvent)[0])
}


def strict_errors(stream: bytes) -> list[str]:
    """Return what the `openai` package's types find wrong with a stream; events of types that it does not know pass."""
    frames = FrameDecoder(max_frame_bytes=len(stream) + 1).feed(stream)
    events = [frame.data for frame in frames if frame.comment is None and frame.data != b"[DONE]"]
    return [
        f"event {position}: {error}" for position, data in enumerate(events) for error in event_errors(data)
    ]


def event_errors(data: bytes) -> list[str]:
    """Return what is wrong with one event, by the class that its `type` names."""
    try:
        type_ = orjson.loads(data).get("type")
    except orjson.JSONDecodeError as error:  # half a character, for one: JSON, and no text
        return [f"it is refused by strict readers of JSON: {error}"]
    adapter = _CLASSES.get(type_)
    if adapter is None:
        return []
    try:
        adapter.validate_json(data, strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return [f"{type_}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in _of_the_right_class(found)]
    return []


def _of_the_right_class(errors: list[Any]) -> list[Any]:
    """Leave out what pydantic says of a union's other classes: those whose `type` is another."""
    others = {e["loc"][:-1] for e in errors if e["type"] == "literal_error" and e["loc"][-1] == "type"}
    unions = {other[:-1] for other in others}
    return [
        e
        for e in errors
        if not (
            e["type"] == "literal_error" and e["loc"][:-1] in unions
        )  # a plain string, beside the classes
        and not any(e["loc"][: len(other)] == other for other in others)
    ]
