"""What the types of OpenAI's SDKs require of an output item: fields, statuses, parts (openai 3.57, ``ResponseOutputItem``).

Typed clients refuse the whole event that carries an item without one of these fields, or with a status that its type does
not know. ``tests/families/responses/test_item_fields.py`` compares the tables with the package, class by class.

Names are not here (``name`` and ``call_id`` of calls): they have no neutral value. Where a field holds what somebody will
run, its neutral value does nothing: no command, a patch of no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.stream.event import dump_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.families.responses.grammar import ItemKind
    from vllm_sse_proxy.stream.event import Body

IN_PROGRESS: Final = "in_progress"
COMPLETED: Final = "completed"
INCOMPLETE: Final = "incomplete"
FAILED: Final = "failed"

_PLAIN: Final = frozenset({IN_PROGRESS, COMPLETED, INCOMPLETE})
STATUSES: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(
        ("message", "reasoning", "function_call", "function_call_output", "custom_tool_call"), _PLAIN
    ),
    **dict.fromkeys(("custom_tool_call_output", "computer_call", "local_shell_call"), _PLAIN),
    **dict.fromkeys(("local_shell_call_output", "shell_call", "shell_call_output"), _PLAIN),
    **dict.fromkeys(("tool_search_call", "tool_search_output"), _PLAIN),
    **dict.fromkeys(("web_search_call", "file_search_call"), _PLAIN | {FAILED, "searching"}),
    "code_interpreter_call": _PLAIN | {FAILED, "interpreting"},
    "image_generation_call": frozenset({IN_PROGRESS, COMPLETED, FAILED, "generating"}),
    "mcp_call": _PLAIN | {FAILED, "calling"},
    "computer_call_output": _PLAIN | {FAILED},
    "program_output": frozenset({COMPLETED, INCOMPLETE}),
    "apply_patch_call": frozenset({IN_PROGRESS, COMPLETED}),
    "apply_patch_call_output": frozenset({COMPLETED, FAILED}),
}
"""Item type → the statuses that it knows. The SDK has none for a ``custom_tool_call``; OpenAI's API sends one."""
STATUSES_WHEN_DONE: Final = frozenset({COMPLETED, INCOMPLETE, FAILED})
STATUS_IS_OPTIONAL: Final = frozenset(
    {"reasoning", "function_call", "custom_tool_call", "local_shell_call_output", "mcp_call"}
)
WITHOUT_STATUS: Final = frozenset(
    {
        *("mcp_list_tools", "mcp_approval_request", "mcp_approval_response"),
        *("program", "compaction", "additional_tools"),
    }
)
_OF_OPEN_ITEMS: Final = frozenset(
    {IN_PROGRESS, "searching", "interpreting", "generating", "calling", "queued"}
)
_OF_FAILED_ITEMS: Final = frozenset({FAILED, "failure", "error", "errored", "rejected", "denied"})
_OF_CUT_ITEMS: Final = frozenset(
    {
        *(INCOMPLETE, "aborted", "abort", "cancelled", "canceled", "expired", "timeout", "timed_out"),
        *("interrupted", "truncated", "stopped"),
    }
)
"""What upstreams say of items that did not come to their end."""

