"""Thoughts within the text of an answer (C25): found while the text comes in pieces, each character read a few times at most.

A parser of reasoning takes out the thoughts that an answer begins with. Some models think again in the middle of it, in the
form of their templates: ``<think>`` and a line end, the thoughts, a closing tag on a line of its own. Only that form counts,
and only outside of code: an answer that writes about the tags is left alone.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from vllm_sse_proxy.families.markup import CLOSING_TAGS, THOUGHT_MARKERS, partial_marker

SIGNS: Final = "<[`"
"""Characters for which a text must be looked at: tags begin with the first two, and the third begins and ends code."""

_TAG: Final = re.compile("|".join(map(re.escape, THOUGHT_MARKERS)))
_CLOSED: Final = re.compile(rf"\n[ \t]*({'|'.join(map(re.escape, CLOSING_TAGS))})")
_BEHIND: Final = " \t\r"
"""What may stand between an opening tag and its line end."""
_LONGEST_END: Final = 64
"""Characters of the line of a closing tag that are looked at again with the next piece."""
_CODE: Final = "`"


class Kind(Enum):
    """What a span of a text is."""

    TEXT = "text"
    THOUGHT = "thought"
    TAG = "tag"
    """It goes."""


Spans = list[tuple[Kind, int]]
"""The kinds of spans that follow each other, and the place behind each."""


class ThoughtSpans:
    """What of one text is text, and what is thought.

    It has the end of what was fed, as long as that is not known.
    """

    __slots__ = ("_begun", "_is_code", "_is_line_blank", "_pieces", "_tail", "_takes_closing")

    def __init__(self, *, takes_closing: bool = False) -> None:
        """Begin a text.

        :param takes_closing: whether closing tags on lines of their own may be left over from the thoughts before the text.
        """
        self._pieces: list[str] = []
        self._tail = ""
        """the end of the pieces, as far as a closing tag may begin in it"""
        self._begun = False
        """whether the pieces begin with an opening tag and its line end"""
        self._is_code = False
        self._is_line_blank = True
        self._takes_closing = takes_closing

    @property
    def left(self) -> str:
        """Return what of the text is not known yet."""
        return "".join(self._pieces)

    @property
    def is_waiting(self) -> bool:
        """Whether there is any of that."""
        return bool(self._pieces)

    def feed(self, piece: str, *, is_line_blank: bool = True) -> Spans:
        """Add a piece; return the spans of what waited and the piece, as far as they are known. What is left waits.

        :param is_line_blank: whether the last line of the text before that is; pieces without :data:`SIGNS` need not be fed.
        """
        if not self._pieces:
            self._is_line_blank = is_line_blank
        if self._begun:
            self._tail += piece
            if _CLOSED.search(self._tail) is None:
                self._pieces.append(piece)
                self._tail = self._tail[-_LONGEST_END:]
                return []
        text = "".join([*self._pieces, piece])
        spans = self._spans(text)
        known = spans[-1][1] if spans else 0
        self._pieces = [text[known:]] if known < len(text) else []
        self._tail = text[known:][-_LONGEST_END:]
        return spans

    def give_up(self) -> None:
        """Take what is left as text."""
        if self._pieces:
            self._note(self.left)
        self._pieces = []
        self._begun = False

    def _spans(self, text: str) -> Spans:
        spans: Spans = []
        self._begun = False
        done = at = 0
        while (tag := _TAG.search(text, at)) is not None:
            self._note(text[at : tag.start()])
            at = tag.end()
            if self._is_code:
                self._note(tag.group())
                continue
            if tag.group() in CLOSING_TAGS:
                if self._takes_closing and self._is_line_blank:
                    spans += [(Kind.TEXT, tag.start()), (Kind.TAG, at)]
                    done = at
                else:
                    self._takes_closing = self._is_line_blank = False
                continue
            is_opening = _opens(text, at)
            closed = _CLOSED.search(text, at) if is_opening else None
            if is_opening is None or (is_opening and closed is None):
                self._begun = is_opening is True
                return _without_empty([*spans, (Kind.TEXT, tag.start())])
            if closed is None:
                self._takes_closing = False
                self._is_line_blank = False
                continue
            spans += [(Kind.TEXT, tag.start()), (Kind.TAG, at), (Kind.THOUGHT, closed.start(1))]
            done = at = closed.end()
            spans.append((Kind.TAG, at))
            self._is_line_blank = False
            self._takes_closing = True  # another one would have nothing to close
        end = max(done, partial_marker(text, THOUGHT_MARKERS)) if not self._is_code else len(text)
        self._note(text[at:end])
        return _without_empty([*spans, (Kind.TEXT, end)])

    def _note(self, text: str) -> None:
        """Take note of text: whether code begins or ends in it, and whether its last line is blank."""
        if text.count(_CODE) % 2:
            self._is_code = not self._is_code
        _, line_end, last = text.rpartition("\n")
        self._is_line_blank = (line_end != "" or self._is_line_blank) and not last.strip()


def _opens(text: str, at: int) -> bool | None:
    """Return whether a line ends behind an opening tag; None while that is not known."""
    near = text[at : at + _LONGEST_END]
    rest = near.lstrip(_BEHIND)
    return rest.startswith("\n") if rest or len(near) == _LONGEST_END else None


def _without_empty(spans: Spans) -> Spans:
    """Return spans without those of no length."""
    kept: Spans = []
    last = 0
    for kind, end in spans:
        if end > last:
            kept.append((kind, end))
            last = end
    return kept


def spread(spans: Spans, sizes: list[int]) -> list[list[tuple[Kind, int, int]]]:
    """Return, for each of several pieces, its spans: their kinds, and where they begin and end in it.

    :param sizes: the length of each piece; together they may be longer than the spans, whose rest is not known.
    """
    made: list[list[tuple[Kind, int, int]]] = []
    start = place = begin = 0
    for size in sizes:
        own: list[tuple[Kind, int, int]] = []
        while place < len(spans) and begin < start + size:
            kind, end = spans[place]
            cut = min(end, start + size)
            own.append((kind, begin - start, cut - start))
            begin = cut
            if cut == end:
                place += 1
        made.append(own)
        start += size
    return made
