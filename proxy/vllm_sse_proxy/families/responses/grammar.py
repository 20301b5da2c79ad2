"""The Responses protocol as tables: event types, their fields, item kinds, part kinds, and the texts that grow in them.

Here legal behaviour is data. Constructors of inserted events (``construct``), the client's view (``view``) and the
judge (``conformance``) read these tables; ``tests/families/responses/test_grammar.py`` pins them to the types of the
``openai`` package.

Sources: openai 3.54 ``ResponseStreamEvent``; Open Responses 2026-04-24; streams recorded from OpenAI's own API.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(Enum):
    """What the value of a field must be."""

    STRING = "string"
    INDEX = "index"
    """A non-negative integer."""
    LIST = "list"
    OBJECT = "object"


class Holder(Enum):
    """What a growing text is the text of."""

    PART = "part"
    SUMMARY = "summary"
    ITEM = "item"


@dataclass(frozen=True, slots=True, eq=False)
class TextRun:
    """A text that is sent in deltas and finished by one ``done`` event.

    ``done_field`` is the field of the done event, ``field`` the field of the part or item that holds the whole text.
    ``is_json``: the whole is JSON, so what cannot be read as such is not whole.
    """

    name: str
    delta: str
    done: str
    holder: Holder
    done_field: str
    field: str
    part_type: str | None = None
    is_json: bool = False


OUTPUT_TEXT: Final[TextRun] = TextRun(
    "output_text",
    "response.output_text.delta",
    "response.output_text.done",
    Holder.PART,
    "text",
    "text",
    "output_text",
)
REFUSAL: Final[TextRun] = TextRun(
    "refusal",
    "response.refusal.delta",
    "response.refusal.done",
    Holder.PART,
    "refusal",
    "refusal",
    "refusal",
)
REASONING_TEXT: Final[TextRun] = TextRun(
    "reasoning_text",
    "response.reasoning_text.delta",
    "response.reasoning_text.done",
    Holder.PART,
    "text",
    "text",
    "reasoning_text",
)
SUMMARY_TEXT: Final[TextRun] = TextRun(
    "reasoning_summary_text",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    Holder.SUMMARY,
    "text",
    "text",
    "summary_text",
)
FUNCTION_ARGUMENTS: Final[TextRun] = TextRun(
    "function_call_arguments",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    Holder.ITEM,
    "arguments",
    "arguments",
    is_json=True,
)
MCP_ARGUMENTS: Final[TextRun] = TextRun(
    "mcp_call_arguments",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    Holder.ITEM,
    "arguments",
    "arguments",
    is_json=True,
)
CUSTOM_INPUT: Final[TextRun] = TextRun(
    "custom_tool_call_input",
    "response.custom_tool_call_input.delta",
    "response.custom_tool_call_input.done",
    Holder.ITEM,
    "input",
    "input",
)
CODE: Final[TextRun] = TextRun(
    "code_interpreter_call_code",
    "response.code_interpreter_call_code.delta",
    "response.code_interpreter_call_code.done",
    Holder.ITEM,
    "code",
    "code",
)

TEXT_RUNS: Final = (
    OUTPUT_TEXT,
    REFUSAL,
    REASONING_TEXT,
    SUMMARY_TEXT,
    FUNCTION_ARGUMENTS,
    MCP_ARGUMENTS,
    CUSTOM_INPUT,
    CODE,
)
RUN_OF_DELTA: Final = {run.delta: run for run in TEXT_RUNS}
RUN_OF_DONE: Final = {run.done: run for run in TEXT_RUNS}
RUN_OF_EVENT: Final = {**RUN_OF_DELTA, **RUN_OF_DONE}
RUN_OF_PART: Final = {run.part_type: run for run in TEXT_RUNS if run.part_type is not None}


@dataclass(frozen=True, slots=True, eq=False)
class ItemKind:
    """What an output item of one type is made of.

    :ivar id_prefix: of the ids that the proxy derives.
    :ivar parts: types of the content parts that it may hold.
    :ivar summaries: may hold summary parts.
    :ivar run: the text that belongs to the item itself.
    :ivar progress: events without content, in order, that come before the text of the item in a complete stream.
    :ivar finish: the same, after its text.
    :ivar required: fields, beside id and type, that an item must name when it is announced, since no later event can.
    :ivar acts: clients run it once it is done, whatever its status says: half of one is never closed as done.
    """

    type: str
    id_prefix: str
    parts: tuple[str, ...] = ()
    summaries: bool = False
    run: TextRun | None = None
    progress: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    acts: bool = False


MESSAGE: Final[ItemKind] = ItemKind("message", "msg", parts=("output_text", "refusal"))
REASONING: Final[ItemKind] = ItemKind("reasoning", "rs", parts=("reasoning_text",), summaries=True)
FUNCTION_CALL: Final[ItemKind] = ItemKind(
    "function_call", "fc", run=FUNCTION_ARGUMENTS, required=("name", "call_id"), acts=True
)
CUSTOM_CALL: Final[ItemKind] = ItemKind(
    "custom_tool_call", "ctc", run=CUSTOM_INPUT, required=("name", "call_id"), acts=True
)
MCP_CALL: Final[ItemKind] = ItemKind(
    "mcp_call",
    "mcp",
    run=MCP_ARGUMENTS,
    progress=("response.mcp_call.in_progress",),
    finish=("response.mcp_call.completed",),
    required=("name", "server_label"),
)
CODE_CALL: Final[ItemKind] = ItemKind(
    "code_interpreter_call",
    "ci",
    run=CODE,
    progress=("response.code_interpreter_call.in_progress",),
    finish=("response.code_interpreter_call.interpreting", "response.code_interpreter_call.completed"),
)
WEB_SEARCH_CALL: Final[ItemKind] = ItemKind(
    "web_search_call",
    "ws",
    progress=("response.web_search_call.in_progress", "response.web_search_call.searching"),
    finish=("response.web_search_call.completed",),
)
FILE_SEARCH_CALL: Final[ItemKind] = ItemKind(
    "file_search_call",
    "fs",
    progress=("response.file_search_call.in_progress", "response.file_search_call.searching"),
    finish=("response.file_search_call.completed",),
)
IMAGE_CALL: Final[ItemKind] = ItemKind(
    "image_generation_call",
    "ig",
    progress=("response.image_generation_call.in_progress", "response.image_generation_call.generating"),
    finish=("response.image_generation_call.completed",),
)
MCP_LIST_TOOLS: Final[ItemKind] = ItemKind(
    "mcp_list_tools",
    "mcpl",
    progress=("response.mcp_list_tools.in_progress",),
    finish=("response.mcp_list_tools.completed",),
)

ITEM_KINDS: Final = {
    kind.type: kind
    for kind in (
        MESSAGE,
        REASONING,
        FUNCTION_CALL,
        CUSTOM_CALL,
        MCP_CALL,
        CODE_CALL,
        WEB_SEARCH_CALL,
        FILE_SEARCH_CALL,
        IMAGE_CALL,
        MCP_LIST_TOOLS,
    )
}
TEXT_KINDS: Final = (MESSAGE, REASONING)
"""What the model says, in parts. Upstream takes the one for the other at times."""
CLIENT_CALLS: Final = (FUNCTION_CALL, CUSTOM_CALL)
"""Calls that clients run."""


def item_kind(type_: object) -> ItemKind:
    """Return the kind of an item type; for one that the tables do not know, a kind without texts that may act."""
    known = ITEM_KINDS.get(type_) if isinstance(type_, str) else None
    if known is not None:
        return known
    return ItemKind(type_ if isinstance(type_, str) else "unknown", "item", acts=True)


KIND_OF_EVENT: Final[dict[str, ItemKind]] = {
    OUTPUT_TEXT.delta: MESSAGE,
    OUTPUT_TEXT.done: MESSAGE,
    REFUSAL.delta: MESSAGE,
    REFUSAL.done: MESSAGE,
    "response.output_text.annotation.added": MESSAGE,
    REASONING_TEXT.delta: REASONING,
    REASONING_TEXT.done: REASONING,
    SUMMARY_TEXT.delta: REASONING,
    SUMMARY_TEXT.done: REASONING,
    "response.reasoning_summary_part.added": REASONING,
    "response.reasoning_summary_part.done": REASONING,
    **{
        type_: kind
        for kind in ITEM_KINDS.values()
        for type_ in (*kind.progress, *kind.finish, *((kind.run.delta, kind.run.done) if kind.run else ()))
    },
    "response.mcp_call.failed": MCP_CALL,
    "response.mcp_list_tools.failed": MCP_LIST_TOOLS,
    "response.image_generation_call.partial_image": IMAGE_CALL,
}
"""The kind of item that an event can only belong to. ``content_part.*`` is absent: it fits two kinds."""

CREATED: Final = "response.created"
QUEUED: Final = "response.queued"
IN_PROGRESS: Final = "response.in_progress"
COMPLETED: Final = "response.completed"
INCOMPLETE: Final = "response.incomplete"
FAILED: Final = "response.failed"
ERROR: Final = "error"
ITEM_ADDED: Final = "response.output_item.added"
ITEM_DONE: Final = "response.output_item.done"
PART_ADDED: Final = "response.content_part.added"
PART_DONE: Final = "response.content_part.done"
SUMMARY_ADDED: Final = "response.reasoning_summary_part.added"
SUMMARY_DONE: Final = "response.reasoning_summary_part.done"
ANNOTATION_ADDED: Final = "response.output_text.annotation.added"
SHELL_OUTPUT_DELTA: Final = "response.shell_call_output_content.delta"
DONE_SENTINEL: Final = b"[DONE]"

OF_ITEMS: Final = frozenset({ITEM_ADDED, ITEM_DONE})
"""Events that hold an item."""
PARTS_ADDED: Final = frozenset({PART_ADDED, SUMMARY_ADDED})
PARTS_DONE: Final = frozenset({PART_DONE, SUMMARY_DONE})
OF_PARTS: Final = PARTS_ADDED | PARTS_DONE
"""Events that hold a part."""
LIFECYCLE: Final = frozenset({CREATED, QUEUED, IN_PROGRESS, COMPLETED, INCOMPLETE, FAILED})
"""Events that carry the whole response object."""
OPENING: Final = frozenset({CREATED, QUEUED, IN_PROGRESS})
TERMINAL: Final = frozenset({COMPLETED, INCOMPLETE, FAILED})

STATUSES_OF: Final = {
    CREATED: frozenset({"in_progress", "queued"}),
    QUEUED: frozenset({"queued"}),
    IN_PROGRESS: frozenset({"in_progress"}),
    COMPLETED: frozenset({"completed"}),
    INCOMPLETE: frozenset({"incomplete"}),
    FAILED: frozenset({"failed", "cancelled"}),
}
"""``response.status`` that each lifecycle event may carry. ``cancelled`` is a status without an event of its own
(#57999):
such a response ends as failed."""
WORDS_OF_SUCCESS: Final = frozenset(
    {"completed", "complete", "done", "finished", "success", "succeeded", "ended", "end", "stop", "stopped"}
)
"""What private events and statuses call an end that is not one of the failures below."""
WORDS_OF_FAILURE: Final = (
    *(
        "failed",
        "failure",
        "cancelled",
        "canceled",
        "aborted",
        "abort",
        "error",
        "errored",
        "timeout",
        "timed_out",
    ),
    *("expired", "terminated", "interrupted", "killed", "rejected"),
)
"""What vLLM (``cancelled``), forks and gateways call the end of a response that did not succeed (issue 12, K1)."""
TERMINAL_OF_STATUS: Final = {
    **dict.fromkeys(WORDS_OF_SUCCESS, COMPLETED),
    **dict.fromkeys(WORDS_OF_FAILURE, FAILED),
    "incomplete": INCOMPLETE,
}
"""``response.status`` → the type of the event that ends such a response; a status of one that goes on is not in it."""

_OPENAI_FIELDS: Final = frozenset(
    {
        *(
            "id",
            "object",
            "created_at",
            "status",
            "background",
            "error",
            "incomplete_details",
            "instructions",
        ),
        *(
            "max_output_tokens",
            "max_tool_calls",
            "model",
            "output",
            "parallel_tool_calls",
            "previous_response_id",
        ),
        *(
            "prompt_cache_key",
            "reasoning",
            "safety_identifier",
            "service_tier",
            "store",
            "temperature",
            "text",
        ),
        *("tool_choice", "tools", "top_logprobs", "top_p", "truncation", "usage", "user", "metadata"),
    }
)
_OPENAI_BEGINNING: Final = ("id", "object", "created_at", "status", "background")
_OPENAI_ID: Final = re.compile(r"resp_[0-9a-f]{48,}")
_OPENAI_ID_LENGTH: Final = 53


OTHER_CALLS: Final = frozenset({"computer_call", "local_shell_call", "shell_call", "apply_patch_call"})
"""Calls beside those of :data:`ITEM_KINDS` whose ``call_id`` the answer to them names."""


def has_call_id(type_: str) -> bool:
    """Return whether an item of this type is a call whose ``call_id`` the answer to it names."""
    return type_ in OTHER_CALLS or "call_id" in item_kind(type_).required


def looks_like_openai(response: Mapping[str, Any] | None) -> bool:
    """Return whether a response object is one of OpenAI's own API, or of Azure's.

    Their streams lack what the types of the newest SDKs require (``cache_write_tokens``, the ``message`` of an ``error``
    event, the ``query`` of a web search that begins), and every client is made for them, so they keep their bytes. Such an
    object has all of these fields, and in their order, or an id of their form.
    """
    if response is None or "error" not in response:
        return False
    id_ = response.get("id")
    has_id = isinstance(id_, str) and len(id_) >= _OPENAI_ID_LENGTH and _OPENAI_ID.fullmatch(id_) is not None
    is_theirs = has_id or tuple(response)[: len(_OPENAI_BEGINNING)] == _OPENAI_BEGINNING
    return is_theirs and response.keys() >= _OPENAI_FIELDS


_RESPONSE: Final = {"response": Kind.OBJECT}
_OUTPUT: Final = {"output_index": Kind.INDEX}
_ITEM: Final = {"item_id": Kind.STRING, **_OUTPUT}
_PART: Final = {**_ITEM, "content_index": Kind.INDEX}
_SUMMARY: Final = {**_ITEM, "summary_index": Kind.INDEX}
_COMMAND: Final = {**_OUTPUT, "command_index": Kind.INDEX}
_DELTA: Final = {"delta": Kind.STRING}
_TEXT: Final = {"text": Kind.STRING}

EVENT_FIELDS: Final[dict[str, dict[str, Kind]]] = {
    **dict.fromkeys((CREATED, QUEUED, IN_PROGRESS, COMPLETED, INCOMPLETE, FAILED), _RESPONSE),
    ERROR: {"message": Kind.STRING},
    ITEM_ADDED: {**_OUTPUT, "item": Kind.OBJECT},
    ITEM_DONE: {**_OUTPUT, "item": Kind.OBJECT},
    PART_ADDED: {**_PART, "part": Kind.OBJECT},
    PART_DONE: {**_PART, "part": Kind.OBJECT},
    SUMMARY_ADDED: {**_SUMMARY, "part": Kind.OBJECT},
    SUMMARY_DONE: {**_SUMMARY, "part": Kind.OBJECT},
    OUTPUT_TEXT.delta: {**_PART, **_DELTA, "logprobs": Kind.LIST},
    OUTPUT_TEXT.done: {**_PART, **_TEXT, "logprobs": Kind.LIST},
    ANNOTATION_ADDED: {**_PART, "annotation_index": Kind.INDEX},
    REFUSAL.delta: {**_PART, **_DELTA},
    REFUSAL.done: {**_PART, "refusal": Kind.STRING},
    REASONING_TEXT.delta: {**_PART, **_DELTA},
    REASONING_TEXT.done: {**_PART, **_TEXT},
    SUMMARY_TEXT.delta: {**_SUMMARY, **_DELTA},
    SUMMARY_TEXT.done: {**_SUMMARY, **_TEXT},
    FUNCTION_ARGUMENTS.delta: {**_ITEM, **_DELTA},
    FUNCTION_ARGUMENTS.done: {**_ITEM, "arguments": Kind.STRING},
    MCP_ARGUMENTS.delta: {**_ITEM, **_DELTA},
    MCP_ARGUMENTS.done: {**_ITEM, "arguments": Kind.STRING},
    CUSTOM_INPUT.delta: {**_ITEM, **_DELTA},
    CUSTOM_INPUT.done: {**_ITEM, "input": Kind.STRING},
    CODE.delta: {**_ITEM, **_DELTA},
    CODE.done: {**_ITEM, "code": Kind.STRING},
    **dict.fromkeys(
        (
            "response.code_interpreter_call.in_progress",
            "response.code_interpreter_call.interpreting",
            "response.code_interpreter_call.completed",
            "response.web_search_call.in_progress",
            "response.web_search_call.searching",
            "response.web_search_call.completed",
            "response.file_search_call.in_progress",
            "response.file_search_call.searching",
            "response.file_search_call.completed",
            "response.image_generation_call.in_progress",
            "response.image_generation_call.generating",
            "response.image_generation_call.completed",
            "response.mcp_call.in_progress",
            "response.mcp_call.completed",
            "response.mcp_call.failed",
            "response.mcp_list_tools.in_progress",
            "response.mcp_list_tools.completed",
            "response.mcp_list_tools.failed",
            "response.compaction.compacting",
        ),
        _ITEM,
    ),
    "response.image_generation_call.partial_image": {
        **_ITEM,
        "partial_image_b64": Kind.STRING,
        "partial_image_index": Kind.INDEX,
    },
    "response.shell_call_command.added": {**_COMMAND, "command": Kind.STRING},
    "response.shell_call_command.delta": {**_COMMAND, **_DELTA},
    "response.shell_call_command.done": {**_COMMAND, "command": Kind.STRING},
    SHELL_OUTPUT_DELTA: {**_ITEM, "command_index": Kind.INDEX, "delta": Kind.OBJECT},
    "response.shell_call_output_content.done": {**_ITEM, "command_index": Kind.INDEX, "output": Kind.LIST},
    "response.audio.delta": _DELTA,
    "response.audio.done": {},
    "response.audio.transcript.delta": _DELTA,
    "response.audio.transcript.done": {},
}
"""Every event type of the ``openai`` package and the fields that it must have beside ``type`` and ``sequence_number``."""

ITEM_EVENTS: Final = frozenset(
    type_ for type_, fields in EVENT_FIELDS.items() if "output_index" in fields and type_ not in OF_ITEMS
)
"""Events inside an item's life: after its ``output_item.added``, before its ``output_item.done``."""
PART_EVENTS: Final = frozenset(type_ for type_, fields in EVENT_FIELDS.items() if "content_index" in fields)
SUMMARY_EVENTS: Final = frozenset(
    type_ for type_, fields in EVENT_FIELDS.items() if "summary_index" in fields
)
ITEM_ID_EVENTS: Final = frozenset(type_ for type_, fields in EVENT_FIELDS.items() if "item_id" in fields)

OPEN_RESPONSES_NAMES: Final = {
    REASONING_TEXT.delta: "response.reasoning.delta",
    REASONING_TEXT.done: "response.reasoning.done",
}
"""Dialect ``open-responses``: the names that differ from OpenAI's (https://www.openresponses.org/specification)."""

ALIASES: Final[dict[str, str]] = {
    # Open Responses' own names, and the fork's (F01)
    "response.reasoning.delta": REASONING_TEXT.delta,
    "response.reasoning.done": REASONING_TEXT.done,
    "response.reasoning_content.delta": REASONING_TEXT.delta,
    "response.reasoning_content.done": REASONING_TEXT.done,
    "response.reasoning_content_text.delta": REASONING_TEXT.delta,
    "response.reasoning_content_text.done": REASONING_TEXT.done,
    "response.thinking.delta": REASONING_TEXT.delta,
    "response.thinking.done": REASONING_TEXT.done,
    # vLLM 0.11 to 0.31 (R24)
    "response.reasoning_part.added": PART_ADDED,
    "response.reasoning_part.done": PART_DONE,
    # the fork's, and OpenAI's own of spring 2025
    "response.reasoning.summary.added": SUMMARY_ADDED,
    "response.reasoning.summary.delta": SUMMARY_TEXT.delta,
    "response.reasoning.summary.done": SUMMARY_TEXT.done,
    "response.reasoning_summary.delta": SUMMARY_TEXT.delta,
    "response.reasoning_summary.done": SUMMARY_TEXT.done,
    # gateways and old llama-stack
    "response.function_call.delta": FUNCTION_ARGUMENTS.delta,
    "response.function_call.arguments.delta": FUNCTION_ARGUMENTS.delta,
    "response.function_call.arguments.done": FUNCTION_ARGUMENTS.done,
    "response.mcp_call.arguments.delta": MCP_ARGUMENTS.delta,
    "response.mcp_call.arguments.done": MCP_ARGUMENTS.done,
    "response.web_search_call.added": "response.web_search_call.in_progress",
    "response.web_search_call.done": "response.web_search_call.completed",
    # names copied from the realtime API
    "response.text.delta": OUTPUT_TEXT.delta,
    "response.text.done": OUTPUT_TEXT.done,
    "response.done": COMPLETED,
    "response.error": ERROR,
    # ends that have no event of their own
    **{f"response.{word}": FAILED for word in WORDS_OF_FAILURE if word not in ("failed", "error")},
}
"""Private names and the protocol's name for the same thing."""

KEEPALIVE: Final = "keepalive"
"""The one heartbeat that every client accepts as an event. It repeats the number of the last event."""
PINGS: Final = frozenset({"response.ping", "ping"})
"""Heartbeats sent as events: openai-node's ``.stream()`` throws on them. They leave as comments."""

PRIVATE_NOTICES: Final = frozenset(
    {
        "response.additional_context",
        "response.rate_limits.updated",
        "response.tool_call.arguments.delta",
        "response.tool_call.completed",
    }
)
"""Private events of forks that carry nothing of the response; no client of the default dialect knows them."""
TOOL_CALL_DELTA: Final = "response.tool_call.delta"
"""The fork's own form of a streamed call (F01), three shapes of payload, beside the protocol's events."""
