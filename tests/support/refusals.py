"""A scripted upstream that refuses requests as vLLM 0.12.0, 0.24.0 and 0.32.0 do, simple and harmony path.

Written down from what those six servers said (`tests/requests/results.json`, `tests/requests/features.json`), feature by
feature in the order in which vLLM looks at them. `tests/families/responses/requests/test_refusals.py` says how far it agrees.
As on those servers, the model is text-only and its chat template fails on a tool without a name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
Answer = tuple[int, str]

RELEASES: Final = ("0.12", "0.24", "0.32")
INPUT_PARTS: Final = {"input_text", "input_image", "input_file"}
INCLUDES: Final = {
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
}
TIERS: Final = {"auto", "default", "flex", "scale", "priority"}
SUMMARIES: Final = {"auto", "concise", "detailed", None}
NOT_NULL: Final = {
    "tools",
    "tool_choice",
    "service_tier",
    "priority",
    "request_id",
    "enable_response_messages",
}
NOT_NULL_SINCE_24: Final = {"skip_special_tokens", "ignore_eos", "include_stop_str_in_output"}
NOT_NULL_SINCE_32: Final = {"include_reasoning", "mm_payload"}
BUILT_IN: Final = {"web_search_preview", "code_interpreter", "container"}
NEW_TOOLS: Final = {"namespace", "computer", "tool_search", "programmatic_tool_calling"}
NEW_ITEMS: Final = {"tool_search_call", "tool_search_output", "program", "program_output", "additional_tools"}
CHOICES: Final = BUILT_IN | {
    "function",
    "custom",
    "allowed_tools",
    "mcp",
    "shell",
    "apply_patch",
    "file_search",
    "image_generation",
    "computer_use_preview",
}
CUSTOM_ITEMS: Final = {"custom_tool_call", "custom_tool_call_output"}


class RefusedError(Exception):
    """What vLLM answers instead of a response."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Server:
    """A release of vLLM on one of its paths.

    :param release: one of RELEASES.
    """

    release: str
    harmony: bool

    @property
    def name(self) -> str:
        return f"{self.release}.0 {'harmony' if self.harmony else 'simple'}"

    @property
    def old(self) -> bool:
        return self.release == "0.12"

    @property
    def new(self) -> bool:
        return self.release == "0.32"

    def answer(self, body: Json) -> Answer:
        """Return status and message for a request; 200 and nothing if it is accepted."""
        try:
            self._check(body)
        except RefusedError as refused:
            return refused.status, str(refused)
        return 200, ""

    def refusal(self, status: int, message: str) -> bytes:
        """Return the body of a refusal."""
        spelled = f"{message} None" if self.old and "validation" not in message else message
        return json.dumps({"error": {"message": spelled, "type": "BadRequestError", "code": status}}).encode()

    def _check(self, body: Json) -> None:
        if self.new and any(_has_grammar(tool) for tool in body.get("tools") or []):
            raise RefusedError(
                400, "Custom tools with a grammar format are not supported; only free-form text …"
            )
        for fault in _faults(body, self.release):
            raise RefusedError(400, f"7 validation errors: {fault}")
        _check_named_choice(body, self.release)
        if body.get("previous_response_id") is not None:
            raise RefusedError(404, f"Response with id {body['previous_response_id']!r} not found.")
        if self.harmony:
            self._harmony(body)
        else:
            self._simple(body)
        if self.old and _format(body) == "json_object":
            raise RefusedError(500, "json_object is not supported")

    def _simple(self, body: Json) -> None:
        for item in _items(body):
            self._simple_item(item)
        tools = body.get("tools") or []
        is_hidden = self.release == "0.24" and body.get("tool_choice") == "none"
        if not self.new and not is_hidden and any(tool.get("name") is None for tool in tools):
            raise RefusedError(400, "'dict object' has no attribute 'name'")

    def _simple_item(self, item: Json) -> None:
        type_ = item.get("type", "message")
        content: Any = item.get("content")
        if type_ == "reasoning":
            if _is_misspelled(content) or (self.old and not item["summary"] and not content):
                raise RefusedError(500, "'role'")
            if item.get("encrypted_content"):
                raise RefusedError(400, "Encrypted content is not supported.")
        elif type_ == "message" and "role" in item:
            is_answer = item["role"] == "assistant" and "type" in item and isinstance(content, list)
            if is_answer and (_types(content)[:1] == ["refusal"] or (content == [] and not self.old)):
                raise RefusedError(500, "'ResponseOutputRefusal' object has no attribute 'text'")
            self._look_at_parts(content)
        elif type_ == "function_call_output" or (type_ == "custom_tool_call_output" and self.new):
            self._look_at_parts(item["output"])
        elif type_ != "function_call" and not (type_ == "custom_tool_call" and self.new):
            if self.new:
                raise RefusedError(400, f"Unsupported input item type: {type_} (parameter=input)")
            raise RefusedError(500, "'role'")

    def _look_at_parts(self, parts: Any) -> None:
        for part in parts if isinstance(parts, list) else []:
            if part["type"] == "input_image" and part.get("detail") is None and not self.new:
                raise RefusedError(
                    400, "1 validation error for ResponseInputImageParam detail Field required"
                )
            if part["type"] == "input_image":
                raise RefusedError(400, "tiny is not a multimodal model")
            if part["type"] == "input_file":
                unknown = (
                    "Unknown part type: input_file"
                    if self.old
                    else "Unsupported chat content part type: 'input_file'."
                )
                raise RefusedError(400, unknown)

    def _harmony(self, body: Json) -> None:
        if "message.output_text.logprobs" in (body.get("include") or []):
            raise RefusedError(400, "logprobs are not supported with gpt-oss models")
        choice = body.get("tool_choice", "auto")
        if self.old and choice != "auto":
            raise RefusedError(400, "Only 'auto' tool_choice is supported in response API with Harmony")
        if self.release == "0.24" and choice not in ("auto", "none"):
            raise RefusedError(
                501, "Only 'auto' or 'none' tool_choice is supported in response API with Harmony"
            )
        effort = (body.get("reasoning") or {}).get("effort")
        if effort not in (None, "low", "medium", "high"):
            if self.old:
                raise RefusedError(500, repr(effort))
            raise RefusedError(
                400, f"reasoning_effort={effort!r} is not supported by Harmony. Supported values are: …"
            )
        self._harmony_tools(body.get("tools") or [])
        calls: set[str] = set()
        for place, item in enumerate(_items(body)):
            self._harmony_item(item, place, calls)
            if item.get("type") == "function_call":
                calls.add(item["call_id"])

    def _harmony_tools(self, tools: list[Json]) -> None:
        types = {tool["type"] for tool in tools} - {"mcp"}
        if types <= BUILT_IN:
            return
        known = {*BUILT_IN, "function", "mcp"} if self.old else {*BUILT_IN, "function"}
        for tool in tools:
            if tool["type"] not in known:
                named = f"{tool['type']} not" if not self.new else f"{tool['type']!r} is not"
                raise RefusedError(400, f"tool type {named} supported")
            if self.old and tool["type"] == "function" and tool.get("description") is None:
                raise RefusedError(400, "1 validation error for ToolDescription description …")

    def _harmony_item(self, item: Json, place: int, calls: set[str]) -> None:
        type_ = item.get("type", "message")
        if type_ == "message":
            self._harmony_message(item)
        elif type_ == "function_call_output":
            _check_harmony_output(item, calls)
        elif type_ == "reasoning":
            self._harmony_thought(item)
        elif type_ == "additional_tools":
            if place:
                raise RefusedError(400, "Unknown input type: additional_tools")
        elif type_ != "function_call":
            raise RefusedError(400, f"Unknown input type: {type_}")

    def _harmony_message(self, item: Json) -> None:
        if "role" not in item:
            raise RefusedError(500, "'role'")
        parts = item["content"] if isinstance(item["content"], list) else []
        if self.old and any("text" not in part for part in parts):
            raise RefusedError(500, "'text'")

    def _harmony_thought(self, item: Json) -> None:
        if _is_misspelled(item.get("content")):
            raise RefusedError(400, "1 validation error for Message content.0 …")
        if self.old:
            _check_old_thought(item)


