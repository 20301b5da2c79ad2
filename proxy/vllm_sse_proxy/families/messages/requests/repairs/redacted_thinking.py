"""Thoughts that only Anthropic can read.

A session that began at Anthropic may hold ``redacted_thinking``. Releases up to 0.17 answer 400; newer ones drop it.
"""

from __future__ import annotations

from typing import ClassVar

from vllm_sse_proxy.families.messages.requests.blocks import LeftOutBlocks


class RedactedThinking(LeftOutBlocks):
    """Leave out thoughts that nobody here can read."""

    __slots__ = ()

    name: ClassVar = "redacted_thinking"
    summary: ClassVar = "`redacted_thinking` blocks are left out"
    lossless: ClassVar = True
    left_out: ClassVar = "redacted_thinking"
    accepted_since: ClassVar = (0, 20)
