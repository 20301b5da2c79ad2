"""What models write that a parser of vLLM should have taken out of the text: the markers of tool calls and of thinking.

A table, of vLLM's parsers from 0.10 to 0.33 and of the templates that their models were trained on. Judges and repairs may
read it.
"""

from __future__ import annotations

import re
from typing import Final

CALL_MARKERS: Final = (
    "<tool_call>",  # hermes, qwen, glm, minimax
    "</tool_call>",
    "<tool_calls>",  # minimax, hunyuan
    "</tool_calls>",
    "<|tool_call>",  # gemma4
    "<|tool_call|>",  # granite
    "<|tool_calls_section_begin|>",  # kimi
    "<|tool_calls_section_end|>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
    "<｜tool▁calls▁begin｜>",  # noqa: RUF001 - deepseek's own characters
    "<｜tool▁calls▁end｜>",  # noqa: RUF001
    "<｜tool▁call▁begin｜>",  # noqa: RUF001
    "<｜tool▁call▁end｜>",  # noqa: RUF001
    "<｜tool▁sep｜>",  # noqa: RUF001
    "<｜DSML｜",  # noqa: RUF001 - deepseek v4
    "[TOOL_CALLS]",  # mistral
    "<|python_tag|>",  # llama
    "<function=",  # qwen3_coder, llama
    "<minimax:tool_call>",
    "</minimax:tool_call>",
    "<|action_start|>",  # internlm
)
"""What begins, parts or ends calls."""

HARMONY_MARKERS: Final = (
    "<|start|>",
    "<|channel|>",
    "<|message|>",
    "<|constrain|>",
    "<|call|>",
    "<|return|>",
    "<|end|>",
)
"""Tokens of gpt-oss, which stand between messages and never in one."""

THOUGHT_MARKERS: Final = (
    "<think>",
    "</think>",
    "<mm:think>",
    "</mm:think>",
    "[THINK]",
    "[/THINK]",
)
"""What begins and ends thinking."""


LONGEST_HEADER: Final = 200
"""Characters of the longest header of harmony that is looked for: the name of a tool has 64 at most."""
_HEADER: Final = re.compile(
    r"(?:<\|start\|>(?:assistant)?|(?=<\|channel\|>))"
    r"(?: to=[\w.-]*)?(?:<\|channel\|>(?:analysis|commentary|final)?)?(?: to=[\w.-]*)?"
    r"(?: ?<\|constrain\|>\w*)?(?:<\|message\|>)?"
)
END_TOKENS: Final = frozenset({"<|return|>", "<|end|>", "<|call|>"})
"""Tokens of gpt-oss that end a message."""


def is_header(text: str) -> bool:
    """Return whether a text is nothing but the header of a message of gpt-oss, or the beginning of one that was cut there."""
    return text.startswith("<|") and len(text) <= LONGEST_HEADER and _HEADER.fullmatch(text) is not None


def first_marker(text: str, markers: tuple[str, ...]) -> str | None:
    """Return a marker that a text holds, None if it holds none."""
    for marker in markers:
        if marker in text:
            return marker
    return None


def partial_marker(text: str, markers: tuple[str, ...]) -> int:
    """Return where at the end of a text the beginning of a marker stands; the length of the text if none does."""
    longest = max(map(len, markers)) - 1
    for at in range(max(0, len(text) - longest), len(text)):
        if any(marker.startswith(text[at:]) for marker in markers):
            return at
    return len(text)
