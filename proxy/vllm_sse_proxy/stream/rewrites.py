"""Learned rewrites: the fast path of every delta, in every family, whatever is wrong with it.

Theory of operation. Between two events that change the structure of a stream, what becomes of a delta depends on its envelope
(all of its bytes but its words and its number), not on its words. So nothing is predicted: the walk through the stations is
observed. If one delta went in and one came out, what came in and what went out are remembered as two forms: literal bytes
around gaps. The next frame that fits the first form leaves in the second one, with its own words and the next number. It is
neither parsed nor walked; the corrections that the walk counted are counted again, and the client's view grows by the words.

A form has a gap for the words, found by value: where the JSON of the emitted words stands, exactly once, or exactly twice if
the family says that the delta has them twice (:meth:`.view.View.has_words_twice`). It may have one for
the number, and one for an index that makes no difference (:meth:`.view.View.idle_index`): up to 0.16 vLLM counts it up with
every delta (R05). And it may have gaps for members that hold something else in each delta (log probabilities, usage;
:meth:`.view.View.varying_members`): their values are read, and the family says how the repairs leave them
(:meth:`.view.View.value_left`).

Guards. Words are a JSON string; literals hold no escapes; numbers are spelled as JSON spells them; the text has room left. An
event other than a delta clears all forms. Repairs that must see words name the characters they look for
(:meth:`.repair.Repair.watches`); while one of them holds events, nothing is rewritten.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.stream.event import dump_json
from vllm_sse_proxy.stream.payload import read_strictly

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.view import TextView, View

_MANY_DIGITS: Final = 19
"""So many digits may be more than 64 bits hold."""
_UNNUMBERED: Final = b"-1"
"""What vLLM puts where it has no number."""
_QUOTE: Final = 34
_BACKSLASH: Final = 92
_LF: Final = 10
_MINUS: Final = 45
_ZERO: Final = 48
_NINE: Final = 57
_COMMA: Final = 44
_BRACE: Final = 125
_MEMBER: Final = b'"sequence_number"'


_Place = tuple[int, int, bool, bytes]
"""Where a gap is: its first byte, the byte behind it, whether it is an index that makes no difference, name of its member."""


class _Gap:
    """A number between the literals of a form, or the value of a member that varies.

    :ivar literal: what stands between it and the words, or the next gap on the way there.
    :ivar is_idle: it is an index that makes no difference.
    :ivar member: name of the member that varies; empty for a number.
    """

    __slots__ = ("is_idle", "literal", "member")

    def __init__(self, literal: bytes, *, is_idle: bool, member: bytes = b"") -> None:
        self.literal = literal
        self.is_idle = is_idle
        self.member = member

    @property
    def is_number(self) -> bool:
        """Whether it is the number of the event."""
        return not self.is_idle and not self.member


_NO_VALUES: Final[dict[bytes, bytes]] = {}


class Form:
    """How the frame of a delta is spelled but for its words and its numbers.

    :ivar number: the number of the frame that was read last; empty if it has none.
    :ivar idle: its index that makes no difference; empty if it has none.
    :ivar varying: names and values of its members that vary, as they are spelled. Whether they are JSON is for the caller to
        find out.
    """

    __slots__ = (
        "_after",
        "_before",
        "_echo",
        "_ends_in_number",
        "_head",
        "_inner",
        "_is_plain",
        "_shortest",
        "_tail",
        "idle",
        "is_numbered",
        "number",
        "varying",
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
        self._ends_in_number = bool(after) and after[0].is_number
        self._inner = after[1:]
        self._is_plain = self._ends_in_number and len(after) == 1 and not before and echo is None
        self._shortest = len(head) + len(tail) + 2
        self.is_numbered = any(gap.is_number for gap in (*before, *after))
        self.number = b""
        self.idle = b""
        self.varying: list[tuple[bytes, bytes]] = []

    @classmethod
    def of(
        cls,
        frame: bytes,
        words: bytes,
        idle: bytes = b"",
        *,
        twice: bool = False,
        varying: tuple[bytes, ...] = (),
    ) -> Form | None:
        """Read the form off a frame.

        :param words: the JSON of its words.
        :param idle: name of a member whose value, an index, makes no difference.
        :param twice: whether the words stand in it twice.
        :param varying: names of members that vary.
        :returns: None if it is not certain where the gaps are.
        """
        values = _values_in(frame, varying)
        frame = _blanked(frame, values)
        head, found, rest = frame.partition(words)
        if not found or len(words) <= len(_EMPTY_WORDS):
            return None
        start, echo = len(head), None
        if twice:
            echo, found, rest = rest.partition(words)
        gaps = _gaps_in(frame, idle)
        if gaps is None or len(values) != len(varying) or not found or rest.partition(words)[1]:
            return None
        end = len(frame) - len(rest)
        head_end, tail_start = start, end
        before: list[_Gap] = []
        after: list[_Gap] = []
        for gap_start, gap_end, is_idle, _ in reversed(gaps):
            if gap_end <= start:
                before.insert(0, _Gap(frame[gap_end:head_end], is_idle=is_idle))
                head_end = gap_start
        gaps = sorted([*gaps, *values])
        for gap_start, gap_end, is_idle, member in gaps:
            if gap_start >= end:
                after.insert(0, _Gap(frame[tail_start:gap_start], is_idle=is_idle, member=member))
                tail_start = gap_end
        # With an escape beside the words, or a line end in the JSON, it could be read in another way.
        if (
            len(before) + len(after) != len(gaps)
            or (_BACKSLASH in frame and frame.count(b"\\") != words.count(b"\\") * (1 + twice))
            or _LF in frame[head_end : len(frame) - len(_BLANK_LINE)]
        ):
            return None
        return cls(frame[:head_end], before, after, frame[tail_start:], echo)

    def read(self, frame: bytes, number: bytes) -> bytes:
        """Return the words of a frame, as they are spelled, and note its number; nothing for one that does not fit.

        What comes back stood where the words belong. Whether it is JSON is for the caller to find out.

        :param number: the one that it should have: looked for first.
        """
        start, end = len(self._head), self._tail
        if len(frame) < self._shortest or not frame.startswith(self._head):
            return b""
        after = self._after
        self.number = b""
        if self.varying:
            self.varying = []
        if self._ends_in_number:
            numbered = after[0].literal + number + end
            if frame.endswith(numbered):
                self.number = number
                end, after = numbered, self._inner
                if self._is_plain:
                    return frame[start : len(frame) - len(end)]
        if end is self._tail and not frame.endswith(end):
            return b""
        return self._between(frame, start, len(frame) - len(end), after)

    def _between(self, frame: bytes, start: int, end: int, after: list[_Gap]) -> bytes:
        """Return the words that stand among the gaps between two places of a frame; nothing if it does not fit."""
        for gap in self._before:
            border = _end_of_number(frame, start)
            if not self._note(frame[start:border], gap):
                return b""
            start = border + len(gap.literal)
            if frame[border:start] != gap.literal:
                return b""
        words = frame[start:end]
        for gap in after:  # a number holds no quote: it borders on the last literal that is found
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
        if gap.member:
            self.varying.append((gap.member, value))
            return True
        if gap.is_idle:
            self.idle = value
            return _is_number(value)
        self.number = value
        return value == _UNNUMBERED or _is_number(value)

    def written(self, number: bytes, words: bytes, values: dict[bytes, bytes] = _NO_VALUES) -> bytes:
        """Return a frame that is spelled like this, without gaps that are idle.

        :param values: of the members that vary, by their names, as JSON.
        """
        if self._is_plain:
            return b"".join((self._head, words, self._after[0].literal, number, self._tail))
        pieces = [self._head]
        for gap in self._before:
            pieces.append(number)
            pieces.append(gap.literal)
        pieces.append(words)
        if self._echo is not None:
            pieces.append(self._echo)
            pieces.append(words)
        for gap in reversed(self._after):
            pieces.append(gap.literal)
            pieces.append(values[gap.member] if gap.member else number)
        pieces.append(self._tail)
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


def _values_in(frame: bytes, members: tuple[bytes, ...]) -> list[_Place]:
    """Return where objects and lists stand that are the values of members, in order.

    :param frame: one that holds JSON.
    :returns: none of a member that is not there, or there twice.
    """
    found: list[_Place] = []
    for member in members:
        name = b'"%b":' % member
        start = frame.find(name) + len(name)
        end = _end_of_value(frame, start)
        if start >= len(name) and end > 0 and frame.find(name, start) < 0:
            found.append((start, end, False, member))
    return sorted(found)


def _blanked(frame: bytes, places: list[_Place]) -> bytes:
    """Return a frame of the same length with nothing in these places: words may stand there once more."""
    for start, end, _, _ in places:
        frame = frame[:start] + b"0" * (end - start) + frame[end:]
    return frame


def _end_of_value(frame: bytes, start: int) -> int:
    """Return where an object or a list ends that begins at a place; -1 if none does."""
    depth = 0
    for token in _TOKENS.finditer(frame, start):
        kind = token.group()
        if len(kind) > 1:
            continue
        depth += 1 if kind in _OPENING else -1
        if depth <= 0:
            break
    else:
        return -1
    return token.end() if depth == 0 and frame[start : start + 1] in _OPENING else -1


_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}]')
"""Texts, in which brackets mean nothing, and brackets."""
_OPENING: Final = (b"{", b"[")


def _gaps_in(frame: bytes, idle: bytes) -> list[_Place] | None:
    """Return where the number of a frame stands and where an index that makes no difference does, in order.

    :param idle: name of that index; empty if there is none.
    :returns: None if it is not certain where they are.
    """
    start, end = _value_of(frame, _MEMBER)
    gaps: list[_Place] = [(start, end, False, b"")] if end else []
    if idle:
        start, end = _value_of(frame, b'"' + idle + b'"')
        if end == 0 or frame[start] == _MINUS:
            return None
        gaps.append((start, end, True, b""))
        gaps.sort()
    return None if gaps and gaps[0][1] < 0 else gaps


def _value_of(frame: bytes, member: bytes) -> tuple[int, int]:
    """Return where the number begins and ends that is the value of a member.

    :param member: its name, in quotes. A quote inside a JSON string is escaped, so these bytes are always a name.
    :returns: 0 and 0 if there is none, and -1 and -1 if there are two or it is not a number.
    """
    head, found, rest = frame.partition(member)
    if not found:
        return 0, 0
    end = _end_of_number(rest, 1) if rest.startswith(b":") else 1
    if end == 1 or (rest[end] != _COMMA and rest[end] != _BRACE) or rest.partition(member)[1]:
        return -1, -1
    start = len(head) + len(member)
    return start + 1, start + end


_EMPTY_WORDS: Final = b'""'
_DATA: Final = b"data: "
_BLANK_LINE: Final = b"\n\n"


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
    :ivar watching: positions of the repairs that named some; None until that is asked.
    :ivar changed: names of the members that vary and that the repairs change.
    """

    __slots__ = (
        "after",
        "before",
        "changed",
        "corrections",
        "idle",
        "if_right",
        "if_wrong",
        "signs",
        "text",
        "type",
        "walk",
        "watching",
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
        self.watching: list[int] | None = None
        self.changed: frozenset[bytes] = frozenset()

    def made(self, frame: bytes, spelled: bytes, words: str, number: bytes, view: View) -> bytes | None:
        """Return what becomes of the frame that ``before`` has read last; None if it must be walked.

        :param spelled: its words as they are spelled.
        :param number: the one that it should have.
        """
        before, after = self.before, self.after
        wanted = number if after.is_numbered else b""
        is_right = before.number == wanted and before.idle == self.idle
        change = self.if_right if is_right else self.if_wrong
        if change == WALKED:
            return None
        values = self._values_left(view, is_whole=change == WHOLE) if before.varying else _NO_VALUES
        if values is None:
            return None
        if change == WHOLE:
            return frame
        return after.written(wanted, spelled if change == KEPT else spelled_words(spelled, words), values)

    def _values_left(self, view: View, *, is_whole: bool) -> dict[bytes, bytes] | None:
        """Return the JSON of the members that vary as the repairs leave them.

        :param is_whole: they leave as they came, so that nothing need be written.
        :returns: None if that is not certain, or if they are changed in another way than was learned.
        """
        values = {}
        for member, spelled in self.before.varying:
            value = _read_value(spelled)
            left = None if value is None else view.value_left(member, value)
            if left is None or (left is not value) != (member in self.changed):
                return None
            if not is_whole:
                values[member] = dump_json(left)
        return values


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
    (came_as, came), (left_as, left) = _line_and_data(frame), _line_and_data(emitted)
    before.read(frame, b"")
    rewrite.idle = before.idle
    head_is_right = came_as == left_as
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
        Form.of(dump_json(orjson.loads(came)) + _BLANK_LINE, words, twice=came_twice),
        Form.of(came + _BLANK_LINE, words, twice=came_twice),
        Form.of(left + _BLANK_LINE, words, twice=left_twice),
    )
    if plain is None or spelled is None or leaves is None:
        return None
    if leaves.is_like(spelled):
        rewrite.if_right = WHOLE if head_is_right else KEPT
    elif leaves.is_like(plain):
        rewrite.if_right = WALKED
    return rewrite


