"""Fields of the response object (R26, R27, R32).

vLLM's response objects lack ``error`` from 0.11 and ``store`` always, hold nulls where both specifications want
objects, leak ``schema_`` (up to 0.19), and their usage lacks details that the newest clients require. Gateways count under
the names of other APIs, or leave a count out (issue 12, K10). What OpenAI's own API sends is left alone.
"""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar, item_fields, item_objects, response_objects
from vllm_sse_proxy.families.responses.error_reports import read_report
from vllm_sse_proxy.families.responses.grammar import item_kind
from vllm_sse_proxy.families.responses.settings import Dialect
from vllm_sse_proxy.stream.event import dump_json
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body, Event

_LEAKED: Final = {"schema_": "schema", "async_": "async"}
_INPUT: Final = ("input_tokens", "prompt_tokens")
_OUTPUT: Final = ("output_tokens", "completion_tokens")
_TOTAL: Final = ("total_tokens",)
"""The three counts of usage, each with the name that it has in the chat API. Codex fails the turn on usage that lacks one."""
_USAGE_DETAILS: Final = (
    ("input_tokens_details", "prompt_tokens_details", "cached_tokens", "cache_read_input_tokens"),
    ("input_tokens_details", "prompt_tokens_details", "cache_write_tokens", "cache_creation_input_tokens"),
    ("output_tokens_details", "completion_tokens_details", "reasoning_tokens", ""),
)
"""Where a detail stands, where the chat API has it, its name, and its name in Anthropic's API."""
_MOST_DIGITS: Final = 18
_MOST: Final = 10**_MOST_DIGITS
"""Counts that came as a string or a float are below this: more would not fit 64 bits."""
_PLACES_OF_ERRORS: Final = ("last_error", "status_details")
"""Where response objects of other APIs have the error, beside our own."""


class ResponseFields(Repair):
    """Complete the response object with what the request said, else with neutral values."""

    __slots__ = ("_completed", "_is_closed", "_keeps", "_seen")

    name: ClassVar = "response_fields"
    summary: ClassVar = "fields that the response object and its usage must have are filled in"
    fixes: ClassVar = ("R26", "R27", "R32")
    handles: ClassVar = grammar.LIFECYCLE

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._seen: Body = {}
        """upstream's response object that was completed first"""
        self._completed: Body = {}
        """what was made of it"""
        self._keeps = context.settings.dialect is Dialect.UPSTREAM
        """whether upstream's fields stay as they are, as far as any client can read them"""
        self._is_closed = context.settings.dialect is Dialect.OPEN_RESPONSES

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with a complete response object."""
        response = event.body.get("response")
        if not isinstance(response, dict):
            response = {}
        known = self._as_before(response) if event.type != grammar.FAILED else None
        complete = known or self._complete(response, event, view)
        openais = grammar.looks_like_openai(response)
        if not openais and complete["output"]:
            complete = _with_whole_items(complete, open_responses=self._is_closed)
        usage = complete.get("usage")
        whole = _whole_usage(usage, openais=openais) if isinstance(usage, dict) else None
        if whole is not usage:
            complete = {**complete, "usage": whole}
        return None if complete is event.body.get("response") else [event.having(response=complete)]

    def _complete(self, response: Body, event: Event, view: ClientView) -> Body:
        """Return a response object with all that clients need but for its items and its usage; itself if it is so."""
        complete = _with_readable_error(_without_leaks(response), event, view)
        if (_looks_like_vllm(complete) and not self._keeps) or not response_objects.is_readable(complete):
            complete = response_objects.complete_response(complete, view, self.context.request)
        complete = _with_whole_format(response_objects.with_whole_functions(complete))
        if not self._seen:
            self._seen, self._completed = response, complete
        return complete

    def _as_before(self, response: Body) -> Body | None:
        """Return what must come of an object that says the same as the first one, but for how far the response is.

        All objects of a stream repeat the request: tools, instructions and thirty small fields.
        """
        seen = self._seen
        if len(response) != len(seen) or response.get("error") is not None:
            return None
        moved = {name: response[name] for name in _MOVING if name in response}
        if not all(type(value) in _MOVING[name] for name, value in moved.items()):
            return None
        same = {**seen, **moved}
        if same != response or list(same) != list(response) or _types_in(same) != _types_in(response):
            return None
        return response if self._completed is seen else {**self._completed, **moved}


def _looks_like_vllm(response: Mapping[str, Any]) -> bool:
    """Return whether vLLM made the response object: since 0.11 it lacks the ``error`` field of OpenAI's objects (R27)."""
    return "error" not in response and "parallel_tool_calls" in response


def _types_in(response: Body) -> list[type]:
    """Return the types of the values, in order: to Python a truth value is equal to the number that it is as one."""
    return [type(value) for value in response.values()]


_MOVING: Final = {
    "status": frozenset((str,)),
    "output": frozenset((list,)),
    "usage": frozenset((dict, type(None))),
    "incomplete_details": frozenset((dict, type(None))),
    "completed_at": frozenset((int, float, type(None))),
}
"""Fields that say how far a response is, and what may be in them."""


def _with_readable_error(response: Body, event: Event, view: ClientView) -> Body:
    """Give the error its code and its message; what has no message says nothing, but of a failed response its code."""
    error = response.get("error")
    if error is None and event.type != grammar.FAILED:
        return response
    if isinstance(error, dict) and _are_strings(error.get("code"), error.get("message")):
        return response
    words = read_report(error)
    if event.type == grammar.FAILED:
        words = _words_of_failure(words, response, event, view)
    if "message" not in words:
        return response if error is None else {**response, "error": None}
    known = error if isinstance(error, dict) else {}
    code = known.get("code")
    code = code if isinstance(code, str) and code else response_objects.known_code(words.get("code"))
    return {**response, "error": {**known, "code": code, "message": words["message"]}}


