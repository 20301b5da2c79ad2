"""Thoughts of earlier turns, which old releases refuse.

Every client that shows thinking sends it back with its signature. Releases up to 0.16 know no ``thinking`` block: 400.
"""

from __future__ import annotations

from typing import ClassVar

from vllm_sse_proxy.families.messages.requests.blocks import LeftOutBlocks


class RefusedThinking(LeftOutBlocks):
    """Leave out thoughts that upstream refuses."""

    __slots__ = ()

    name: ClassVar = "refused_thinking"
    summary: ClassVar = "`thinking` blocks, which old releases refuse, are left out"
    lossless: ClassVar = False
    left_out: ClassVar = "thinking"
    accepted_since: ClassVar = (0, 17)