def learned_with_values(  # noqa: PLR0917 - as `learned`, and what it needs beside
    type_: str,
    frame: bytes,
    emitted: bytes,
    words: bytes,
    text: TextView,
    view: View,
    corrections: tuple[str, ...],
    twice: tuple[bool, bool],
    varying: tuple[bytes, ...],
) -> Rewrite | None:
    """Return what the walk of a delta shows that has members that vary; None if it is not certain.

    It leaves as it came, or with all of its JSON written anew.

    :param varying: names of those members.
    """
    before = Form.of(frame, words, twice=twice[0], varying=varying)
    after = Form.of(emitted, words, twice=twice[1], varying=varying) if corrections else before
    if before is None or after is None or (emitted != frame and not corrections):
        return None
    rewrite = Rewrite(type_, before, after, text, corrections)
    if not corrections:
        rewrite.if_right, rewrite.if_wrong = WHOLE, WALKED
    changed = []
    for (start, end, _, member), (left_start, left_end, _, _) in zip(
        _values_in(frame, varying), _values_in(emitted, varying), strict=True
    ):
        value = _read_value(frame[start:end])
        left = None if value is None else view.value_left(member, value)
        if left is None or (corrections and emitted[left_start:left_end] != dump_json(left)):
            return None
        if left is not value:
            changed.append(member)
    rewrite.changed = frozenset(changed)
    return None if changed and not corrections else rewrite


