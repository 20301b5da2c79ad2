"""Requests of messages for the tests of their repairs: what a repair makes of one, and the blocks in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm_sse_proxy.families.requests import Facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from vllm_sse_proxy.families.requests.base import RequestRepair

Json = dict[str, object]

UNKNOWN = Facts()
"""What is known of a model of which nothing is."""


def made_by(repair: RequestRepair) -> Callable[..., Json | None]:
    """Return a function that returns what a repair makes of a request with these members; None if it changes nothing."""

    def made(**body: object) -> Json | None:
        repaired = repair.repair(body, UNKNOWN)
        return None if repaired is None else repaired.body

    return made


def asked(*blocks: object) -> list[object]:
    """Return the messages of somebody who says these blocks."""
    return [{"role": "user", "content": list(blocks)}]


def text(words: str, **more: object) -> Json:
    """Return a text block."""
    return {"type": "text", "text": words, **more}


def result(*blocks: object) -> list[object]:
    """Return the messages of somebody who gives these blocks as a tool's result."""
    return asked({"type": "tool_result", "tool_use_id": "t", "content": list(blocks)})
