"""Learned rewrites: the fast path of every delta, in every family, whatever is wrong with it.

Theory of operation. Between two events that change the structure of a stream, what becomes of a delta depends on its envelope
(all of its bytes but its words and its number), not on its words. So nothing is predicted: the walk through the stations is
observed. If one delta went in and one came out, what came in and what went out are remembered as two forms: literal bytes
around gaps. The next frame that fits the first form leaves in the second one, with its own words and the next number. It is
neither parsed nor walked; the corrections that the walk counted are counted again, and the client's view grows by the words.

A form has a gap for the words, found by value: where the JSON of the emitted words stands, exactly once, or exactly twice if
the family says that the delta has them twice (:meth:`.view.View.has_words_twice`). It may have one for
the number, and one for an index that makes no difference (:meth:`.view.View.idle_index`): up to 0.16 vLLM counts it up with
every delta (R05).

Guards. Words are a JSON string; literals hold no escapes; numbers are spelled as JSON spells them; the text has room left. An
event other than a delta clears all forms. Repairs that must see words name the characters they look for
(:meth:`.repair.Repair.watches`); while one of them holds events, nothing is rewritten.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

import orjson

from vllm_sse_proxy.stream.event import dump_json

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.view import TextView

_MANY_DIGITS: Final = 19
"""So many digits may be more than 64 bits hold."""
_UNNUMBERED: Final = b"-1"
"""What vLLM puts where it has no number."""
_QUOTE: Final = 34
_BACKSLASH: Final = 92
_MEMBER: Final = b'"sequence_number"'
_NUMBER: Final = re.compile(rb'"sequence_number":(-?[0-9]+)(?=[,}])')
# A quote inside a JSON string is escaped, so these bytes are always the name of a member.


@cache
def _index(name: bytes) -> re.Pattern[bytes]:
    """Return what finds an index by its name; a family has two or three such names."""
    return re.compile(rb'"%b":([0-9]+)(?=[,}])' % name)


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

    __slots__ = (
        "_after",
        "_before",
        "_echo",
        "_ending",
        "_ends_in_number",
        "_head",
        "_inner",
        "_shortest",
        "_tail",
        "idle",
        "is_numbered",
        "number",
    )

    def __init__(
        self, head: bytes, before: list[_Gap], after: list[_Gap], tail: bytes, echo: bytes | None = None
    ) -> None:
        self._echo = echo
        """what stands between the words and the same words again; None where they stand once"""
        self._head = head
        self._before = before
        self._after = after
        self._tail = tail
        self._ending = tail + b"\n\n"
        self._ends_in_number = bool(after) and not after[0].is_idle
        self._inner = after[1:]
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
        gaps = _gaps_in(frame, idle)
        if gaps is None:
            return None
        head_end, tail_start = start, end
        before: list[_Gap] = []
        after: list[_Gap] = []
        for gap_start, gap_end, is_idle in reversed(gaps):
            if gap_end <= start:
                before.insert(0, _Gap(frame[gap_end:head_end], is_idle=is_idle))
                head_end = gap_start
        for gap_start, gap_end, is_idle in gaps:
            if gap_start >= end:
                after.insert(0, _Gap(frame[tail_start:gap_start], is_idle=is_idle))
                tail_start = gap_end
        # With an escape beside the words, or a line end in the JSON, it could be read in another way.
        if (
            len(before) + len(after) != len(gaps)
            or frame.count(b"\\") != words.count(b"\\") * (1 + twice)
            or frame.find(b"\n", head_end) >= 0
        ):
            return None
        return cls(frame[:head_end], before, after, frame[tail_start:], echo)

    def read(self, frame: bytes, number: bytes) -> bytes:
        """Return the words of a frame, as they are spelled, and note its number; nothing for one that does not fit.

        What comes back stood where the words belong. Whether it is JSON is for the caller to find out.

        :param number: the one that it should have: looked for first.
        """
        head, end = self._head, self._tail
        if len(frame) < self._shortest or not frame.startswith(head):
            return b""
        after = self._after
        self.number = b""
        if self._ends_in_number:
            numbered = after[0].literal + number + end
            if frame.endswith(numbered):
                self.number = number
                end, after = numbered, self._inner
        if end is self._tail and not frame.endswith(end):
            return b""
        words = frame[len(head) : len(frame) - len(end)]
        # A number holds no quote, so the literal beside it is where it borders on the number.
        for gap in self._before:
            value, found, words = words.partition(gap.literal)
            if not found or not self._note(value, gap):
                return b""
        for gap in after:
            words, found, value = words.rpartition(gap.literal)
            if not found or not self._note(value, gap):
                return b""
        return words if self._echo is None else self._once(words, self._echo)

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

    def written(self, number: bytes, words: bytes) -> bytes:
        """Return a frame that is spelled like this, with its blank line; without gaps that are idle."""
        pieces = [self._head]
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
        pieces.append(self._ending)
        return b"".join(pieces)

    def is_like(self, other: Form) -> bool:
        """Return whether both forms spell the same frame."""
        return (
            self._head == other._head
            and self._tail == other._tail
            and self._echo == other._echo
            and [gap.literal for gap in self._before] == [gap.literal for gap in other._before]
            and [gap.literal for gap in self._after] == [gap.literal for gap in other._after]
        )


def _number_at(frame: bytes, at: int) -> tuple[int, int] | None:
    """Return where a frame's number begins and ends, whose member begins at ``at``; None if there are two, or it is none."""
    found = _NUMBER.match(frame, at)
    return None if found is None or frame.find(_MEMBER, at + 1) >= 0 else found.span(1)