def _read_value(spelled: bytes) -> Any:
    """Return a value that varies, if it is strict JSON and not nested deep; None for any other."""
    if spelled.count(b"{") + spelled.count(b"[") > _MOST_BRACKETS:
        return None
    try:
        return read_strictly(spelled)
    except ValueError:
        return None


_MOST_BRACKETS: Final = 150
"""Of log probabilities: those of a token with twenty others have 43. So few are not nested too deep either."""


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
        """its frame as it came"""
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
        if self._left == self._came:  # with another number it would be written anew
            return frame if self.number == number else None
        left = _renamed_halves(self._left, old, new) if self.corrections else None
        if left is None or not (self.number == _UNNUMBERED or _is_number(self.number)):
            return None
        return left[0] + number + left[1]


def _renamed_halves(frame: bytes, old: bytes, new: bytes) -> tuple[bytes, bytes] | None:
    """Return what stands before and behind a frame's number, under another name.

    :returns: None unless the name stands in the ``event:`` line, and as the first or the last member of the object.
    """
    line, first, last = (
        b"event: " + old + b"\ndata: ",
        b'{"type":"' + old + b'",',
        b',"type":"' + old + b'"}\n\n',
    )
    head, found, tail = frame.rpartition(_MEMBER + b":")
    end = _end_of_number(tail, 0) if found else 0
    if (
        end == 0
        or (tail[end] != _COMMA and tail[end] != _BRACE)
        or head.partition(_MEMBER)[1]
        or not head.startswith(line)
    ):
        return None
    head, tail = head[len(line) :] + found, tail[end:]
    line = b"event: " + new + b"\ndata: "
    if tail.endswith(last):  # of two members of one name, the last counts
        return line + head, tail[: len(tail) - len(last)] + b',"type":"' + new + b'"}\n\n'
    rest = head[len(first) :]
    if head.startswith(first) and not rest.partition(old)[1] and not tail.partition(old)[1]:
        return line + b'{"type":"' + new + b'",' + rest, tail
    return None


