"""The demo's report: one table per recording, what came before the proxy on the left, after it on the right."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vllm_sse_proxy.demo.clients import Answer, Reading
    from vllm_sse_proxy.demo.scenarios import Scenario
    from vllm_sse_proxy.families import judging
    from vllm_sse_proxy.families.responses.conformance import Violation

WIDTH: Final = 100
_LABEL: Final = 18
_COLUMN: Final = (WIDTH - _LABEL - 3) // 2
_MAX_LINES: Final = 5
_MAX_RULES: Final = 4


@dataclass(frozen=True, slots=True)
class Palette:
    """Terminal colours, or empty strings where there is no terminal."""

    bold: str = ""
    dim: str = ""
    bad: str = ""
    good: str = ""
    off: str = ""

    @classmethod
    def for_stream(cls, stream: TextIO) -> Palette:
        """Colours if `stream` is a terminal and nobody objects (no-color.org)."""
        if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return cls()
        return cls(bold="\033[1m", dim="\033[2m", bad="\033[31m", good="\033[32m", off="\033[0m")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two answers, judged."""

    answer: Answer
    violations: Sequence[Violation | judging.Violation]
    readings: Mapping[str, Reading]

    @classmethod
    def judge(cls, answer: Answer, scenario: Scenario) -> Side:
        """Judge `answer` to the request of `scenario` by the protocol and by its clients."""
        protocol = scenario.protocol
        is_stream = answer.error_message is None
        return cls(
            answer=answer,
            violations=protocol.violations(answer.body, scenario.request) if is_stream else (),
            readings={label: read(answer) for label, read in protocol.readers},
        )

    @property
    def conforms(self) -> bool:
        """Whether a client can rely on this answer: a stream without a violation, whole, or a plain HTTP error."""
        return not self.violations and not self.answer.cut and self.answer.is_readable


@dataclass(frozen=True, slots=True)
class Comparison:
    """One recording, asked for directly and through the proxy, with the repairs that the proxy counted."""

    scenario: Scenario
    before: Side
    after: Side
    repairs: Mapping[str, int]
    renumbered: int

    @property
    def is_served(self) -> bool:
        """Whether the client is served: a stream that conforms, or an error where upstream had sent no event."""
        is_error = self.after.answer.error_message is not None
        return self.after.conforms and not (is_error and self.before.answer.payloads())


def render(comparison: Comparison, palette: Palette) -> str:
    """Return the comparison as text of at most `WIDTH` columns."""
    scenario = comparison.scenario
    lines = [f"{palette.bold}── {scenario.model} {'─' * (WIDTH - len(scenario.model) - 4)}{palette.off}"]
    lines += [f"   {palette.dim}{line}{palette.off}" for line in textwrap.wrap(scenario.origin, WIDTH - 3)]
    lines += [f"   {line}" for line in textwrap.wrap(scenario.story, WIDTH - 3)]
    lines.append("")
    lines += _row("", "direct", "through the proxy", palette, heading=True)
    before, after = comparison.before, comparison.after
    if scenario.focus is not None:
        one, other = scenario.focus
        lines += _row("wire", _excerpt(before.answer, one), _excerpt(after.answer, other), palette)
    lines += _row("events", _events(before.answer), _events(after.answer), palette)
    lines += _verdict("protocol", _protocol(before), _protocol(after), palette)
    for label, seen in before.readings.items():
        seen_after = after.readings[label]
        lines += _verdict(label, _problems(seen), _problems(seen_after), palette)
        if seen.thinking != seen_after.thinking:
            lines += _row(
                "  thinking", seen.thinking or "(nothing)", seen_after.thinking or "(nothing)", palette
            )
        lines += _row("  answer", seen.shows() or "(nothing)", seen_after.shows() or "(nothing)", palette)
    lines.append("")
    counted = [f"{name} {count}" for name, count in comparison.repairs.items()]
    if comparison.renumbered:
        counted.append(f"renumbered {comparison.renumbered}")
    text = " · ".join(counted) or "none: nothing to repair, only an error to report"
    lines += textwrap.wrap(
        text, WIDTH, initial_indent=f"   {'repairs':{_LABEL - 3}} ", subsequent_indent=" " * (_LABEL + 1)
    )
    return "\n".join(lines) + "\n"


