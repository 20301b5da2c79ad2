"""What the repairs did to each event of a stream, as a diff for people: ``repair --explain``.

The stream is fed event by event. What comes out belongs to the event that went in, and so do the repairs that were counted
meanwhile; an event of which nothing came out was held or dropped. ``[DONE]``, which leaves with the last event, is not shown.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.demo.report import Screen, printable
from vllm_sse_proxy.sse import FrameDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vllm_sse_proxy.sse import Frame
    from vllm_sse_proxy.stream.ending import BodyEnd
    from vllm_sse_proxy.stream.normalizer import StreamNormalizer

_BLANK_LINE: Final = re.compile(rb"(\r\n\r\n|\n\n|\r\r)")
_NUMBER: Final = "sequence_number"
_END: Final = "end of the body"
_INDENT: Final = " " * 9
_ABSENT: Final = object()
_UNTOUCHED: Final = object()
_MANY: Final = 4
"""Members that are added to one object, from which on they are named in one line."""
_DONE: Final = "[DONE]"
_MOST_WAITING: Final = 1000
"""Events of which nothing has left: so many are not held for the next one."""
_ENOUGH: Final = 2
"""Members or words that two events must have in common, beside their number, for one to be the other's repaired form."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An event as it is shown.

    :ivar name: its type, or what else says what it is.
    :ivar body: its JSON object; empty for others.
    """

    name: str
    body: Mapping[str, Any]
    raw: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """One event of upstream, and what came of it.

    :ivar number: its place in the stream, counted from 0; None: the end of the body.
    :ivar repairs: names of what was counted, with numbers.
    """

    number: int | None
    came: Shown | None
    left: tuple[Shown, ...]
    repairs: Mapping[str, int]

    @property
    def is_untouched(self) -> bool:
        """Whether the event left as it came, or with another number only."""
        if self.came is None or len(self.left) != 1 or self.repairs:
            return False
        return _without_number(self.came.body) == _without_number(self.left[0].body)

    @property
    def is_renumbered(self) -> bool:
        """Whether it is untouched but for its number."""
        return self.came is not None and self.came.body.get(_NUMBER) != self.left[0].body.get(_NUMBER)


class Explainer:
    """Feeds one stream, and keeps what came of each event.

    :ivar made: what was returned, in order.
    """

    def __init__(self, normalizer: StreamNormalizer) -> None:
        self._normalizer = normalizer
        self._rest = b""
        self._number = 0
        self._waiting: list[Step] = []
        self.made: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[Step]:
        """Take a chunk of the stream; yield a step for each event of which it is known by now what became of it."""
        *pieces, self._rest = _BLANK_LINE.split(self._rest + chunk)
        for text, blank in zip(pieces[::2], pieces[1::2], strict=True):
            if not self._normalizer.ended:
                yield from self._settled(self._step(text + blank))

    def finish(self, end: BodyEnd) -> Iterator[Step]:
        """Yield what is left when the body is over."""
        if self._rest and not self._normalizer.ended:
            yield from self._settled(self._step(self._rest))
        counted = dict(self._normalizer.tally.repairs)
        made = self._normalizer.finish(end)
        self.made.append(made)
        left = _events_of(made)
        last = Step(None, None, left, _grown(counted, self._normalizer.tally.repairs))
        *waited, last = self._matched(last)
        yield from waited
        if last.left:
            yield last

    def _step(self, block: bytes) -> Step:
        counted = dict(self._normalizer.tally.repairs)
        made = self._normalizer.feed(block)
        self.made.append(made)
        came = _events_of(block)
        number, self._number = self._number, self._number + len(came)
        repairs = _grown(counted, self._normalizer.tally.repairs)
        left = _events_of(made)
        if left and left[-1].name == _DONE and not (came and came[0].name == _DONE):
            left = left[:-1]  # the end of every stream, with its last event
        return Step(number, came[0] if came else None, left, repairs)

    def _settled(self, step: Step) -> list[Step]:
        """Return the steps that are clear now: an event of which nothing left may leave with a later one."""
        if step.left or len(self._waiting) >= _MOST_WAITING:
            return self._matched(step)
        self._waiting.append(step)
        return []

    def _matched(self, step: Step) -> list[Step]:
        """Return the steps that waited, each with what leaves of it now, and the step that they waited for."""
        left = list(step.left)
        settled = []
        for waiting in self._waiting:
            is_here = waiting.came is not None and left and _in_common(waiting.came, left[0]) >= _ENOUGH
            settled.append(replace(waiting, left=(left.pop(0),)) if is_here else waiting)
        self._waiting = []
        return [*settled, replace(step, left=tuple(left))]


@dataclass(eq=False)
class Explanation:
    """Turns steps into lines; events to which nothing happened, or the same as to the one before, become one line."""

    screen: Screen
    _run: list[Step] = field(default_factory=list)
    """steps that are still to be said in one line"""
    _sign: object = None
    """what happened in them, if that was said before"""

    def lines(self, steps: Iterable[Step]) -> Iterator[str]:
        """Yield the lines of steps, in order."""
        for step in steps:
            if step.came is None and not step.left:
                continue  # a comment before anything else, or white space
            sign = _UNTOUCHED if step.is_untouched else _sign_of(step)
            if sign != self._sign:
                yield from self.rest()
                self._sign = sign
                if sign is not _UNTOUCHED:
                    yield from self._lines_of(step)
                    continue
            self._run.append(step)

    def rest(self) -> Iterator[str]:
        """Yield the line of the events that came last, if they are still to be said."""
        steps, self._run = self._run, []
        is_untouched, self._sign = self._sign is _UNTOUCHED, None
        if not steps or steps[0].came is None:
            return
        numbers = f"{steps[0].number}" if len(steps) == 1 else f"{steps[0].number}–{steps[-1].number}"
        named = steps[0].came.name if len(steps) == 1 else f"{len(steps)} events"
        but = " but for their numbers" if is_untouched and any(step.is_renumbered for step in steps) else ""
        yield self._cut(
            f"{numbers:>7}  {named}: {'untouched' if is_untouched else 'likewise'}{but}", self.screen.dim
        )

    def _lines_of(self, step: Step) -> Iterator[str]:
        screen, came = self.screen, step.came
        number = "" if step.number is None else str(step.number)
        title = _END if step.number is None else came.name if came is not None else "comment"
        yield self._cut(f"{number:>7}  {title}", screen.bold)
        if step.repairs:
            named = [f"{name} ×{count}" if count > 1 else name for name, count in step.repairs.items()]
            indent = _INDENT + "  "
            yield from textwrap.wrap(
                f"repairs: {', '.join(named)}", screen.width, initial_indent=_INDENT, subsequent_indent=indent
            )
        successor = None if came is None else _successor(came, step.left)
        if came is not None and not step.left:
            yield self._cut(
                f"{_INDENT}nothing leaves: dropped, or held until it is clear what it means", screen.dim
            )
        elif came is not None and successor is None:
            yield self._minus(_as_line(came))
        for event in step.left:
            if event is successor and came is not None:
                yield from self._changes(came, event)
            else:
                yield self._plus(_as_line(event))

    def _changes(self, came: Shown, left: Shown) -> Iterator[str]:
        changed = _changed(came, left)
        yield self._cut(f"{_INDENT}{left.name}{'' if changed or not came.body else ': as it came'}")
        if not came.body and came.raw != left.raw:
            yield self._minus(f"  {_text(came.raw)}")
            yield self._plus(f"  {_text(left.raw)}")
        many = Counter(path.rpartition(".")[0] for path, before, _ in changed if before is _ABSENT)
        for path, before, after in changed:
            owner = path.rpartition(".")[0]
            if before is not _ABSENT:
                yield self._minus(f"  {path}: {_dumped(before)}")
            if before is _ABSENT and many[owner] >= _MANY:
                names = [
                    p.rpartition(".")[2]
                    for p, b, _ in changed
                    if b is _ABSENT and p.rpartition(".")[0] == owner
                ]
                if path.rpartition(".")[2] == names[0]:
                    yield self._plus(f"  {owner}: {len(names)} members: {', '.join(names)}")
            elif after is not _ABSENT:
                yield self._plus(f"  {path}: {_dumped(after)}")

    def _minus(self, text: str) -> str:
        return self._cut(f"-{_INDENT[1:]}{text}", self.screen.bad)

    def _plus(self, text: str) -> str:
        return self._cut(f"+{_INDENT[1:]}{text}", self.screen.good)

    def _cut(self, line: str, colour: str = "") -> str:
        line = printable(line)
        shown = line if len(line) <= self.screen.width else line[: self.screen.width - 1] + "…"
        return f"{colour}{shown}{self.screen.off}" if colour else shown


def _sign_of(step: Step) -> object:
    """Return what happened to an event, without the words in it: the same for events that differ only in those."""
    if step.came is None or step.number is None:
        return object()
    successor = _successor(step.came, step.left)
    paths = () if successor is None else tuple(path for path, _, _ in _changed(step.came, successor))
    return step.came.name, tuple(step.repairs), tuple(event.name for event in step.left), paths


def _changed(came: Shown, left: Shown) -> list[tuple[str, Any, Any]]:
    return [one for one in differences(came.body, left.body) if one[0] != _NUMBER]


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where two JSON values differ: the path, and the value there before and after; a sentinel where there is none."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            one, other = before.get(name, _ABSENT), after.get(name, _ABSENT)
            yield from differences(one, other, f"{path}.{name}" if path else name)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{path}[{number}]")
    elif before is _ABSENT or after is _ABSENT or _dumped(before) != _dumped(after):
        yield path, before, after


def _successor(came: Shown, left: tuple[Shown, ...]) -> Shown | None:
    """Return which of the events that leave is the one that came: the one that has most in common with it."""
    best, most = None, _ENOUGH - 1
    for event in left:
        if event.raw == came.raw:
            return event
        common = _in_common(came, event)
        if common >= max(most, _ENOUGH):
            best, most = event, common
    return best or (left[0] if len(left) == 1 and came.body and left[0].body else None)


def _in_common(one: Shown, other: Shown) -> int:
    """Return how many members and words two events share."""
    members = sum(
        _dumped(one.body[name]) == _dumped(value)
        for name, value in other.body.items()
        if name in one.body and name != _NUMBER
    )
    return members + len(set(_words(one.body)) & set(_words(other.body)))


def _words(value: Any) -> Iterator[str]:
    """Yield the strings in a JSON value."""
    if isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _words(member)
    elif isinstance(value, str) and value:
        yield value


def _events_of(block: bytes) -> tuple[Shown, ...]:
    decoder = FrameDecoder(max_frame_bytes=len(block) + 1)
    frames = list(decoder.feed(block))
    rest = decoder.finish()
    return tuple(_shown(frame) for frame in (frames if rest is None else [*frames, rest]))


def _shown(frame: Frame) -> Shown:
    if frame.comment is not None:
        return Shown("comment", {}, b": " + frame.comment)
    data = frame.data or frame.stray or b""
    try:
        body = json.loads(data)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return Shown(_text(data)[:40] or "an event without data", {}, data)
    kind = body.get("type") or body.get("object") or frame.event or ("error" if "error" in body else "event")
    return Shown(str(kind), body, data)


def _as_line(event: Shown) -> str:
    if not event.body:
        return _text(event.raw)
    members = {name: value for name, value in event.body.items() if name not in {"type", _NUMBER}}
    return f"{event.name} {_dumped(members)}"


def _without_number(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != _NUMBER}


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in after.items() if count > before.get(name, 0)}
