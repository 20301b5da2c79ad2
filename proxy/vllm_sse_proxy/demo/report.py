"""What came before the proxy on the left, what came after it on the right: one table for each answer that was asked for.

The demo prints it for every recording, and `probe` for the answers of a running server, on a terminal and as HTML.
"""

from __future__ import annotations

import os
import shutil
import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from vllm_sse_proxy.demo import protocols
    from vllm_sse_proxy.demo.clients import Answer, Reading
    from vllm_sse_proxy.families import judging
    from vllm_sse_proxy.families.judging import Violation

WIDTH: Final = 100
"""Columns where there is no terminal."""
_NARROWEST: Final = 60
_WIDEST: Final = 160
"""The terminals that the tables are fitted to: in narrower ones lines break, and longer lines are hard to read."""
_LABEL: Final = 18
_MAX_LINES: Final = 5
_MAX_RULES: Final = 4
_OF_THE_MODEL: Final = frozenset({"call_name", "call_unasked"})
"""Rules of the judges that only a model can break."""


class Asked(Protocol):
    """What was asked for: a recording of the demo, or a request of `probe`."""

    @property
    def model(self) -> str:
        """The title of its table."""

    @property
    def origin(self) -> str:
        """Where the answer comes from."""

    @property
    def story(self) -> str:
        """What it is about, in a sentence or two."""

    @property
    def focus(self) -> tuple[bytes, bytes] | None:
        """Where to look: pieces of an event before and of the same event after; None for nowhere."""

    @property
    def protocol(self) -> protocols.Protocol:
        """The protocol of the answer."""

    @property
    def request(self) -> Mapping[str, Any]:
        """The request that it answers."""


@dataclass(frozen=True, slots=True)
class Screen:
    """What is written to: its width, and its colours, which are empty strings where there is no terminal."""

    bold: str = ""
    dim: str = ""
    bad: str = ""
    good: str = ""
    off: str = ""
    width: int = WIDTH

    @classmethod
    def for_stream(cls, stream: TextIO) -> Screen:
        """Fit a terminal, with colours unless somebody objects (no-color.org)."""
        if not stream.isatty():
            return cls()
        width = min(max(shutil.get_terminal_size((WIDTH, 24)).columns, _NARROWEST), _WIDEST)
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return cls(width=width)
        return cls("\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[0m", width)

    @property
    def column(self) -> int:
        """The width of one of two columns beside the labels."""
        return (self.width - _LABEL - 3) // 2


@dataclass(frozen=True, slots=True)
class Cell:
    """Half of a row. `good`: what it says about the answer; None: nothing, it only shows it."""

    text: str
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One aspect of an answer, before and after."""

    label: str
    before: Cell
    after: Cell


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two answers, judged."""

    answer: Answer
    violations: Sequence[Violation | judging.Violation]
    readings: Mapping[str, Reading]

    @classmethod
    def judge(cls, answer: Answer, asked: Asked) -> Side:
        """Judge `answer` to what was asked by the protocol and by its clients."""
        protocol = asked.protocol
        is_stream = answer.error_message is None
        return cls(
            answer=answer,
            violations=protocol.violations(answer.body, asked.request) if is_stream else (),
            readings={label: read(answer) for label, read in protocol.readers},
        )

    @property
    def of_the_model(self) -> tuple[str, ...]:
        """What is wrong with the answer, and is the model's doing alone: calls of tools that it was not offered."""
        return tuple(str(violation) for violation in self.violations if violation.rule in _OF_THE_MODEL)

    @property
    def is_rightly_sent(self) -> bool:
        """Whether the answer conforms but for what the model is to blame for."""
        return (
            len(self.of_the_model) == len(self.violations) and not self.answer.cut and self.answer.is_readable
        )

    @property
    def conforms(self) -> bool:
        """Whether a client can rely on this answer: a stream without a violation, whole, or a plain HTTP error."""
        return not self.violations and not self.answer.cut and self.answer.is_readable


@dataclass(frozen=True, slots=True)
class Comparison:
    """One answer, as it came directly and through the proxy, with the repairs that the proxy counted."""

    asked: Asked
    before: Side
    after: Side
    repairs: Mapping[str, int]
    renumbered: int

    @property
    def is_served(self) -> bool:
        """Whether the client is served: a stream that conforms, or an error where upstream had sent no event."""
        is_error = self.after.answer.error_message is not None
        return self.after.conforms and not (is_error and self.before.answer.payloads())

    @property
    def counted(self) -> str:
        """What the proxy counted, in a line; empty if it changed nothing."""
        counted = [f"{name} {count}" for name, count in self.repairs.items()]
        if self.renumbered:
            counted.append(f"renumbered {self.renumbered}")
        return " · ".join(counted)

    def rows(self) -> list[Row]:
        """Return what there is to compare."""
        before, after, focus = self.before, self.after, self.asked.focus
        rows = []
        if focus is not None:
            one, other = focus
            rows.append(_shown("wire", _excerpt(before.answer, one), _excerpt(after.answer, other)))
        rows.append(_shown("events", _events(before.answer), _events(after.answer)))
        rows.append(Row("protocol", protocol_cell(before), protocol_cell(after)))
        for label, seen in before.readings.items():
            seen_after = after.readings[label]
            rows.append(Row(label, _problems(seen), _problems(seen_after)))
            if seen.thinking != seen_after.thinking:
                rows.append(_shown("  thinking", seen.thinking, seen_after.thinking))
            rows.append(_shown("  answer", seen.shows(), seen_after.shows()))
        return rows