FIELDS: Final[dict[str, dict[str, Any]]] = {
    "function_call_output": {"output": ""},
    "custom_tool_call_output": {"call_id": "", "output": ""},
    "web_search_call": {"action": {"type": "search", "query": ""}},
    "file_search_call": {"queries": []},
    "computer_call": {"pending_safety_checks": []},
    "computer_call_output": {"call_id": "", "output": {"type": "computer_screenshot"}},
    "program": {"call_id": "", "code": "", "fingerprint": ""},
    "program_output": {"call_id": "", "result": ""},
    "tool_search_call": {"arguments": {}, "execution": "server"},
    "tool_search_output": {"execution": "server", "tools": []},
    "additional_tools": {"role": "unknown", "tools": []},
    "compaction": {"encrypted_content": ""},
    "code_interpreter_call": {"container_id": "auto"},
    "local_shell_call": {"action": {"type": "exec", "command": [], "env": {}}},
    "local_shell_call_output": {"output": ""},
    "shell_call": {"action": {"commands": []}},
    "shell_call_output": {"call_id": "", "output": []},
    "apply_patch_call": {"operation": {"type": "update_file", "path": "", "diff": ""}},
    "apply_patch_call_output": {"call_id": ""},
    "mcp_call": {"server_label": ""},
    "mcp_list_tools": {"server_label": "", "tools": []},
    "mcp_approval_request": {"arguments": "", "name": "", "server_label": ""},
    "mcp_approval_response": {"approval_request_id": "", "approve": False},
}
"""Item type → the fields that it must have beside id, type, status, names and texts, at their neutral values."""
OPTIONAL_TEXTS: Final[dict[str, frozenset[str]]] = {
    "function_call": frozenset({"namespace"}),
    "function_call_output": frozenset({"call_id", "created_by", "name", "namespace"}),
    "computer_call_output": frozenset({"created_by"}),
    "reasoning": frozenset({"encrypted_content"}),
    "tool_search_call": frozenset({"call_id", "created_by"}),
    "tool_search_output": frozenset({"call_id", "created_by"}),
    "compaction": frozenset({"created_by"}),
    "image_generation_call": frozenset({"result", "revised_prompt", "size"}),
    "code_interpreter_call": frozenset({"code"}),
    "shell_call": frozenset({"created_by"}),
    "shell_call_output": frozenset({"created_by"}),
    "apply_patch_call": frozenset({"created_by"}),
    "apply_patch_call_output": frozenset({"created_by", "output"}),
    "mcp_call": frozenset({"approval_request_id", "output"}),
    "mcp_list_tools": frozenset({"error"}),
    "mcp_approval_response": frozenset({"reason"}),
    "custom_tool_call": frozenset({"namespace"}),
    "custom_tool_call_output": frozenset({"created_by"}),
}
"""Item type → its fields that may be a string, or null, or absent."""
_CALLER: Final = frozenset({"caller"})
OPTIONAL_OBJECTS: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(("function_call", "function_call_output", "custom_tool_call"), _CALLER),
    **dict.fromkeys(("custom_tool_call_output", "shell_call_output"), _CALLER),
    **dict.fromkeys(("apply_patch_call", "apply_patch_call_output"), _CALLER),
    "computer_call": frozenset({"action"}),
    "image_generation_call": frozenset({"error", "svg_usage"}),
    "shell_call": frozenset({"caller", "environment"}),
    "mcp_call": frozenset({"error"}),
}
"""Item type → its fields that may be an object, or null, or absent."""
OPTIONAL_LISTS: Final[dict[str, frozenset[str]]] = {
    "file_search_call": frozenset({"results"}),
    "computer_call": frozenset({"actions"}),
    "computer_call_output": frozenset({"acknowledged_safety_checks"}),
    "code_interpreter_call": frozenset({"outputs"}),
}
"""Item type → its fields that may be a list, or null, or absent; but for the parts of reasoning."""
_WORDS_OF_IMAGES: Final = ("action", "background", "output_format", "quality")
OPTIONAL_OTHERS: Final[dict[str, dict[str, type]]] = {
    "message": {"phase": str},
    "function_call": {"async": bool},
    "custom_tool_call": {"async": bool},
    "image_generation_call": dict.fromkeys(_WORDS_OF_IMAGES, str),
    "shell_call_output": {"max_output_length": int},
}
"""Item type → its fields that may be a word of a list, a number or a truth value, or null, or absent."""
_HAVE_OPTIONS: Final = frozenset({*OPTIONAL_TEXTS, *OPTIONAL_OBJECTS, *OPTIONAL_LISTS, *OPTIONAL_OTHERS})
_HAVE_FIELDS: Final = frozenset({*FIELDS, *_HAVE_OPTIONS})
_OPTIONS: Final[dict[str, tuple[tuple[str, type, bool], ...]]] = {
    type_: (
        *((name, str, True) for name in OPTIONAL_TEXTS.get(type_, ())),
        *((name, dict, False) for name in OPTIONAL_OBJECTS.get(type_, ())),
        *((name, list, False) for name in OPTIONAL_LISTS.get(type_, ())),
        *((name, wanted, False) for name, wanted in OPTIONAL_OTHERS.get(type_, {}).items()),
    )
    for type_ in _HAVE_OPTIONS
}
"""Item type → its fields that may be null or absent, what else they may be, and whether the JSON of another value is kept."""
_TOOL_ERROR: Final = "mcp_tool_execution_error"
_TOOL_ERRORS: Final = frozenset({"mcp_protocol_error", _TOOL_ERROR, "http_error"})
OF_OPEN_RESPONSES: Final = frozenset(
    {"message", "reasoning", "function_call", "function_call_output", "compaction"}
)
"""Item types that the specification of Open Responses knows."""
_NESTED: Final = ("action", "output", "operation")
_EXECUTIONS: Final = ("server", "client")
_TEXT_OR_PARTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
"""Their ``output`` may be a string or a list."""

