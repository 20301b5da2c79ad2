"""Anthropic's message stream as tables: events, blocks, the deltas that fit them, and closed lists of values.

Source: ``RawMessageStreamEvent`` of anthropic 2.14, to which ``tests/families/messages/test_grammar.py`` pins it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MESSAGE_START: Final = "message_start"
BLOCK_START: Final = "content_block_start"
BLOCK_DELTA: Final = "content_block_delta"
BLOCK_STOP: Final = "content_block_stop"
MESSAGE_DELTA: Final = "message_delta"
MESSAGE_STOP: Final = "message_stop"
PING: Final = "ping"
ERROR: Final = "error"

EVENTS: Final = frozenset(
    {MESSAGE_START, BLOCK_START, BLOCK_DELTA, BLOCK_STOP, MESSAGE_DELTA, MESSAGE_STOP, PING, ERROR}
)

TEXT: Final = "text"
THINKING: Final = "thinking"
TOOL_USE: Final = "tool_use"


@dataclass(frozen=True, slots=True)
class BlockKind:
    """What a content block of one type is made of.

    Attributes:
        strings: members that are strings when the block starts.
        grows: the one of them that is empty then, and grows by deltas.
        inputs: whether it has ``input``, an object, empty when the block starts and filled by ``partial_json``.
        deltas: types of the deltas that fit it.

    """

    strings: tuple[str, ...]
    grows: str | None
    inputs: bool
    deltas: tuple[str, ...]


TEXT_DELTA: Final = "text_delta"
THINKING_DELTA: Final = "thinking_delta"
SIGNATURE_DELTA: Final = "signature_delta"
INPUT_DELTA: Final = "input_json_delta"
CITATIONS_DELTA: Final = "citations_delta"

_WHOLE: Final = BlockKind((), None, inputs=False, deltas=())
"""A block that comes whole, as the results of Anthropic's own tools do."""

BLOCKS: Final[dict[str, BlockKind]] = {
    TEXT: BlockKind(("text",), "text", inputs=False, deltas=(TEXT_DELTA, CITATIONS_DELTA)),
    THINKING: BlockKind(("thinking",), "thinking", inputs=False, deltas=(THINKING_DELTA, SIGNATURE_DELTA)),
    TOOL_USE: BlockKind(("id", "name"), None, inputs=True, deltas=(INPUT_DELTA,)),
    "server_tool_use": BlockKind(("id", "name"), None, inputs=True, deltas=(INPUT_DELTA,)),
    "redacted_thinking": BlockKind(("data",), None, inputs=False, deltas=()),
    "web_search_tool_result": _WHOLE,
    "web_fetch_tool_result": _WHOLE,
    "code_execution_tool_result": _WHOLE,
    "bash_code_execution_tool_result": _WHOLE,
    "text_editor_code_execution_tool_result": _WHOLE,
    "tool_search_tool_result": _WHOLE,
    "container_upload": _WHOLE,
}

DELTA_MEMBERS: Final = {
    TEXT_DELTA: "text",
    THINKING_DELTA: "thinking",
    SIGNATURE_DELTA: "signature",
    INPUT_DELTA: "partial_json",
}
"""The member of a delta that is a string."""
WORDS_OF_DELTA: Final = {type_: member for type_, member in DELTA_MEMBERS.items() if type_ != SIGNATURE_DELTA}
"""The member of a delta that a text, thinking or an input grows by."""
BLOCK_OF_DELTA: Final = {
    TEXT_DELTA: TEXT,
    CITATIONS_DELTA: TEXT,
    THINKING_DELTA: THINKING,
    SIGNATURE_DELTA: THINKING,
    INPUT_DELTA: TOOL_USE,
}
"""The type of the block that a delta needs, where more than one has it: the one that vLLM sends."""

STOP_SEQUENCE: Final = "stop_sequence"
END_TURN: Final = "end_turn"
MAX_TOKENS: Final = "max_tokens"
REFUSAL: Final = "refusal"
STOP_REASONS: Final = frozenset(
    {
        END_TURN,
        MAX_TOKENS,
        STOP_SEQUENCE,
        TOOL_USE,
        "pause_turn",
        REFUSAL,
        "model_context_window_exceeded",
    }
)
CUT_REASONS: Final = frozenset({MAX_TOKENS, REFUSAL, "model_context_window_exceeded"})
"""Stop reasons of an answer that is not whole: its last call may be cut."""

ERROR_TYPES: Final = frozenset(
    {
        "invalid_request_error",
        "authentication_error",
        "billing_error",
        "permission_error",
        "not_found_error",
        "request_too_large",
        "rate_limit_error",
        "timeout_error",
        "api_error",
        "overloaded_error",
    }
)
"""All but ``request_too_large`` are in the types of the SDK; that one is in Anthropic's documentation."""

COUNTS: Final = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
"""The counts of ``usage``. The first two are required in ``message_start``, the second in ``message_delta``; the others may
be null."""