def _words_of_failure(words: Body, response: Body, event: Event, view: ClientView) -> Body:
    """Return what is known of the error of a failed response: it may stand beside the object, or in an event before it."""
    beside = {**event.body, "type": None, "response": None}
    for place in (beside, *map(response.get, _PLACES_OF_ERRORS), view.error):
        if "message" in words:
            break
        words = read_report(place) | words
    if "code" in words:
        words.setdefault("message", "The response failed.")
    return words


def _are_strings(*values: object) -> bool:
    return all(isinstance(value, str) for value in values)


def _with_whole_format(response: Body) -> Body:
    """Give the echoed format of the text what its type requires; one without a type is plain text."""
    text = response.get("text")
    format_ = text.get("format") if isinstance(text, dict) else None
    if not isinstance(text, dict) or not isinstance(format_, dict):
        return response
    type_ = format_.get("type")
    required = _JSON_SCHEMA if type_ == "json_schema" else {} if isinstance(type_, str) else _PLAIN_TEXT
    missing = {name: neutral for name, neutral in required.items() if name not in format_}
    return {**response, "text": {**text, "format": format_ | missing}} if missing else response


_PLAIN_TEXT: Final[Body] = {"type": "text"}
_JSON_SCHEMA: Final[Body] = {"name": "", "schema": {}}


def _with_whole_items(response: Body, *, open_responses: bool) -> Body:
    """Give the items of the output the fields that their types require; what they say is for the later repairs."""
    output: list[Any] = response["output"]
    changes = [
        _item_changes(item, open_responses=open_responses) if isinstance(item, dict) else {}
        for item in output
    ]
    if not any(changes):
        return response
    whole = [item | change if change else item for item, change in zip(output, changes, strict=True)]
    return {**response, "output": whole}


def _item_changes(item: Body, *, open_responses: bool) -> Body:
    changes = item_objects.required_fields(item, open_responses=open_responses)
    kind = item_kind(item.get("type"))
    if kind is grammar.MESSAGE and item.get("role") != "assistant":  # nobody else speaks in a response
        changes["role"] = "assistant"
    parts = "content" if kind is grammar.MESSAGE else "summary" if kind is grammar.REASONING else ""
    if parts and (item.get(parts) is None or isinstance(item[parts], dict)):
        changes[parts] = [item[parts]] if item.get(parts) else []
    elif parts and isinstance(item[parts], list):
        whole = [_with_whole_annotations(part) for part in item[parts]]
        if not all(map(is_, whole, item[parts])):
            changes[parts] = whole
    elif kind.run is not None:
        text = item.get(kind.run.field)
        if text is not None and not isinstance(text, str):
            changes[kind.run.field] = dump_json(text).decode()
    return changes


def _with_whole_annotations(part: Any) -> Any:
    if not isinstance(part, dict) or not ("annotations" in part or part.get("type") == "output_text"):
        return part
    known = part.get("annotations")
    whole = item_fields.whole_annotations(known) if isinstance(known, list) else []
    return part if whole is known else {**part, "annotations": whole}


def _without_leaks(response: Body) -> Body:
    text, tools = response.get("text"), response.get("tools")
    changes: Body = {}
    if isinstance(text, dict) and isinstance(text.get("format"), dict) and _leaks(text["format"]):
        changes["text"] = {**text, "format": _renamed(text["format"])}
    if isinstance(tools, list) and any(_leaks(tool) for tool in tools):
        changes["tools"] = [_renamed(tool) if _leaks(tool) else tool for tool in tools]
    return response | changes if changes else response


def _leaks(node: Any) -> bool:
    return isinstance(node, dict) and any(name in node for name in _LEAKED)


def _renamed(node: Body) -> Body:
    return {_LEAKED.get(name, name): value for name, value in node.items() if _LEAKED.get(name) not in node}


def _whole_usage(usage: Body, *, openais: bool) -> Body | None:
    """Return usage with its three counts and their details: what is missing is computed, else 0.

    :param openais: it is OpenAI's own, of which no client requires ``cache_write_tokens``.
    :returns: the object that was given if it is whole; None for what counts nothing.
    """
    read, written, total = _known(usage, _INPUT), _known(usage, _OUTPUT), _known(usage, _TOTAL)
    if read is None and written is None and total is None:
        return None
    if total is not None:
        read = max(0, total - written) if read is None and written is not None else read
        written = max(0, total - read) if written is None and read is not None else written
    counts = (read or 0, written or 0, (read or 0) + (written or 0) if total is None else total)
    changes: Body = {
        name: count
        for name, count in zip((_INPUT[0], _OUTPUT[0], _TOTAL[0]), counts, strict=True)
        if not _is_count(usage.get(name))
    }
    for place, place_in_chat, name, name_elsewhere in _USAGE_DETAILS:
        known = _object(changes.get(place, usage.get(place)))
        if not _is_count(known.get(name)) and not (openais and name == "cache_write_tokens"):
            counted = (
                _known(known, (name,)),
                _known(_object(usage.get(place_in_chat)), (name,)),
                _known(usage, (name_elsewhere,)),
            )
            changes[place] = {**known, name: next((count for count in counted if count is not None), 0)}
    return usage | changes if changes else usage


def _object(value: object) -> Body:
    return value if isinstance(value, dict) else {}


def _known(node: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """Return the count under the first of these names that has one; None if none has."""
    for name in names:
        count: Any = node.get(name)
        if _is_count(count):
            return int(count)
        is_whole = isinstance(count, float) and count.is_integer() and 0 <= count < _MOST
        if is_whole or (isinstance(count, str) and count.isdecimal() and len(count) <= _MOST_DIGITS):
            return int(count)
    return None


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0