def _check_harmony_output(item: Json, calls: set[str]) -> None:
    if item["call_id"] not in calls:
        raise RefusedError(400, f"No call message found for {item['call_id']}")
    if isinstance(item["output"], list):
        raise RefusedError(
            400, "1 validation error for Message content.0 Input should be a valid dictionary …"
        )


SERVERS: Final = tuple(Server(release, harmony) for release in RELEASES for harmony in (False, True))


def _items(body: Json) -> list[Json]:
    items = body["input"]
    return items if isinstance(items, list) else []


def _types(parts: list[Json]) -> list[str | None]:
    return [part.get("type") for part in parts]


def _format(body: Json) -> str | None:
    format_ = (body.get("text") or {}).get("format") or {}
    type_: str | None = format_.get("type")
    return type_


def _has_grammar(tool: Json) -> bool:
    return tool["type"] == "custom" and (tool.get("format") or {}).get("type") == "grammar"


def _is_misspelled(content: Any) -> bool:
    """Return whether the content of a reasoning item is none that the protocol knows."""
    return content is not None and not (
        isinstance(content, list) and set(_types(content)) <= {"reasoning_text"}
    )


def _check_old_thought(item: Json) -> None:
    """Fail as 0.12's harmony does: it takes exactly one part of content."""
    content = item.get("content")
    if "content" not in item and not item["summary"]:
        raise RefusedError(500, "'content'")
    if content is None:
        raise RefusedError(400, "object of type 'NoneType' has no len()")
    if not content:
        raise RefusedError(400, "list index out of range")
    if len(content) > 1:
        raise RefusedError(500, "")


