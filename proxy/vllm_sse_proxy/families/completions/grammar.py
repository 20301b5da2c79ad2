"""The protocol of completion chunks as tables.

Source: ``Completion`` of openai 3.57, to which ``tests/families/completions/test_grammar.py`` pins it (its
``finish_reason`` is never null, as it is the type of a whole completion), and the members that vLLM adds from 0.10 to 0.33.
"""

from __future__ import annotations

from typing import Final

OBJECT: Final = "text_completion"

FINISH_REASONS: Final = frozenset({"stop", "length", "content_filter"})

LOGPROB_LISTS: Final = ("text_offset", "token_logprobs", "tokens", "top_logprobs")
"""Members of ``logprobs``, lists of one length: one element per token."""

VLLM_TOP_MEMBERS: Final = ("kv_transfer_params", "metrics")
"""vLLM's own members of a chunk, which pass as they are; it fills OpenAI's ``system_fingerprint``, too."""
VLLM_CHOICE_MEMBERS: Final = (
    "stop_reason",
    "prompt_token_ids",
    "token_ids",
    "prompt_logprobs",
    "weight_versions",
)
"""vLLM's own members of a choice, which pass as they are."""
