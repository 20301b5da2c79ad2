"""What two strict clients make of an answer.

Small imitations, each true to the rules that were measured with the real client on the same streams:

- `read_like_codex`: Codex CLI 0.169. Reads every event into one structure with typed fields; an event that does not
  fit is dropped. Final texts and tool calls come from `response.output_item.done` only, and the turn needs
  `response.completed`.
- `read_like_openai_helper`: `client.responses.stream(...)` of openai-python 3. Keeps a snapshot of the response and
  raises on the first event that does not fit it. The tests hold it against the real package.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.sse import FrameDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIFECYCLE: Final = frozenset(
    f"response.{state}" for state in ("created", "queued", "in_progress", "completed", "failed", "incomplete")
)
_CODEX_STRINGS: Final = ("delta", "item_id", "call_id", "text")
_CODEX_INTEGERS: Final = ("summary_index", "content_index")
_JSON_KINDS: Final = {dict: "map", list: "sequence", int: "integer", float: "floating point", bool: "boolean"}


EVENT_STREAM: Final = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it arrived.

    Attributes:
        status: the HTTP status.
        content_type: the media type, without its parameters.
        body: what came of the body.
        cut: the body has no end: the connection broke before its last HTTP chunk, or nothing came for too long.
        silent: it was the latter.
    """

    status: int
    content_type: str
    body: bytes
    cut: bool
    silent: bool = False

    def payloads(self) -> list[bytes]:
        """Return the `data` of every complete event."""
        return [frame.data for frame in FrameDecoder().feed(self.body) if frame.comment is None]

    @property
    def error_message(self) -> str | None:
        """The message of an HTTP error, or of an answer that is something else than a stream; None for a stream."""
        if self.status != HTTPStatus.OK:
            return f"HTTP {self.status}: {self._message() or self.body.decode(errors='replace')}"
        return None if self.content_type == EVENT_STREAM else f"not a stream, but {self.content_type}"

    @property
    def is_readable(self) -> bool:
        """Whether a client can read this answer at all: a stream, or an error with its reason where SDKs look for it."""
        return self.error_message is None or self._message() is not None

    def _message(self) -> str | None:
        error = mapping(object_of(self.body).get("error"))
        message = error.get("message")
        return message if isinstance(message, str) else None


@dataclass(slots=True)
class Reading:
    """What a client made of an answer: what went wrong, and what it has to show for it."""

    problems: list[str] = field(default_factory=list)
    thinking: str = ""
    texts: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def shows(self) -> str:
        """Return the answer and the tool calls as one line; empty if there are none."""
        return " · ".join([text.strip() for text in self.texts if text.strip()] + self.calls)


def read_like_codex(answer: Answer) -> Reading:
    """Read `answer` as Codex does."""
    reading = Reading()
    if answer.error_message is not None:
        reading.problems.append(answer.error_message)
        return reading
    dropped: dict[str, int] = {}
    outcome = _read_events_like_codex(answer, reading, dropped)
    reading.problems += [f"{count} events dropped: {reason}" for reason, count in dropped.items()]
    if outcome is None:
        outcome = (
            "Transport error: network error: error decoding response body"
            if answer.cut
            else "stream disconnected before completion: stream closed before response.completed"
        )
    if outcome:
        reading.problems.append(outcome)
    elif not reading.texts and not reading.calls:
        reading.problems.append("the turn succeeds, with an empty answer")
    return reading


def _read_events_like_codex(answer: Answer, reading: Reading, dropped: dict[str, int]) -> str | None:
    """Return None if the stream ended early, "" for a turn that succeeded, else why it failed."""
    for payload in answer.payloads():
        if payload == b"[DONE]":
            continue
        event = object_of(payload)
        misfit = _codex_misfit(event)
        if misfit is not None:
            dropped[misfit] = dropped.get(misfit, 0) + 1
            continue
        match event["type"]:
            case "response.reasoning_text.delta":
                reading.thinking += event.get("delta") or ""
            case "response.output_item.done":
                _take_item_like_codex(event.get("item"), reading)
            case "response.completed":
                return _completed_like_codex(event.get("response"))
            case "response.failed":
                error = mapping(mapping(event.get("response")).get("error"))
                return f"turn failed: {error.get('message', 'response.failed event received')}"
            case "response.incomplete":
                details = mapping(mapping(event.get("response")).get("incomplete_details"))
                return f"Incomplete response returned, reason: {details.get('reason', 'unknown')}"
            case _:
                pass
    return None


