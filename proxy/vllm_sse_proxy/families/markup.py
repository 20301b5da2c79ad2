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
OPENING_TAGS: Final = THOUGHT_MARKERS[::2]
CLOSING_TAGS: Final = THOUGHT_MARKERS[1::2]

_ANY_OPENING: Final = "|".join(map(re.escape, OPENING_TAGS))
_ANY_CLOSING: Final = "|".join(map(re.escape, CLOSING_TAGS))
_OPENING: Final = re.compile(rf"\s*(?:{_ANY_OPENING})")
_BLANKS: Final = " \t\r"
_MOST_BLANKS: Final = 8
"""Blanks behind a tag that are waited for: templates have none."""
_GOES_ON: Final = r"\s<>.,;:!?/)}\]'\"`\-–—…’”»、。，：；！？）」』"  # noqa: RUF001 - such marks, too
"""What stands behind a word of a text, and not at the beginning of a thought."""
_BEHIND_OPENING: Final = re.compile(rf"[^{_GOES_ON}]|[{_BLANKS}]{{0,{_MOST_BLANKS}}}(?:\n|{_ANY_OPENING})")
_LEFT: Final = re.compile(
    rf"(?:{_ANY_OPENING})(?=[^{_GOES_ON}]|[{_BLANKS}]*(?:\n|{_ANY_OPENING}))"
    rf"|(?m:^)[^\S\n]*(?:{_ANY_CLOSING})|(?:{_ANY_CLOSING})(?=[{_BLANKS}]*(?:\n|\Z))"
)


def left_opening(text: str) -> int:
    """Return how much of the beginning of a text is an opening tag of thinking that was left there, and white space before it.

    A model goes on behind its own tag with a line end, a word or what else begins one, or the tag once more. With a blank
    there, or a mark that goes on with a sentence (a comma, a closing quote), or with nothing, the text may be about the tag,
    which is then one of its words.

    :returns: 0 if there is none; -1 as long as what follows may show that there is.
    """
    found = _OPENING.match(text)
    if found is None:
        begun = text.lstrip()
        return -1 if begun and any(tag.startswith(begun) for tag in OPENING_TAGS) else 0
    end = found.end()
    if _BEHIND_OPENING.match(text, end) is not None:
        return end
    behind = text[end:].lstrip(_BLANKS)
    is_open = len(text) - end - len(behind) <= _MOST_BLANKS and any(
        tag.startswith(behind) for tag in OPENING_TAGS
    )
    return -1 if is_open else 0


def behind_openings(text: str) -> tuple[str, bool]:
    """Return what stands behind the opening tags of thinking that a text begins with, and whether that may be one, too."""
    end = left_opening(text)
    while end > 0:
        text = text[end:]
        end = left_opening(text)
    return text, end < 0


def left_tag(text: str) -> str | None:
    """Return a tag of thinking that was left in an answer; None if it has none, or only mentions them.

    An opening tag counts as at the beginning of a thought (:func:`left_opening`), a closing one if it begins or ends its line.
    """
    found = _LEFT.search(text)
    return None if found is None else found.group().strip()


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
