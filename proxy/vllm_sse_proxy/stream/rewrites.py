"""Learned rewrites: the fast path of every delta, in every family, whatever is wrong with it.

Theory of operation. Between two events that change the structure of a stream, what becomes of a delta depends on its envelope
(all of its bytes but its words and its number), not on its words. So nothing is predicted: the walk through the stations is
observed. If one delta went in and one came out, what came in and what went out are remembered as two forms: literal bytes
around gaps. The next frame that fits the first form leaves in the second one, with its own words and the next number. It is
neither parsed nor walked; the corrections that the walk counted are counted again, and the client's view grows by the words.

A form has a gap for the words, found by value: where the JSON of the emitted words stands, exactly once, or exactly twice if
the family says that the delta has them twice (:meth:`.view.View.has_words_twice`). It may have one for
the number, and one for an index that makes no difference (:meth:`.family.View.idle_index`): up to 0.16 vLLM counts it up with
every delta (R05).

Guards. Words are a JSON string; literals hold no escapes; numbers are spelled as JSON spells them; the text has room left. An
event other than a delta clears all forms. Repairs that must see words name the characters they look for
(:meth:`.repair.Repair.watches`); while one of them holds events, nothing is rewritten.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

from vllm_sse_proxy.stream.event import dump_json

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.view import TextView

_MANY_DIGITS: Final = 19
"""So many digits may be more than 64 bits hold."""
_UNNUMBERED: Final = b"-1"
"""What vLLM puts where it has no number."""
_QUOTE: Final = ord('"')
_NUMBER: Final = re.compile(rb'"sequence_number":(-?[0-9]+)(?=[,}])')
# A quote inside a JSON string is escaped, so these bytes are always the name of a member.


class _Gap:
    """A number between the literals of a form.

    :ivar literal: what stands between it and the words, or the next gap on the way there.
    :ivar is_idle: it is an index that makes no difference.
    """

    __slots__ = ("is_idle", "literal")

    def __init__(self, literal: bytes, *, is_idle: bool) -> None:
        self.literal = literal
        self.is_idle = is_idle


class Form:
    """How the frame of a delta is spelled but for its words and its numbers.

    :ivar number: the number of the frame that was read last; empty if it has none.
    :ivar idle: its index that makes no difference; empty if it has none.
    """

    __slots__ = ("_after", "_before", "_echo", "_head", "_shortest", "_tail", "idle", "is_numbered", "number")

    def __init__(
        self, head: bytes, before: list[_Gap], after: list[_Gap], tail: bytes, echo: bytes | None = None
    ) -> None:
        self._echo = echo
        """what stands between the words and the same words again; None where they stand once"""
        self._head = head
        self._before = before
        self._after = after
        self._tail = tail
        self._shortest = len(head) + len(tail) + 2
        self.is_numbered = any(not gap.is_idle for gap in (*before, *after))
        self.number = b""
        self.idle = b""

    @classmethod
    def of(cls, frame: bytes, words: bytes, idle: bytes = b"", *, twice: bool = False) -> Form | None:
        """Read the form off a frame without its blank line.

        :param words: the JSON of its words.
        :param idle: name of a member whose value, an index, makes no difference.
        :param twice: whether the words stand in it twice.
        :returns: None if it is not certain where the gaps are.
        """
        if frame.count(words) != 1 + twice or len(words) <= len(_EMPTY_WORDS):
            return None
        start = frame.index(words)
        end = frame.rindex(words) + len(words)
        echo = frame[start + len(words) : end - len(words)] if twice else None
        gaps: list[tuple[int, int, bool]] = []
        numbers = list(_NUMBER.finditer(frame))
        if len(numbers) > 1 or frame.count(b'"sequence_number"') != len(numbers):
            return None
        gaps += [(*number.span(1), False) for number in numbers]
        if idle:
            indexes = list(re.finditer(rb'"%b":([0-9]+)(?=[,}])' % idle, frame))
            if len(indexes) != 1:
                return None
            gaps.append((*indexes[0].span(1), True))
        before = sorted(gap for gap in gaps if gap[1] <= start)
        after = sorted((gap for gap in gaps if gap[0] >= end), reverse=True)
        literals: list[bytes] = []
        left: list[_Gap] = []
        for place, (_, gap_end, is_idle) in enumerate(before):
            until = before[place + 1][0] if place + 1 < len(before) else start
            literals.append(frame[gap_end:until])
            left.append(_Gap(frame[gap_end:until], is_idle=is_idle))
        right: list[_Gap] = []
        for place, (gap_start, _, is_idle) in enumerate(after):
            since = after[place + 1][1] if place + 1 < len(after) else end
            literals.append(frame[since:gap_start])
            right.append(_Gap(frame[since:gap_start], is_idle=is_idle))
        head = frame[: before[0][0] if before else start]
        tail = frame[after[0][1] if after else end :]
        rest = b"".join((head, *literals, echo or b"", tail))
        # With an escape in it, or a line end in the JSON, it could be read in another way.
        if (
            b"\\" in rest
            or b"\n" in tail
            or b"\n" in (echo or b"")
            or any(b"\n" in literal for literal in literals)
            or len(before) + len(after) != len(gaps)
        ):
            return None
        return cls(head, left, right, tail, echo)

    def read(self, frame: bytes) -> bytes:
        """Return the words of a frame, as they are spelled, and note its number; nothing for one that does not fit.

        What comes back stood where the words belong. Whether it is JSON is for the caller to find out.
        """
        if len(frame) < self._shortest or not (frame.startswith(self._head) and frame.endswith(self._tail)):
            return b""
        inner = frame[len(self._head) : len(frame) - len(self._tail)]
        self.number = b""
        # A number holds no quote, so the literal beside it is where it borders on the number.
        for gap in self._before:
            value, found, inner = inner.partition(gap.literal)
            if not found or not self._note(value, gap):
                return b""
        for gap in self._after:
            inner, found, value = inner.rpartition(gap.literal)
            if not found or not self._note(value, gap):
                return b""
        return inner if self._echo is None else self._once(inner, self._echo)

    def _once(self, inner: bytes, echo: bytes) -> bytes:
        """Return words that stand twice; nothing if they differ."""
        size = (len(inner) - len(echo)) // 2
        words = inner[:size]
        return words if size > 0 and inner == b"".join((words, echo, words)) else b""

    def _note(self, value: bytes, gap: _Gap) -> bool:
        if gap.is_idle:
            self.idle = value
            return _is_number(value)
        self.number = value
        return value == _UNNUMBERED or _is_number(value)

    def write(self, number: bytes, words: bytes, pieces: list[bytes]) -> None:
        """Add a frame that is spelled like this to ``pieces``; without gaps that are idle."""
        pieces.append(self._head)
        for gap in self._before:
            pieces.append(number)
            pieces.append(gap.literal)
        pieces.append(words)
        if self._echo is not None:
            pieces.append(self._echo)
            pieces.append(words)
        for gap in self._after:
            pieces.append(gap.literal)
            pieces.append(number)
        pieces.append(self._tail)
        pieces.append(b"\n\n")

    def is_like(self, other: Form) -> bool:
        """Return whether both forms spell the same frame."""
        return (
            self._head == other._head
            and self._tail == other._tail
            and self._echo == other._echo
            and [gap.literal for gap in self._before] == [gap.literal for gap in other._before]
            and [gap.literal for gap in self._after] == [gap.literal for gap in other._after]
        )


_EMPTY_WORDS: Final = b'""'
_DATA: Final = b"data: "


WALKED: Final = 0
"""The delta must be walked: its JSON would be written anew, and that is not known."""
WRITTEN: Final = 1
"""The delta is spelled as the proxy writes JSON."""
KEPT: Final = 2
"""Its JSON leaves as it came, below another ``event:`` line."""
WHOLE: Final = 3
"""The frame leaves as it came."""


class Rewrite:
    """What was learned of a delta.

    :ivar before: how it comes in.
    :ivar after: how it goes out.
    :ivar text: the text that it grows.
    :ivar corrections: names of the corrections that it takes.
    :ivar idle: the index that makes no difference, as it goes out.
    :ivar if_right: what becomes of one whose number and index are right already.
    :ivar if_wrong: what becomes of any other.
    :ivar walk: number of the walk for which ``signs`` was asked.
    :ivar signs: characters for which a repair must see the words; None if one must see them anyway.
    """

    __slots__ = (
        "after",
        "before",
        "corrections",
        "idle",
        "if_right",
        "if_wrong",
        "signs",
        "text",
        "type",
        "walk",
    )

    def __init__(
        self, type_: str, before: Form, after: Form, text: TextView, corrections: tuple[str, ...]
    ) -> None:
        self.type = type_
        self.before = before
        self.after = after
        self.text = text
        self.corrections = corrections
        self.idle = b""
        self.if_right = self.if_wrong = WRITTEN
        self.walk = -1
        self.signs: str | None = None


def learned(
    type_: str,
    frame: bytes,
    emitted: bytes,
    words: bytes,
    text: TextView,
    idle: bytes,
    corrections: tuple[str, ...],
    twice: tuple[bool, bool] = (False, False),
) -> Rewrite | None:
    """Return what the walk of a delta shows; None if it is not certain.

    JSON that nobody changed keeps its bytes; with another number it is written anew. Both come to the same if it is spelled as
    the proxy spells it, and else only one of them is known.

    :param words: the JSON of its words.
    :param idle: name of a member whose value, an index, makes no difference; empty if there is none.
    :param twice: whether the words stood in the frame twice as it came, and as it went out.
    """
    came_twice, left_twice = twice
    before = Form.of(frame, words, idle, twice=came_twice)
    if before is None:
        return None
    after = before if emitted == frame and not idle else Form.of(emitted, words, twice=left_twice)
    if after is None:
        return None
    rewrite = Rewrite(type_, before, after, text, corrections)
    if corrections:
        return rewrite
    came, left = _data_of(frame), _data_of(emitted)
    before.read(frame)
    rewrite.idle = before.idle
    head_is_right = len(frame) - len(came) == len(emitted) - len(left) and emitted.startswith(
        frame[: -len(came)]
    )
    if came == left:
        rewrite.if_right = WHOLE if head_is_right else KEPT
        rewrite.if_wrong = WRITTEN if dump_json(orjson.loads(came)) == came else WALKED
        return rewrite
    plain, spelled, leaves = (
        Form.of(dump_json(orjson.loads(came)), words, twice=came_twice),
        Form.of(came, words, twice=came_twice),
        Form.of(left, words, twice=left_twice),
    )
    if plain is None or spelled is None or leaves is None:
        return None
    if leaves.is_like(spelled):
        rewrite.if_right = WHOLE if head_is_right else KEPT
    elif leaves.is_like(plain):
        rewrite.if_right = WALKED
    return rewrite


def _data_of(frame: bytes) -> bytes:
    """Return the payload of a plain frame."""
    return frame[frame.index(_DATA) + len(_DATA) :]


def words_in(spelled: bytes) -> str | None:
    """Return the words that a frame spells; None if they are not a JSON string."""
    if not spelled or spelled[0] != _QUOTE or spelled[-1] != _QUOTE:
        return None
    try:
        words = orjson.loads(spelled)
    except ValueError:
        return None
    return words if type(words) is str else None


def spelled_words(spelled: bytes, words: str) -> bytes:
    """Return the JSON of words; the bytes that they came in where there is one way to write them."""
    return orjson.dumps(words) if b"\\" in spelled else spelled


def _is_number(text: bytes) -> bool:
    """Return whether this is how JSON writes a whole number that is not negative and not longer than 64 bits."""
    return text.isdigit() and len(text) < _MANY_DIGITS and (len(text) == 1 or not text.startswith(b"0"))