def _check_named_choice(body: Json, release: str) -> None:
    choice = body.get("tool_choice")
    tools = body.get("tools") or []
    if release == "0.12":
        return
    if choice == "required" and not tools:
        raise RefusedError(400, "Tool choice 'required' must be specified with 'tools' parameter.")
    named = ("function", "custom") if release == "0.32" else ("function",)
    if not isinstance(choice, dict) or choice["type"] not in named:
        return
    names = {tool.get("name") for tool in tools if tool["type"] != "namespace" or release == "0.24"}
    if release == "0.32":
        inner = [
            (tool["name"], one["name"])
            for tool in tools
            if tool["type"] == "namespace"
            for one in tool["tools"]
        ]
        names |= {f"{space}__{name}" for space, name in inner}
        own = [name for _, name in inner]
        names |= {name for name in own if own.count(name) == 1}
    if choice.get("name") not in names:
        raise RefusedError(400, "Tool choice 'function' not found in 'tools' parameter.")


def _faults(body: Json, release: str) -> Iterator[str]:
    """Yield what the request type of a release cannot hold, in no certain order."""
    not_null = set(NOT_NULL)
    if release != "0.12":
        not_null |= NOT_NULL_SINCE_24
    if release == "0.32":
        not_null |= NOT_NULL_SINCE_32
    yield from (f"{name} is null" for name in not_null if name in body and body[name] is None)
    if body.get("prompt") is not None:
        yield "prompt template is not supported"
    if not isinstance(body.get("instructions"), str | None):
        yield "instructions are a list"
    if not INCLUDES.issuperset(body.get("include") or []):
        yield "include"
    if body.get("service_tier", "auto") not in TIERS:
        yield "service_tier"
    yield from _option_faults(body, release)
    yield from _tool_faults(body, release)
    for item in _items(body):
        yield from _item_faults(item, release)