def _codex_misfit(event: Mapping[str, Any]) -> str | None:
    """Return why the event does not fit Codex's structure, in serde's words, or None."""
    if not isinstance(event.get("type"), str):
        return "missing field `type`"
    for names, kind, wanted in ((_CODEX_STRINGS, str, "a string"), (_CODEX_INTEGERS, int, "i64")):
        for name in names:
            value = event.get(name)
            if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
                return f"invalid type: {_JSON_KINDS.get(type(value), 'string')}, expected {wanted}"
    return None


def _take_item_like_codex(item: object, reading: Reading) -> None:
    match item:
        case {"type": "message", "role": str(), "content": list(parts)}:
            reading.texts.append("".join(_texts(parts, "output_text")))
        case {"type": "function_call", "name": str(name), "arguments": str(arguments), "call_id": str()}:
            reading.calls.append(f"{name}({arguments})")
        case _:
            pass


def _completed_like_codex(response: object) -> str:
    match response:
        case {"id": str(), "usage": {"input_tokens_details": dict(details)}} if (
            "cached_tokens" not in details
        ):
            return "failed to parse ResponseCompleted: missing field `cached_tokens`"
        case {"id": str()}:
            return ""
        case _:
            return "failed to parse ResponseCompleted: missing field `id`"


class HelperError(Exception):
    """What the openai package raises, its type in front."""


def read_like_openai_helper(answer: Answer) -> Reading:
    """Read `answer` as `with client.responses.stream(...) as s: s.get_final_response()` does."""
    reading = Reading()
    if answer.error_message is not None:
        reading.problems.append(answer.error_message)
        return reading
    try:
        _read_into_snapshot(answer, _Snapshot(reading))
    except HelperError as error:
        reading.problems.append(str(error))
    return reading


def _read_into_snapshot(answer: Answer, snapshot: _Snapshot) -> None:
    for payload in answer.payloads():
        if payload.startswith(b"[DONE]"):
            break
        snapshot.take(object_of(payload))
    else:
        if answer.cut:
            raise HelperError("APIConnectionError: Connection error.")
    if not snapshot.completed:
        raise HelperError("RuntimeError: Didn't receive a `response.completed` event.")


