"""Response objects and items by the types of OpenAI's API and the closed lists of Open Responses: a part of the judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.judging import ABSENT, is_count, member, short
from vllm_sse_proxy.families.responses.grammar import FAILED, MESSAGE, REASONING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RESPONSE_FIELDS: Final[dict[str, tuple[type, ...]]] = {
    "id": (str,),
    "object": (str,),
    "created_at": (int, float),
    "model": (str,),
    "output": (list,),
    "tools": (list,),
    "tool_choice": (str, dict),
    "parallel_tool_calls": (bool,),
}
_NULL: Final = type(None)
_NULLABLE: Final[dict[str, tuple[type, ...]]] = {
    **dict.fromkeys(("status", "service_tier", "truncation"), (str, _NULL)),
    **dict.fromkeys(("previous_response_id", "safety_identifier", "prompt_cache_key"), (str, _NULL)),
    **dict.fromkeys(("error", "incomplete_details", "metadata", "text", "reasoning", "usage"), (dict, _NULL)),
    **dict.fromkeys(("temperature", "top_p", "presence_penalty", "frequency_penalty"), (int, float, _NULL)),
    **dict.fromkeys(("max_output_tokens", "max_tool_calls", "top_logprobs"), (int, _NULL)),
    **dict.fromkeys(("background", "store"), (bool, _NULL)),
    "completed_at": (int, float, _NULL),
    "instructions": (str, list, _NULL),
}
"""OpenAI's types of fields that a response need not have."""
_OPEN_RESPONSES_KEYS: Final[dict[str, tuple[type, ...]]] = {
    **dict.fromkeys(("id", "object", "status", "model", "truncation", "service_tier"), (str,)),
    **dict.fromkeys(("output", "tools"), (list,)),
    **dict.fromkeys(("created_at", "top_logprobs"), (int,)),
    **dict.fromkeys(("top_p", "temperature", "presence_penalty", "frequency_penalty"), (int, float)),
    **dict.fromkeys(("parallel_tool_calls", "store", "background"), (bool,)),
    **dict.fromkeys(("text", "metadata"), (dict,)),
    "tool_choice": (str, dict),
    **dict.fromkeys(("completed_at", "max_output_tokens", "max_tool_calls"), (int, _NULL)),
    **dict.fromkeys(("previous_response_id", "instructions"), (str, _NULL)),
    **dict.fromkeys(("safety_identifier", "prompt_cache_key"), (str, _NULL)),
    **dict.fromkeys(("incomplete_details", "error", "reasoning", "usage"), (dict, _NULL)),
}
_TOOL_CHOICES: Final = frozenset({"none", "auto", "required"})
_FUNCTION_KEYS: Final = ("name", "parameters", "strict")
_VALUES: Final[dict[str, frozenset[Any]]] = {
    "phase": frozenset({ABSENT, "commentary", "final_answer"}),
    "verbosity": frozenset({ABSENT, "low", "medium", "high"}),
    "truncation": frozenset({"auto", "disabled"}),
    "effort": frozenset({None, "none", "low", "medium", "high", "xhigh"}),
    "summary": frozenset({None, "concise", "detailed", "auto"}),
    "format": frozenset({"text", "json_object", "json_schema"}),
    "mode": _TOOL_CHOICES,
}
"""What the Open Responses schema allows where it has a closed list."""
_USAGE: Final = (
    ("input_tokens",),
    ("output_tokens",),
    ("total_tokens",),
    ("input_tokens_details", "cached_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
)
_LARGE: Final = 2.0**63


def wrong_in_response(name: str, response: dict[str, Any], *, is_open: bool) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the response object of a lifecycle event: a rule, and what breaks it.

    :param name: type of the event.
    :param is_open: the dialect is open-responses.
    """
    for key, types in _RESPONSE_FIELDS.items():
        value = response.get(key, ABSENT)
        if _type_of(value) not in types or value == "":
            yield "response_fields", f"response.{key} is {short(value)}"
    for key, types in _NULLABLE.items():
        if _type_of(response.get(key)) not in types:
            yield "response_fields", f"response.{key} is {short(response[key])}"
    for detail in _wrong_objects(name, response):
        yield "response_fields", detail
    if is_open:
        yield from _wrong_for_open_responses(response)
    usage = response.get("usage")
    for path in _USAGE if usage is not None else ():
        if not is_count(member(usage, *path)):
            yield "usage_details", f"usage.{'.'.join(path)} is {short(member(usage, *path))}"


def _wrong_for_open_responses(response: dict[str, Any]) -> Iterator[tuple[str, str]]:
    absent = [key for key in _OPEN_RESPONSES_KEYS if key not in response]
    if absent:
        yield "open_responses_keys", f"response has no {', '.join(absent)}"
    for key, types in _OPEN_RESPONSES_KEYS.items():
        if key in response and type(response[key]) not in types:
            yield "open_responses_keys", f"response.{key} is {short(response[key])}"
    for detail in _unknown_in_response(response):
        yield "open_responses_fields", detail


def _type_of(value: object) -> type:
    """Return the type of a value in the JSON that was read: an integer of more than 64 bits is a float by now."""
    return int if type(value) is float and abs(value) >= _LARGE else type(value)


def _wrong_objects(name: str, response: dict[str, Any]) -> Iterator[str]:
    """Yield what OpenAI's types refuse in the objects that a response holds beside its output."""
    error = response.get("error") if name != FAILED else None  # failed_error judges that
    if type(error) is dict and not all(type(error.get(key)) is str for key in ("code", "message")):
        yield f"response.error is {short(error)}"
    choice = response.get("tool_choice")
    if type(choice) is str and choice not in _TOOL_CHOICES:
        yield f"response.tool_choice is {short(choice)}"
    tools = response.get("tools")
    for tool in tools if type(tools) is list else []:
        if type(member(tool, "type")) is not str:
            yield f"a tool is {short(tool)}"
        elif tool["type"] == "function" and not all(key in tool for key in _FUNCTION_KEYS):
            yield f"a function is {short(tool)}"


def _unknown_in_response(response: dict[str, Any]) -> Iterator[str]:
    """Yield what the Open Responses schema refuses in the objects that a response holds beside its output."""
    text, reasoning, choice = response.get("text"), response.get("reasoning"), response.get("tool_choice")
    tools = response.get("tools")
    for tool in tools if type(tools) is list else []:
        if member(tool, "type") != "function" or "description" not in tool:
            yield f"a tool is {short(tool)}"
    if type(choice) is dict:
        if choice.get("type") not in ("function", "allowed_tools"):
            yield f"tool_choice is {short(choice)}"
        elif choice["type"] == "allowed_tools":
            yield from _unknown(choice, "mode")
    yield from _unknown(response, "truncation")
    if type(reasoning) is dict:
        yield from _unknown(reasoning, "effort", "summary")
    if type(text) is dict:
        yield from _unknown(text, "verbosity")
        if not _is_echoed_format(text.get("format")):
            yield f"text.format is {short(text.get('format'))}"


def _is_echoed_format(format_: Any) -> bool:
    """Return whether a format is echoed as Open Responses has it: the schema of a `json_schema` is null."""
    if type(format_) is not dict or not _is_listed("format", format_.get("type")):
        return False
    named = type(format_.get("name")) is str and type(format_.get("strict")) is bool
    whole = named and "description" in format_ and format_.get("schema", ABSENT) is None
    return format_["type"] != "json_schema" or whole


def unknown_in_item(item: dict[str, Any]) -> Iterator[str]:
    """Yield what the Open Responses schema refuses in an item."""
    if item.get("type") == MESSAGE.type:
        yield from _unknown(item, "phase")
    if item.get("type") == REASONING.type and item.get("encrypted_content", ABSENT) is None:
        yield "encrypted_content is None"


def _unknown(node: dict[str, Any], *keys: str) -> Iterator[str]:
    for key in keys:
        value = node.get(key, ABSENT)
        if not _is_listed(key, value):
            yield f"{key} is {short(value)}"


def _is_listed(key: str, value: Any) -> bool:
    return type(value) not in (list, dict) and value in _VALUES[key]
