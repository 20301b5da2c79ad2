"""When a response is completed, by what upstream sent: the rule, written down apart from the code that follows it.

Upstream said so: by ``response.completed``, or by a terminal event whose response has that status; whatever else the response
says of itself is stale, unless it is another end (incomplete, failed, cancelled …). Or it sent ``[DONE]`` after it had closed
every item, and the last of these is an answer or a call: nothing is missing then but the event. The end of the body proves
nothing, however clean it is. An error that was reported before is the end.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses.grammar import ALIASES, WORDS_OF_FAILURE
from vllm_sse_proxy.sse import FrameDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

STALE: Final = (None, "completed", "in_progress", "queued")
"""What the status of a response says that has not ended otherwise."""
OTHERWISE: Final = ("incomplete", *WORDS_OF_FAILURE)
"""What it says of a response that has. Any other word says nothing; then a reason for which it is incomplete does."""
_OPENING: Final = ("response.created", "response.queued", "response.in_progress")
_ANSWERS: Final = ("message", "function_call", "custom_tool_call")


def proves_completion(stream: bytes) -> bool:
    """Return whether upstream's bytes say that the response is completed."""
    items = _Items()
    said_done = False
    for body in payloads(stream):
        if body is None:
            said_done = True
            continue
        type_ = ALIASES.get(str(body.get("type")), body.get("type"))
        if type_ == "error" or (not isinstance(type_, str) and body.get("error")):
            return False
        end = _end_in(type_, body)
        if end is not None:
            return end
        items.take(type_, body)
    return said_done and items.are_whole()


def _end_in(type_: object, body: Json) -> bool | None:
    """Return whether an event says that the response is completed; None if it does not end it."""
    response = body.get("response")
    status = response.get("status") if isinstance(response, dict) else None
    if type_ == "response.completed":
        if not isinstance(status, str) or status in STALE:
            return True
        return status not in OTHERWISE and not _has_reason(response)
    if type_ in ("response.incomplete", "response.failed"):
        return bool(status == "completed")
    if not isinstance(type_, str) or type_ in _OPENING or status in (None, "in_progress", "queued"):
        return None
    return bool(status == "completed")  # a private end


def _has_reason(response: Any) -> bool:
    details = response.get("incomplete_details")
    return isinstance(details, dict) and isinstance(details.get("reason"), str)


class _Items:
    """Which items were announced and closed: counted, since their ids are often wrong."""

    def __init__(self) -> None:
        self._announced: list[Json] = []
        self._closed: list[Json] = []
        self._is_open = False

    def take(self, type_: object, body: Json) -> None:
        """Take note of an event."""
        item = body.get("item")
        if type_ == "response.output_item.added" and isinstance(item, dict):
            self._is_open = True
            if item not in self._announced:
                self._announced.append(item)
        elif type_ == "response.output_item.done" and isinstance(item, dict):
            self._is_open = False
            if item not in self._closed:
                self._closed.append(item)
        elif str(type_).endswith((".delta", ".added")):
            self._is_open = True

    def are_whole(self) -> bool:
        """Return whether all that was announced is closed, and the last one of it is an answer or a call."""
        if self._is_open or not self._closed or len(self._announced) > len(self._closed):
            return False
        return self._closed[-1].get("type") in _ANSWERS and self._closed[-1].get("status") != "incomplete"


def payloads(stream: bytes) -> Iterator[Json | None]:
    """Yield the objects of a stream in order, read as leniently as anybody does; None for ``[DONE]``."""
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
            body = json.loads(frame.data.decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            continue
        if isinstance(body, dict):
            yield body
