"""When a response is completed, by what upstream sent: the rule, written down apart from the code that follows it.

Upstream said so: by ``response.completed``, or by a terminal event whose response has that status; whatever else the response
says of itself is stale, unless it is another end (incomplete, failed, cancelled …). Or it sent ``[DONE]`` after it had closed
every item, and the last of these is an answer or a call: nothing is missing then but the event. The end of the body proves
nothing, however clean it is. An error that was reported before is the end.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses.grammar import ALIASES
from vllm_sse_proxy.sse import FrameDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

STALE: Final = (None, "completed", "in_progress", "queued")
"""What the status of a response says that has not ended otherwise."""
_ADDED: Final = "response.output_item.added"
_DONE: Final = "response.output_item.done"
_ANSWERS: Final = ("message", "function_call", "custom_tool_call")


def proves_completion(stream: bytes) -> bool:
    """Return whether upstream's bytes say that the response is completed."""
    announced = closed = 0
    last: object = None
    is_open = False
    for body in payloads(stream):
        if body is None:
            return announced <= closed and closed > 0 and not is_open and last in _ANSWERS
        type_, response = ALIASES.get(body.get("type", ""), body.get("type")), body.get("response")
        status = response.get("status") if isinstance(response, dict) else None
        if type_ == "error" or _is_error(body):
            return False
        if type_ == "response.completed":
            return status in STALE
        if type_ in ("response.incomplete", "response.failed"):
            return bool(status == "completed")
        if type_ not in _OPENING and isinstance(response, dict) and isinstance(status, str):
            return status == "completed"  # a private end
        item = body.get("item")
        if type_ == _ADDED:
            announced, is_open = announced + 1, True
        elif type_ == _DONE and isinstance(item, dict):
            closed, is_open, last = closed + 1, False, item.get("type")
            if item.get("status") == "incomplete":
                last = None
        elif str(type_).endswith((".delta", ".added")):
            is_open = True
    return False


_OPENING: Final = ("response.created", "response.queued", "response.in_progress")


def payloads(stream: bytes) -> Iterator[Json | None]:
    """Yield the objects of a stream in order; None for ``[DONE]``."""
    decoder = FrameDecoder(max_frame_bytes=len(stream) + 1)
    frames = decoder.feed(stream)
    rest = decoder.finish()
    for frame in [*frames, *([rest] if rest is not None else [])]:
        if frame.comment is not None:
            continue
        if frame.data.startswith(b"[DONE]"):
            yield None
            continue
        try:
            body = json.loads(frame.data)
        except (ValueError, RecursionError):
            continue
        if isinstance(body, dict):
            yield body


def _is_error(body: Json) -> bool:
    return not isinstance(body.get("type"), str) and bool(body.get("error"))