_WHEN_DONE: Final[dict[str, dict[str, Any]]] = {
    "image_generation_call": {"result": None},
    "code_interpreter_call": {"outputs": []},
    "file_search_call": {"results": None},
    "mcp_call": {"output": None, "error": None},
    "mcp_list_tools": {"tools": [], "error": None},
}
"""Item type → the fields whose values come with the done item, and how OpenAI's API announces them."""


def missing_fields(type_: str, item: Mapping[str, Any]) -> Body:
    """Return the fields that an item of a type lacks, or has in another JSON type.

    :returns: neutral values for what is missing, the JSON of what should be a string, and null for other optional fields.
    """
    if type_ not in _HAVE_FIELDS:
        return {}
    changes: Body = {}
    for name, neutral in FIELDS.get(type_, {}).items():
        value = item.get(name)
        if name == "arguments" and neutral == {}:  # of any type
            is_there = name in item
        elif name == "execution":
            is_there = value in _EXECUTIONS
        else:
            is_list = name == "output" and type_ in _TEXT_OR_PARTS and isinstance(value, list)
            is_there = is_list or type(value) is type(neutral)
        if not is_there:
            changes[name] = neutral
        elif name in _NESTED and isinstance(value, dict):
            lacking = _lacking(value, neutral)
            if lacking:
                changes[name] = value | lacking
    return changes | _readable_options(type_, item)


def _readable_options(type_: str, item: Mapping[str, Any]) -> Body:
    """Return what to change in the fields that may be null, and have another JSON type than their own."""
    changes: Body = {}
    for name, wanted, is_text in _OPTIONS.get(type_, ()):
        value = item.get(name)
        if value is not None and type(value) is not wanted:
            changes[name] = dump_json(value).decode() if is_text else None
    if type_ == "mcp_call" and item.get("error") is not None:
        error = item["error"]
        kind = error.get("type") if type(error) is dict else None
        if type(kind) is not str or kind not in _TOOL_ERRORS:
            changes["error"] = {"type": _TOOL_ERROR, "content": error}
    return changes


def _lacking(value: Body, neutral: Body) -> Body:
    """Return the members of an object that must be there and are not; which ones may depend on its type."""
    if isinstance(value.get("type"), str) and value["type"] != neutral.get("type"):
        return {}
    return {
        name: default
        for name, default in neutral.items()
        if type(value.get(name)) is not type(default) and (name != "query" or "type" not in value)
    }


_ANNOTATIONS: Final[dict[str, dict[str, Any]]] = {
    "url_citation": {"url": "", "title": "", "start_index": 0, "end_index": 0},
    "container_file_citation": {
        "container_id": "",
        "file_id": "",
        "filename": "",
        "start_index": 0,
        "end_index": 0,
    },
    "file_citation": {"file_id": "", "filename": "", "index": 0},
    "file_path": {"file_id": "", "index": 0},
}
"""Type of an annotation → the fields that it must have."""
_SIGNS_OF_ANNOTATIONS: Final = {
    "url": "url_citation",
    "container_id": "container_file_citation",
    "filename": "file_citation",
    "file_id": "file_path",
}
"""Field of an annotation without a type → the type that it shows, the surest sign first."""


def whole_annotations(annotations: list[Any]) -> list[Any]:
    """Return annotations with all fields that their types require; entries that are not objects are left out.

    :returns: the list that was given if every one is whole.
    """
    if not annotations:
        return annotations
    whole = [whole_annotation(one) for one in annotations if isinstance(one, dict)]
    return annotations if whole == annotations else whole