def _gaps_in(frame: bytes, idle: bytes) -> list[tuple[int, int, bool]] | None:
    """Return where the number of a frame stands and where an index that makes no difference does, in order.

    :param idle: name of that index; empty if there is none.
    :returns: first byte, the byte behind, and whether it is the index; None if it is not certain where they are.
    """
    gaps: list[tuple[int, int, bool]] = []
    at = frame.find(_MEMBER)
    if at >= 0:
        number = _number_at(frame, at)
        if number is None:
            return None
        gaps.append((*number, False))
    if idle:
        found = _index(idle).search(frame)
        if found is None or frame.count(b'"%b"' % idle) != 1:
            return None
        gaps.append((found.start(1), found.end(1), True))
        gaps.sort()
    return gaps


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
    before.read(frame, b"")
    rewrite.idle = before.idle
    head_is_right = len(frame) - len(came) == len(emitted) - len(left) and emitted.startswith(
        frame[: -len(came)]
    )
    is_spelled_alike = dump_json(orjson.loads(came)) == came
    if came == left:
        rewrite.if_right = WHOLE if head_is_right else KEPT
        rewrite.if_wrong = WRITTEN if is_spelled_alike else WALKED
        return rewrite
    if is_spelled_alike:
        if _around_number(came) == _around_number(left):
            rewrite.if_right = WHOLE if head_is_right else KEPT
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


class Awaited:
    """An event that the next one may repeat under another name, with nothing else changed but its number.

    :ivar event: the event as it left.
    :ivar type: the name of the one that would repeat it.
    :ivar corrections: those of the event, which are then made again.
    :ivar number: the number of the frame that repeated it.
    """

    __slots__ = ("_came", "_left", "corrections", "event", "number", "type")

    def __init__(
        self, event: Event, type_: str, came: bytes, left: bytes, corrections: tuple[str, ...]
    ) -> None:
        self.event = event
        self.type = type_
        self._came = came
        """its frame as it came, without a blank line"""
        self._left = left
        """its frame as it left"""
        self.corrections = corrections
        self.number = b""

    def repeated(self, frame: bytes, number: bytes) -> bytes | None:
        """Return what becomes of the next frame, if it repeats the event; None if it does not, or if that is not certain.

        :param number: the one that it is to have.
        """
        old, new = self.event.type.encode(), self.type.encode()
        if not frame.startswith(b"event: %b\n" % new):
            return None
        came = _renamed_halves(self._came, old, new)
        if came is None or not (frame.startswith(came[0]) and frame.endswith(came[1])):
            return None
        self.number = frame[len(came[0]) : len(frame) - len(came[1])]
        if self._left == self._came + b"\n\n":  # with another number it would be written anew
            return frame + b"\n\n" if self.number == number else None
        left = _renamed_halves(self._left, old, new) if self.corrections else None
        if left is None or not (self.number == _UNNUMBERED or _is_number(self.number)):
            return None
        return left[0] + number + left[1]


def _renamed_halves(frame: bytes, old: bytes, new: bytes) -> tuple[bytes, bytes] | None:
    """Return what stands before and behind a frame's number, under another name.

    :returns: None unless the name stands in the ``event:`` line, and once more as the first or the last member of the object.
    """
    line, first, last = b"event: " + old + b"\n", b'{"type":"' + old + b'",', b',"type":"' + old + b'"}'
    at = frame.find(_MEMBER)
    number = _number_at(frame, at) if at >= 0 else None
    again = frame.find(old, len(line))
    if number is None or not frame.startswith(line) or again < 0 or frame.find(old, again + 1) >= 0:
        return None
    start, end = number
    head, tail = frame[len(line) : start], frame[end:]
    if head.startswith(_DATA + first):
        head = head.replace(old, new)
    elif tail.rstrip(b"\n").endswith(last):
        tail = tail.replace(old, new)
    else:
        return None
    return b"event: " + new + b"\n" + head, tail


def _around_number(data: bytes) -> tuple[bytes, bytes]:
    """Return what stands before and behind the number of a payload that has one at most."""
    found = _NUMBER.search(data)
    return (data, b"") if found is None else (data[: found.start(1)], data[found.end(1) :])


def _data_of(frame: bytes) -> bytes:
    """Return the payload of a plain frame."""
    return frame[frame.index(_DATA) + len(_DATA) :]


_LOADS: Final = orjson.loads


def words_in(spelled: bytes) -> str | None:
    """Return the words that a frame spells; None if they are not a JSON string."""
    if not spelled or spelled[0] != _QUOTE or spelled[-1] != _QUOTE:
        return None
    try:
        words = _LOADS(spelled)
    except ValueError:
        return None
    return words if type(words) is str else None


def spelled_words(spelled: bytes, words: str) -> bytes:
    """Return the JSON of words; the bytes that they came in where there is one way to write them."""
    return orjson.dumps(words) if _BACKSLASH in spelled else spelled


def _is_number(text: bytes) -> bool:
    """Return whether this is how JSON writes a whole number that is not negative and not longer than 64 bits."""
    return text.isdigit() and len(text) < _MANY_DIGITS and (len(text) == 1 or not text.startswith(b"0"))