def _around_number(data: bytes) -> tuple[bytes, bytes]:
    """Return what stands before and behind the number of a payload that has one at most."""
    start, end = _value_of(data, _MEMBER)
    return data[:start], data[end:]


def _line_and_data(frame: bytes) -> tuple[bytes, bytes]:
    """Return the ``event:`` line of a plain frame, empty without one, and its payload."""
    start = frame.index(_DATA)
    return frame[:start], frame[start + len(_DATA) : len(frame) - len(_BLANK_LINE)]


def name_and_data(frame: bytes) -> tuple[str | None, bytes]:
    """Return the name in the ``event:`` line of a plain frame, None without one, and its payload."""
    line, data = _line_and_data(frame)
    return line[len(_EVENT) : -1].decode() if line else None, data


_EVENT: Final = b"event: "
_LOADS: Final = orjson.loads


def words_in(spelled: bytes) -> str | None:
    """Return the words that a frame spells; None if they are not a JSON string."""
    if len(spelled) < len(_EMPTY_WORDS) or spelled[0] != _QUOTE or spelled[-1] != _QUOTE:
        return None
    inner = spelled[1:-1]
    try:
        if _QUOTE not in inner and _BACKSLASH not in inner:
            words = inner.decode("utf-8")
            if words.isprintable():  # nothing is escaped, and nothing should be
                return words
        other: object = _LOADS(spelled)
    except ValueError:
        return None
    return other if type(other) is str else None


def spelled_words(spelled: bytes, words: str) -> bytes:
    """Return the JSON of words; the bytes that they came in where there is one way to write them."""
    is_plain = len(spelled) == len(words) + len(_EMPTY_WORDS)  # an escape is longer than what it stands for
    return spelled if is_plain or _BACKSLASH not in spelled else orjson.dumps(words)


def _end_of_number(frame: bytes, start: int) -> int:
    """Return where a number ends that begins at ``start``, in a frame that ends in something else."""
    end = start + 1 if frame[start] == _MINUS else start
    while _ZERO <= frame[end] <= _NINE:
        end += 1
    return end


def _is_number(text: bytes) -> bool:
    """Return whether this is how JSON writes a whole number that is not negative and not longer than 64 bits."""
    if len(text) <= 1:
        return len(text) == 1 and _ZERO <= text[0] <= _NINE
    return text.isdigit() and len(text) < _MANY_DIGITS and text[0] != _ZERO


def spelled_number(number: int) -> bytes:
    """Return a number that is not negative as JSON."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number).encode()


_NUMBERS: Final = [str(number).encode() for number in range(1024)]
"""Those of nearly all events, ready made."""