def _tool_faults(body: Json, release: str) -> Iterator[str]:
    for tool in body.get("tools") or []:
        if release == "0.12" and tool["type"] in NEW_TOOLS:
            yield f"tool type {tool['type']}"
        if tool["type"] in ("function", "custom") and "name" not in tool:
            yield "tool without a name"
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, dict) and choice["type"] not in CHOICES:
        yield "tool_choice"


def _option_faults(body: Json, release: str) -> Iterator[str]:
    reasoning = body.get("reasoning") or {}
    efforts = {None, "none", "minimal", "low", "medium", "high", "xhigh"}
    if reasoning.get("effort") not in (efforts if release == "0.12" else efforts | {"max"}):
        yield "reasoning.effort"
    if reasoning.get("summary") not in SUMMARIES or reasoning.get("generate_summary") not in SUMMARIES:
        yield "reasoning.summary"
    if (body.get("text") or {}).get("verbosity") not in (None, "low", "medium", "high"):
        yield "text.verbosity"


def _item_faults(item: Json, release: str) -> Iterator[str]:
    type_ = item.get("type", "message")
    if type_ == "agent_message" or (release == "0.12" and type_ in NEW_ITEMS):
        yield f"item type {type_}"
    elif type_ == "message" and "role" in item:
        yield from _message_faults(item, release)
    elif type_ == "reasoning":
        yield from _thought_faults(item, release)
    elif type_ == "function_call" and not isinstance(item.get("arguments"), str):
        yield "arguments"
    elif type_ in ("function_call_output", "custom_tool_call_output"):
        yield from _output_faults(item)
    elif type_ == "local_shell_call_output" and "id" not in item:
        yield "an output of local_shell without an id"


def _message_faults(item: Json, release: str) -> Iterator[str]:
    content = item.get("content")
    if content is None or (item["role"] == "assistant" and _is_bad_answer(item, release)):
        yield "content of a message"
    elif isinstance(content, list) and not _is_answer(item):
        for part in content:
            if part["type"] not in INPUT_PARTS or _is_bad_picture(part, release):
                yield f"part {part['type']}"


def _is_answer(item: Json) -> bool:
    """Return whether a message is one that a model gave, as a whole."""
    content = item["content"]
    is_whole = item["role"] == "assistant" and "type" in item and isinstance(content, list)
    return is_whole and not INPUT_PARTS.intersection(_types(content))


def _is_bad_answer(item: Json, release: str) -> bool:
    content = item["content"]
    if isinstance(content, str):
        return release == "0.24" and "type" in item
    if not _is_answer(item) or not content:
        return False
    needed = ("id", "status") if release == "0.12" else ()
    texts = [part for part in content if part["type"] == "output_text"]
    if any(name not in item for name in needed) or item.get("status", "") is None:
        return True
    if any(part.get("annotations", None if release == "0.12" else []) is None for part in texts):
        return True
    return not {"output_text", "refusal"}.issuperset(_types(content))


def _is_bad_picture(part: Json, release: str) -> bool:
    if part["type"] != "input_image":
        return False
    detail = part.get("detail", "auto" if release == "0.32" else None)
    return detail not in (
        ("auto", "low", "high") if release == "0.12" else ("auto", "low", "high", "original")
    )


def _thought_faults(item: Json, release: str) -> Iterator[str]:
    if not isinstance(item.get("summary"), list) or (release == "0.12" and "id" not in item):
        yield "a reasoning item"
    if release == "0.32" and _is_misspelled(item.get("content")):
        yield "content of a reasoning item"


def _output_faults(item: Json) -> Iterator[str]:
    output = item.get("output")
    if isinstance(output, list):
        if not INPUT_PARTS.issuperset(_types(output)):
            yield "an output"
    elif not isinstance(output, str):
        yield "an output"
