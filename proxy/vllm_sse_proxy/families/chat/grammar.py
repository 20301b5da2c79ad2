"""The protocol of chat completion chunks as tables: members, their JSON types, and closed lists of values.

Source: ``ChatCompletionChunk`` of openai 3.57, to which ``tests/families/chat/test_grammar.py`` pins it, and the members
that vLLM adds from 0.10 to 0.33.
"""

from __future__ import annotations

from typing import Final

OBJECT: Final = "chat.completion.chunk"
ROLE: Final = "assistant"
FUNCTION: Final = "function"

FINISH_REASONS: Final = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
CUT_REASONS: Final = frozenset({"length", "content_filter"})
"""Finish reasons of an answer that is not whole: its last call may be cut."""

REASONING_NAMES: Final = ("reasoning", "reasoning_content")
"""Of vLLM: the first from 0.11.1 on, the second up to 0.15; releases between send both."""

TEXT_MEMBERS: Final = ("content", "refusal", *REASONING_NAMES)
"""Members of a delta that are strings and grow."""
OBJECT_MEMBERS: Final[dict[str, dict[str, type[str | int]]]] = {
    "function_call": {"name": str, "arguments": str},
    "audio": {"id": str, "data": str, "transcript": str, "expires_at": int},
}
"""Members of a delta that are objects, and the types of their own members."""

LOGPROB_LISTS: Final = ("content", "refusal")

VLLM_TOP_MEMBERS: Final = ("prompt_token_ids", "prompt_text", "kv_transfer_params", "metrics")
"""vLLM's own members of a chunk, which pass as they are; it fills OpenAI's ``system_fingerprint``, too."""
VLLM_CHOICE_MEMBERS: Final = ("stop_reason", "token_ids", "weight_versions")
"""vLLM's own members of a choice, which pass as they are."""