def whole_annotation(annotation: Body) -> Body:
    """Return an annotation with all fields that its type requires; the one that was given if it has them.

    In the chat API they stand in an object that is called like the type. One without a type has that of its fields.
    """
    type_ = annotation.get("type")
    if not isinstance(type_, str):
        shown = next((kind for sign, kind in _SIGNS_OF_ANNOTATIONS.items() if annotation.get(sign)), None)
        return annotation if shown is None else whole_annotation({**annotation, "type": shown})
    fields = _ANNOTATIONS.get(type_, {})
    nested = annotation.get(type_)
    found: Body = nested if fields and isinstance(nested, dict) else {}
    lacking = {
        name: found[name] if type(found.get(name)) is type(neutral) else neutral
        for name, neutral in fields.items()
        if type(annotation.get(name)) is not type(neutral)
    }
    return annotation | lacking if lacking else annotation


def can_be_announced_by_id(kind: ItemKind) -> bool:
    """Return whether an item of this kind can be announced from its id alone."""
    return not kind.required and "server_label" not in FIELDS.get(kind.type, {})


def announced_fields(item: Mapping[str, Any]) -> Body:
    """Return the members of a whole item that come with its done event, as OpenAI's API announces them."""
    type_ = item.get("type")
    later = _WHEN_DONE.get(type_, {}) if isinstance(type_, str) else {}
    return {name: neutral for name, neutral in later.items() if name in item}


def needs_status(type_: str) -> bool:
    """Return whether an item of this type is closed with a status, even if it was announced without one."""
    return type_ != "reasoning" and type_ not in WITHOUT_STATUS


def opened_status(type_: str, status: object = None) -> str | None:
    """Return the status of an item of this type that is announced; None if it has none.

    :param status: what upstream says; one that an item may have while it is open is kept.
    """
    known = STATUSES.get(type_)
    if known is None:
        return None if type_ in WITHOUT_STATUS else IN_PROGRESS
    if isinstance(status, str) and status in known and (status in _OF_OPEN_ITEMS or _is_output(type_)):
        return status
    return IN_PROGRESS if IN_PROGRESS in known else COMPLETED


def closed_status(type_: str, status: object) -> str:
    """Return the status of an item of this type that is done: completed, unless upstream says otherwise.

    :param status: what upstream says.
    """
    known = STATUSES.get(type_)
    if not isinstance(status, str) or status in _OF_OPEN_ITEMS:
        return COMPLETED
    if known is None or status in known:
        return status
    if status in _OF_FAILED_ITEMS:
        return FAILED if FAILED in known else _cut_status(known)
    return _cut_status(known) if status in _OF_CUT_ITEMS else COMPLETED


def _cut_status(known: frozenset[str]) -> str:
    """Return the status of an item that did not come to its end.

    An ``apply_patch_call`` knows none. It gets one all the same: better a typed client that refuses the call than one that
    runs half of it.
    """
    return FAILED if FAILED in known and INCOMPLETE not in known else INCOMPLETE


def fitting_status(type_: str, status: str) -> str:
    """Return a status that the type knows for one that says the same of other types."""
    known = STATUSES.get(type_)
    if known is None or status in known:
        return status
    return COMPLETED if status == IN_PROGRESS else closed_status(type_, status)


def _is_output(type_: str) -> bool:
    """Return whether an item of this type is the answer of a tool: upstream has it whole when it announces it."""
    return type_.endswith("_output")


def with_type(item: Body) -> Body:
    """Return an item that has no type as the message that it is in the chat API, whose messages have a role alone (K9)."""
    return (
        {**item, "type": "message"} if item.get("type") is None and item.get("role") == "assistant" else item
    )


TEXT_FIELDS: Final = (
    "text",
    "content",
    "summary",
    "arguments",
    "reasoning",
    "refusal",
    "input",
    "code",
    "delta",
    "value",
)
"""Members of an object that hold the text which should stand in its place, the likeliest first."""

_DEEPEST: Final = 16
"""Levels of objects around a text; the deepest one seen has three."""


def flatten(value: Any, depth: int = 0) -> str | None:
    """Return the text in a delta, or in a part's text, of any shape; None if there is none. Never the notation of an object.

    An object gives its likeliest text member, a list the join of its elements' texts, a number itself.
    """
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool) or depth > _DEEPEST:
        return None
    if isinstance(value, dict):
        for name in TEXT_FIELDS:
            if name in value:
                return flatten(value[name], depth + 1)
        return None
    if isinstance(value, list):
        texts = [text for element in value if (text := flatten(element, depth + 1)) is not None]
        return "".join(texts) if texts else None
    return dump_json(value).decode()