def render(comparison: Comparison, screen: Screen) -> str:
    """Return the comparison as text that fits the screen."""
    asked, width = comparison.asked, screen.width
    lines = [f"{screen.bold}── {asked.model} {'─' * (width - len(asked.model) - 4)}{screen.off}"]
    lines += [f"   {screen.dim}{line}{screen.off}" for line in textwrap.wrap(asked.origin, width - 3)]
    lines += [f"   {line}" for line in textwrap.wrap(asked.story, width - 3)]
    lines.append("")
    heading = screen.bold
    lines += _columns("", "direct", "through the proxy", screen, colours=(heading, heading))
    for row in comparison.rows():
        lines += _columns(
            row.label, row.before.text, row.after.text, screen, colours=_colours_of(row, screen)
        )
    lines.append("")
    text = comparison.counted or "none: nothing to repair, only an error to report"
    lines += textwrap.wrap(
        text, width, initial_indent=f"   {'repairs':{_LABEL - 3}} ", subsequent_indent=" " * (_LABEL + 1)
    )
    return "\n".join(lines) + "\n"


def summary(comparisons: Sequence[Comparison], screen: Screen) -> str:
    """Return the closing line."""
    conform = sum(comparison.is_served for comparison in comparisons)
    before = sum(comparison.before.conforms for comparison in comparisons)
    colour = screen.good if conform == len(comparisons) else screen.bad
    return (
        f"{colour}{conform} of {len(comparisons)} answers conform after the proxy; "
        f"{before} of {len(comparisons)} did before.{screen.off}"
    )


def printable(text: str) -> str:
    """Return a text without control characters, which a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def _shown(label: str, before: str, after: str) -> Row:
    """Make a row that judges nothing."""
    return Row(label, Cell(before or "(nothing)"), Cell(after or "(nothing)"))


def _colours_of(row: Row, screen: Screen) -> tuple[str, str]:
    """Problems before the proxy are bad; those left in a conforming stream are what really happened."""
    if row.before.good is None:
        return "", ""
    return screen.good if row.before.good else screen.bad, screen.good if row.after.good else screen.dim


def _columns(label: str, before: str, after: str, screen: Screen, *, colours: tuple[str, str]) -> list[str]:
    left, right = _wrapped(before, screen.column), _wrapped(after, screen.column)
    left_colour, right_colour = colours
    lines = []
    for number in range(max(len(left), len(right))):
        one = left[number] if number < len(left) else ""
        other = right[number] if number < len(right) else ""
        head = f"   {label if number == 0 else '':{_LABEL - 3}}"
        line = f"{head} {left_colour}{one:{screen.column}}{screen.off} {right_colour}{other}{screen.off}"
        lines.append(line if screen.off else line.rstrip())
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    """Wrap `text` to a column; what does not fit in a few lines is cut with an ellipsis."""
    return textwrap.wrap(printable(text), width, max_lines=_MAX_LINES, placeholder=" …") or [""]


def _events(answer: Answer) -> str:
    if answer.error_message is not None:
        return "none: an HTTP error, which clients understand and may retry"
    count = len(answer.payloads())
    end = "connection broke off" if answer.cut else "body ended properly"
    done = ", [DONE]" if answer.payloads()[-1:] == [b"[DONE]"] else ""
    return f"{count}{done}, {end}"


def protocol_cell(side: Side) -> Cell:
    """Return what the judge of the protocol says of an answer."""
    if side.answer.error_message is not None:
        text = "conforms (a plain HTTP error)" if side.conforms else "an error without a reason"
        return Cell(text, good=side.conforms)
    if side.conforms:
        return Cell("conforms", good=True)
    rules = Counter(violation.rule for violation in side.violations).most_common()
    named = [f"{rule} ×{count}" if count > 1 else rule for rule, count in rules[:_MAX_RULES]]
    if len(rules) > _MAX_RULES:
        named.append(f"{len(rules) - _MAX_RULES} more rules")
    violations = "1 violation" if len(side.violations) == 1 else f"{len(side.violations)} violations"
    return Cell(f"{violations}: {', '.join(named)}" if named else "the body was cut", good=False)


def _problems(reading: Reading) -> Cell:
    return Cell("; ".join(reading.problems) or "fine", good=not reading.problems)


def _excerpt(answer: Answer, part: bytes) -> str:
    """Return the first event that holds `part`: its type, and that part of it."""
    for payload in answer.payloads():
        if part in payload:
            start = payload.find(b'"type":"') + len(b'"type":"')
            kind = payload[start : payload.find(b'"', start)]
            return f"{kind.decode(errors='replace')} … {part.decode(errors='replace')}"
    return "(not sent)"
