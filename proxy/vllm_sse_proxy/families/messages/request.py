"""What a request says of its stream: which tools there are, what they require, and what ends the text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm_sse_proxy.families.texts.stop_strings import stop_strings_of
from vllm_sse_proxy.families.texts.tagged_calls import types_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.stream.context import RequestContext, StreamContext


def kept_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a request's body while its stream lasts: no messages, and of tools only what they take."""
    kept = {
        name: body[name] for name in ("model", "max_tokens", "tool_choice", "stop_sequences") if name in body
    }
    tools = body.get("tools")
    if type(tools) is list:
        kept["tools"] = [
            {"name": tool.get("name"), "input_schema": _schema_of(tool)}
            for tool in tools
            if type(tool) is dict
        ]
    return kept


def _schema_of(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of the schema of a tool: what it requires, and the types of all that it takes."""
    types = types_of(tool.get("input_schema"))
    properties = {name: {"type": list(named)} for name, named in types.items()}
    return {"required": _required(tool), "properties": properties}


def _required(tool: Mapping[str, Any]) -> list[Any]:
    schema = tool.get("input_schema")
    required = schema.get("required") if type(schema) is dict else None
    return required if type(required) is list else []


def _tools(request: RequestContext) -> list[Any]:
    tools = None if request.body is None else request.body.get("tools")
    return tools if type(tools) is list else []


def required_of(request: RequestContext, name: str) -> list[Any] | None:
    """Return the names of the arguments that a tool of the request requires; None for a tool that it does not have."""
    for tool in _tools(request):
        if type(tool) is dict and tool.get("name") == name:
            return _required(tool)
    return None


def schemas_of(context: StreamContext) -> dict[str, Any]:
    """Return the schemas of the tools of the request by their names, read once a stream; do not change them."""
    schemas = context.asked
    if type(schemas) is not dict:
        schemas = context.asked = {
            tool["name"]: tool.get("input_schema")
            for tool in _tools(context.request)
            if type(tool) is dict and type(tool.get("name")) is str and tool["name"]
        }
    return schemas


def may_call(request: RequestContext) -> bool:
    """Return whether the request wants calls, or at least does not say that it wants none."""
    choice = None if request.body is None else request.body.get("tool_choice")
    return not (type(choice) is dict and choice.get("type") == "none")


def stops_of(request: RequestContext) -> tuple[str, ...]:
    """Return the stop sequences of the request."""
    return () if request.body is None else stop_strings_of(request.body.get("stop_sequences"))


def ended_by_itself(request: RequestContext, output_tokens: object) -> bool:
    """Return whether it is certain that neither the token limit nor a stop sequence cut an answer of so many tokens."""
    body = request.body
    if body is None or body.get("stop_sequences"):
        return False
    limit = body.get("max_tokens")
    return type(limit) is int and type(output_tokens) is int and 0 < output_tokens < limit


def requires_input(request: RequestContext, name: str) -> bool:
    """Return whether a tool of the request cannot be called without arguments."""
    return bool(required_of(request, name))


def only_tool(request: RequestContext) -> str | None:
    """Return the name of the one tool that can be called; None if there are several, or none is known."""
    choice = None if request.body is None else request.body.get("tool_choice")
    named = choice.get("name") if type(choice) is dict and choice.get("type") == "tool" else None
    if type(named) is str and named:
        return named
    names = [tool.get("name") if type(tool) is dict else None for tool in _tools(request)]
    name = names[0] if len(names) == 1 else None
    return name if type(name) is str and name else None


def only_stop_sequence(request: RequestContext) -> str | None:
    """Return the one stop sequence of the request; None if there are several, or none is known."""
    stops = None if request.body is None else request.body.get("stop_sequences")
    stop = stops[0] if type(stops) is list and len(stops) == 1 else None
    return stop if type(stop) is str and stop else None


def model_of(request: RequestContext) -> str:
    """Return the model that was asked for; empty if that is not known."""
    model = None if request.body is None else request.body.get("model")
    return model if type(model) is str else ""