def summary(comparisons: Sequence[Comparison], palette: Palette) -> str:
    """Return the closing line."""
    conform = sum(comparison.is_served for comparison in comparisons)
    before = sum(comparison.before.conforms for comparison in comparisons)
    colour = palette.good if conform == len(comparisons) else palette.bad
    return (
        f"{colour}{conform} of {len(comparisons)} answers conform after the proxy; "
        f"{before} of {len(comparisons)} did before.{palette.off}"
    )


def _row(label: str, left: str, right: str, palette: Palette, *, heading: bool = False) -> list[str]:
    colour = palette.bold if heading else ""
    return _columns(label, _cell(left), _cell(right), colour, colour, palette)


def _verdict(label: str, before: tuple[str, bool], after: tuple[str, bool], palette: Palette) -> list[str]:
    """A row of judgements. Problems before the proxy are bad; those left in a conforming stream are what really happened."""
    left_colour = palette.good if before[1] else palette.bad
    right_colour = palette.good if after[1] else palette.dim
    return _columns(label, _cell(before[0]), _cell(after[0]), left_colour, right_colour, palette)


def _columns(
    label: str, left: list[str], right: list[str], left_colour: str, right_colour: str, palette: Palette
) -> list[str]:
    lines = []
    for number in range(max(len(left), len(right))):
        one = left[number] if number < len(left) else ""
        other = right[number] if number < len(right) else ""
        head = f"   {label if number == 0 else '':{_LABEL - 3}}"
        line = f"{head} {left_colour}{one:{_COLUMN}}{palette.off} {right_colour}{other}{palette.off}"
        lines.append(line if palette.off else line.rstrip())
    return lines


def _cell(text: str) -> list[str]:
    """Wrap `text` to a column; what does not fit in a few lines is cut with an ellipsis."""
    text = "".join(character if character.isprintable() else " " for character in text)
    return textwrap.wrap(text, _COLUMN, max_lines=_MAX_LINES, placeholder=" …") or [""]


def _events(answer: Answer) -> str:
    if answer.error_message is not None:
        return "none: an HTTP error, which clients understand and may retry"
    count = len(answer.payloads())
    end = "connection broke off" if answer.cut else "body ended properly"
    done = ", [DONE]" if answer.payloads()[-1:] == [b"[DONE]"] else ""
    return f"{count}{done}, {end}"


def _protocol(side: Side) -> tuple[str, bool]:
    if side.answer.error_message is not None:
        return (
            "conforms (a plain HTTP error)" if side.conforms else "an error without a reason"
        ), side.conforms
    if side.conforms:
        return "conforms", True
    rules = Counter(violation.rule for violation in side.violations).most_common()
    named = [f"{rule} ×{count}" if count > 1 else rule for rule, count in rules[:_MAX_RULES]]
    if len(rules) > _MAX_RULES:
        named.append(f"{len(rules) - _MAX_RULES} more rules")
    violations = "1 violation" if len(side.violations) == 1 else f"{len(side.violations)} violations"
    return f"{violations}: {', '.join(named)}" if named else "the body was cut", False


def _problems(reading: Reading) -> tuple[str, bool]:
    return "; ".join(reading.problems) or "fine", not reading.problems


def _excerpt(answer: Answer, part: bytes) -> str:
    """Return the first event that holds `part`: its type, and that part of it."""
    for payload in answer.payloads():
        if part in payload:
            start = payload.find(b'"type":"') + len(b'"type":"')
            kind = payload[start : payload.find(b'"', start)]
            return f"{kind.decode(errors='replace')} … {part.decode(errors='replace')}"
    return "(not sent)"
