"""Fields of the response object (R26, R27, R32).

vLLM's response objects lack ``error`` from 0.11 and ``store`` always, hold nulls where both specifications want
objects, leak ``schema_`` (up to 0.19), and their usage lacks details that the newest clients require. What OpenAI's
own API sends is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.repairs.base import Dialect, Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Body, Event
    from vllm_sse_proxy.families.responses.view import ClientView

_LEAKED: Final = {"schema_": "schema", "async_": "async"}
_COUNTS: Final = ("input_tokens", "output_tokens", "total_tokens")
_USAGE_DETAILS: Final = (
    ("input_tokens_details", {"cached_tokens": 0}),
    ("output_tokens_details", {"reasoning_tokens": 0}),
)


class ResponseFields(Repair):
    """Complete the response object with what the request said, else with neutral values."""

    __slots__ = ()

    name: ClassVar = "response_fields"
    summary: ClassVar = "fields that the response object and its usage must have are filled in"
    fixes: ClassVar = ("R26", "R27", "R32")
    phase: ClassVar = Phase.SHAPE
    handles: ClassVar = grammar.LIFECYCLE

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with a complete response object."""
        response = event.body.get("response")
        if not isinstance(response, dict):
            response = {}
        complete = _with_readable_error(_without_leaks(response))
        keeps = (
            self.context.settings.dialect is Dialect.UPSTREAM
        )  # upstream's fields, as far as any client can read them
        if not synthesis.is_readable(complete) or (synthesis.is_vllms(complete) and not keeps):
            complete = synthesis.complete_response(complete, view, self.context.request)
        complete = _with_whole_functions(complete)
        usage = complete.get("usage")
        if usage is not None and not _is_countable(usage):
            complete = {**complete, "usage": None}
        elif usage is not None:
            whole = _complete_usage(usage, vllms=synthesis.is_vllms(response))
            complete = complete if whole is usage else {**complete, "usage": whole}
        return None if complete is event.body.get("response") else [event.having(response=complete)]


def _with_readable_error(response: Body) -> Body:
    """Give the error its code and its message; what says no message tells nothing."""
    error = response.get("error")
    if error is None or (isinstance(error, dict) and _are_strings(error.get("code"), error.get("message"))):
        return response
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str) or not message:
        return {**response, "error": None}
    known = error if isinstance(error, dict) else {}
    return {**response, "error": {**known, "code": "server_error", "message": message}}


def _are_strings(*values: object) -> bool:
    return all(isinstance(value, str) for value in values)


def _with_whole_functions(response: Body) -> Body:
    tools = [_whole_function(tool) if tool["type"] == "function" else tool for tool in response["tools"]]
    whole = [tool for tool in tools if tool["type"] != "function" or isinstance(tool.get("name"), str)]
    return response if whole == response["tools"] else {**response, "tools": whole}


def _whole_function(tool: Body) -> Body:
    """Return an echoed function with what typed clients insist on: null where the request did not say."""
    changes: Body = {
        name: None
        for name, kind in _FUNCTION.items()
        if tool.get(name, _UNSAID) is not None and not isinstance(tool.get(name, _UNSAID), kind)
    }
    if "description" not in tool:
        changes.pop("description")
    return tool | changes if changes else tool


_UNSAID: Final = object()
_FUNCTION: Final[dict[str, type]] = {"parameters": dict, "strict": bool, "description": str}
"""Nullable fields of a function; all but its description must be there."""


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


def _is_countable(usage: object) -> bool:
    """Tell whether usage has its three counts: Codex fails the turn on one that lacks any."""
    return isinstance(usage, dict) and all(
        type(usage.get(name)) is int and usage[name] >= 0 for name in _COUNTS
    )


def _complete_usage(usage: Body, *, vllms: bool) -> Body:
    changes: Body = {}
    for name, required in _USAGE_DETAILS:
        details = usage.get(name)
        known: Body = details if isinstance(details, dict) else {}
        wanted = required | {"cache_write_tokens": 0} if vllms and name.startswith("input") else required
        missing = {field: neutral for field, neutral in wanted.items() if type(known.get(field)) is not int}
        if missing:
            changes[name] = known | missing
    return usage | changes if changes else usage
