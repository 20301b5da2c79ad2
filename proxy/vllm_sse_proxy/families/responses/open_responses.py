"""What dialect ``open-responses`` promises beside its names: objects that the Open Responses schema accepts (R27).

Its compliance suite, and every client made from the schema, refuse what OpenAI's SDKs read: vLLM's ``"phase": null``,
``"encrypted_content": null`` and ``"verbosity": null`` (fields that may be absent, but not null), logprobs without
``bytes``, a response object that lacks one of 31 keys, an echo of tools other than functions. Source: the OpenAPI
document of the specification of 2026-04-24.

Only what an object *is* changes. Items, events and annotations of types that Open Responses does not know are the
answer itself: they leave as they are (docs/limits.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses import grammar, response_objects
from vllm_sse_proxy.families.responses.logprobs import whole_logprobs

if TYPE_CHECKING:
    from collections.abc import Callable

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import RequestContext
    from vllm_sse_proxy.stream.event import Body, Event

_PHASES: Final = ("commentary", "final_answer")
_VERBOSITIES: Final = ("low", "medium", "high")
_EFFORTS: Final = ("none", "low", "medium", "high", "xhigh")
_SUMMARIES: Final = ("concise", "detailed", "auto")
_TRUNCATIONS: Final = ("auto", "disabled")
_TOOL_CHOICES: Final = ("none", "auto", "required")
_TEXT_FORMATS: Final = ("text", "json_object", "json_schema")


def fitting(event: Event, view: ClientView, request: RequestContext) -> Event:
    """Return the event with an object that the schema accepts; the event itself if it is so."""
    if event.type in grammar.LIFECYCLE:
        response = event.body["response"]
        complete = response_objects.complete_response(response, view, request)
        fits = _response(response if complete == response else complete)
        return event if fits is response else event.having(response=fits)
    known = _FITS.get(event.type)
    if known is None:
        return event
    field, fit = known
    value = event.body.get(field)
    fitting = fit(value) if value else value
    return event if fitting is value else event.having(**{field: fitting})


# Each function below returns the object that it was given if that is as it must be.


def _response(response: Body) -> Body:
    changes: Body = {
        "output": _each(response["output"], _item),
        "tools": _each(_functions(response["tools"]), _function),
        "tool_choice": _tool_choice(response["tool_choice"]),
        "text": _text(response["text"]),
        "reasoning": _reasoning(response["reasoning"]),
    }
    for name in ("created_at", "completed_at"):
        if isinstance(response[name], float):
            changes[name] = int(response[name])
    if not isinstance(response["instructions"], str):
        changes["instructions"] = None  # OpenAI's API knows a list of messages, too
    if response["truncation"] not in _TRUNCATIONS:
        changes["truncation"] = "disabled"
    if not isinstance((response["incomplete_details"] or {}).get("reason"), str):
        changes["incomplete_details"] = None
    return _changed(response, changes)


def _functions(tools: list[Any]) -> list[Any]:
    """Leave out tools other than functions: the schema knows no others, and the echo is not part of the answer."""
    functions = [tool for tool in tools if isinstance(tool, dict) and tool.get("type") == "function"]
    return tools if len(functions) == len(tools) else functions


def _function(tool: Body) -> Body:
    return _changed(
        tool, {name: None for name in ("description", "parameters", "strict") if name not in tool}
    )


def _tool_choice(choice: str | Body) -> str | Body:
    if isinstance(choice, str) or choice["type"] == "function":
        return choice
    if choice["type"] != "allowed_tools":
        return "required"  # one tool, of a type that the schema does not know, must be called
    tools = choice.get("tools")
    changes: Body = {"tools": _functions(tools) if isinstance(tools, list) else []}
    if choice.get("mode") not in _TOOL_CHOICES:
        changes["mode"] = "auto"
    return _changed(choice, changes)


def _text(text: Body) -> Body:
    if text.get("verbosity") not in _VERBOSITIES:
        text = _without(text, "verbosity")
    return _changed(text, {"format": _format(text.get("format"))})


def _format(format_: Any) -> Body:
    if not isinstance(format_, dict) or format_.get("type") not in _TEXT_FORMATS:
        return {"type": "text"}
    if format_["type"] != "json_schema":
        return format_
    neutral = {"name": "", "strict": False}
    missing = {name: value for name, value in neutral.items() if type(format_.get(name)) is not type(value)}
    if not isinstance(format_.get("description"), str):
        missing["description"] = None
    # The specification's own source says `schema: null` of the echo: the client has sent it, and need not read it again.
    return _changed(format_, {**missing, "schema": None})


def _reasoning(reasoning: Body) -> Body:
    known = (("effort", _EFFORTS), ("summary", _SUMMARIES))
    return _changed(
        reasoning,
        {name: value if (value := reasoning.get(name)) in values else None for name, values in known},
    )


def _item(item: Body) -> Body:
    if item.get("type") == "message" and item.get("phase") not in _PHASES:
        item = _without(item, "phase")
    elif item.get("type") == "reasoning":
        kinds = (("content", list), ("encrypted_content", str))
        item = _without(item, *(name for name, kind in kinds if not isinstance(item.get(name), kind)))
    content = item.get("content")
    return _changed(item, {"content": _each(content, _part)}) if isinstance(content, list) else item


def _part(part: Body) -> Body:
    if "logprobs" not in part:
        return part
    return _changed(part, {"logprobs": whole_logprobs(part["logprobs"])})


def _each(values: list[Any], fit: Callable[[Any], Any]) -> list[Any]:
    fitted = [fit(value) for value in values]
    return values if all(map(_is, fitted, values)) else fitted


def _is(one: object, other: object) -> bool:
    return one is other


def _changed(node: Body, changes: Body) -> Body:
    return (
        node
        if all(name in node and node[name] is value for name, value in changes.items())
        else node | changes
    )


def _without(node: Body, *names: str) -> Body:
    if not any(name in node for name in names):
        return node
    return {name: value for name, value in node.items() if name not in names}


_FITS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    **dict.fromkeys(grammar.OF_ITEMS, ("item", _item)),
    **dict.fromkeys((grammar.PART_ADDED, grammar.PART_DONE), ("part", _part)),
    **dict.fromkeys((grammar.OUTPUT_TEXT.delta, grammar.OUTPUT_TEXT.done), ("logprobs", whole_logprobs)),
}
"""Type of event → the field that holds the object, and the function that fits it."""