class _Snapshot:
    """The helper's picture of the response: the items by output_index, as announced and as done."""

    def __init__(self, reading: Reading) -> None:
        self.completed = False
        self._reading = reading
        self._response_id: object = None
        self._started = False
        self._items: dict[object, dict[str, Any]] = {}
        self._contents: dict[object, list[str]] = {}
        self._done: dict[object, dict[str, Any]] = {}
        self._handlers: dict[object, Callable[[Mapping[str, Any]], None]] = {
            "response.output_item.added": self._add_item,
            "response.output_item.done": self._finish_item,
            "response.content_part.added": self._add_part,
            "response.output_text.delta": self._grow_text,
            "response.output_text.done": self._check_text,
            "response.function_call_arguments.delta": self._grow_arguments,
            "response.reasoning_text.delta": self._grow_thinking,
            "response.completed": self._complete,
        }

    def take(self, event: Mapping[str, Any]) -> None:
        """Take one event; raises `HelperError` where the package raises."""
        if event.get("error"):
            message = mapping(event["error"]).get("message", "An error occurred during streaming")
            raise HelperError(f"APIError: {message}")
        type_ = event.get("type")
        if not self._started:
            if type_ != "response.created":
                raise HelperError(
                    f"RuntimeError: Expected to have received `response.created` before `{type_}`"
                )
            self._started = True
            self._response_id = mapping(event.get("response")).get("id")
            return
        if type_ in LIFECYCLE and mapping(event.get("response")).get("id") != self._response_id:
            raise HelperError("RuntimeError: Lifecycle response identity changed.")
        handle = self._handlers.get(type_)
        if handle is not None:
            handle(event)

    def _item(self, event: Mapping[str, Any]) -> dict[str, Any]:
        index = event.get("output_index")
        if index not in self._items:
            raise HelperError(
                f"RuntimeError: Received a content event for output index {index} before receiving its output item"
            )
        return self._items[index]

    def _add_item(self, event: Mapping[str, Any]) -> None:
        index = event.get("output_index")
        if index in self._items:
            raise HelperError(f"RuntimeError: Duplicate response output index {index}.")
        self._items[index] = dict(mapping(event.get("item")))
        self._contents[index] = []

    def _add_part(self, event: Mapping[str, Any]) -> None:
        if self._item(event).get("type") == "message":
            self._contents[event.get("output_index")].append("")

    def _content_of(self, event: Mapping[str, Any]) -> tuple[list[str], int]:
        """Return the item's texts and which of them the event means."""
        contents = self._contents.get(event.get("output_index"), [])
        if self._item(event).get("type") != "message":
            raise HelperError("AssertionError")
        position = event.get("content_index")
        if not isinstance(position, int):
            raise HelperError("TypeError: list indices must be integers or slices")
        if not -len(contents) <= position < len(contents):
            raise HelperError("IndexError: list index out of range")
        return contents, position

    def _check_text(self, event: Mapping[str, Any]) -> None:
        self._content_of(event)

    def _grow_text(self, event: Mapping[str, Any]) -> None:
        contents, position = self._content_of(event)
        contents[position] = _concatenate(contents[position], event.get("delta"))

    def _grow_arguments(self, event: Mapping[str, Any]) -> None:
        item = self._item(event)
        if item.get("type") == "function_call":
            item["arguments"] = _concatenate(item.get("arguments") or "", event.get("delta"))

    def _grow_thinking(self, event: Mapping[str, Any]) -> None:
        delta = event.get("delta")
        self._reading.thinking += delta if isinstance(delta, str) else ""

    def _finish_item(self, event: Mapping[str, Any]) -> None:
        index = event.get("output_index")
        item = dict(mapping(event.get("item")))
        added = self._items.get(index)
        if added is not None and not _same_item(added, item):
            raise HelperError("RuntimeError: Completed output item identity changed.")
        if any(_identity(item) == _identity(other) for at, other in self._done.items() if at != index):
            raise HelperError("RuntimeError: Response snapshot has conflicting output identities.")
        self._done[index] = item

    def _complete(self, event: Mapping[str, Any]) -> None:
        response = mapping(event.get("response"))
        output = [dict(mapping(item)) for item in response.get("output") or []]
        final = {_identity(item): item for item in output}
        for item in self._done.values():
            if _identity(item) in final and not _same_item(item, final[_identity(item)]):
                raise HelperError("RuntimeError: Completed response output identity changed.")
        for index, item in self._items.items():
            if index not in self._done and (
                _identity(item) not in final or not _same_item(item, final[_identity(item)])
            ):
                raise HelperError("RuntimeError: Cannot complete response with unfinished output items.")
        self.completed = True
        for item in output:
            if item.get("type") == "message":
                self._reading.texts.append("".join(_texts(item.get("content"), "output_text")))
            elif item.get("type") == "function_call":
                self._reading.calls.append(f"{item.get('name')}({item.get('arguments')})")


def _identity(item: Mapping[str, Any]) -> tuple[object, object]:
    name = "call_id" if item.get("type") == "function_call" else "id"
    return item.get("type"), item.get(name)


def _same_item(previous: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    if _identity(previous) != _identity(item):
        return False
    known = previous.get("id")
    return known == item.get("id") or (known is None and previous.get("type") == "function_call")


def _concatenate(text: str, delta: object) -> str:
    if not isinstance(delta, str):
        raise HelperError(f'TypeError: can only concatenate str (not "{type(delta).__name__}") to str')
    return text + delta


def _texts(parts: object, kind: str) -> list[str]:
    entries = parts if isinstance(parts, list) else []
    return [part["text"] for part in entries if isinstance(part, dict) and part.get("type") == kind]


def object_of(payload: bytes) -> dict[str, Any]:
    """Return the object that a payload holds; empty if it holds none."""
    try:
        value = json.loads(payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def mapping(value: object) -> Mapping[str, Any]:
    """Return a value that is an object; empty if it is none."""
    return value if isinstance(value, dict) else {}
