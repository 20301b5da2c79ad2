"""What is wrong with what came back: with a stream, with a resumed one, with the answer of another endpoint."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from tests.labs.clients.judge import Outcome, Run, judge
from tests.labs.live.wire import Answer, End
from tests.support.replay import lost_words
from tests.support.strict import strict_errors
from vllm_sse_proxy.families.chat.conformance import RULES as CHAT_RULES
from vllm_sse_proxy.families.completions.conformance import RULES as COMPLETIONS_RULES
from vllm_sse_proxy.families.messages.conformance import RULES as MESSAGES_RULES
from vllm_sse_proxy.families.responses.conformance import RULES, check_stream
from vllm_sse_proxy.families.responses.grammar import DONE_SENTINEL

if TYPE_CHECKING:
    from collections.abc import Iterable

DETAIL_LENGTH = 160
EVERY_RULE = {**MESSAGES_RULES, **COMPLETIONS_RULES, **CHAT_RULES, **RULES}
"""The rules of all judges. Where two have one name, they say the same of other events."""


@dataclass(frozen=True)
class Compared:
    """One scenario, before and after the proxy: what was wrong, nothing if all was right."""

    name: str
    before: list[str]
    after: list[str]


@dataclass
class Sums:
    """What became of the scenarios of one row.

    :ivar of: how many there were; ``before`` and ``after``: how many were right.
    :ivar faults: how many showed which kind of fault before the proxy.
    :ivar left: what is wrong after it, by scenario; empty texts where that was not kept.
    """

    of: int = 0
    before: int = 0
    after: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def add(self, compared: Compared) -> None:
        self.of += 1
        self.before += not compared.before
        self.after += not compared.after
        for kind in sorted({kind_of(fault) for fault in compared.before}):
            self.faults[kind] = self.faults.get(kind, 0) + 1
        if compared.after:
            self.left[compared.name] = short(compared.after[0])

    def __str__(self) -> str:
        """Write the sums as they are kept: `1 → 13 of 13: item_fields 12, types 1`."""
        faults = ", ".join(f"{kind} {number}" for kind, number in self.faults.items())
        return f"{self.before} → {self.after} of {self.of}{': ' if faults else ''}{faults}"

    @classmethod
    def parse(cls, text: str, left: Iterable[str]) -> Self:
        """Read what `str` wrote; which scenarios are wrong after the proxy is kept apart, without a word of what is wrong."""
        numbers, _, faults = text.partition(": ")
        before, _, after, _, of = numbers.split(" ")
        kinds = (each.split(" ") for each in faults.split(", ") if each)
        return cls(
            int(of),
            int(before),
            int(after),
            {kind: int(number) for kind, number in kinds},
            dict.fromkeys(left, ""),
        )


def kind_of(fault: str) -> str:
    """Return the kind of a fault: the checker's rule, `types` for what the `openai` package's types refuse, `end`, `other`."""
    found = re.match(r"event \d+: ([a-z_.]+): ", fault)
    if found:
        return found[1] if found[1] in EVERY_RULE else "types"
    return "end" if fault.startswith("the body ends") else "other"


def stream_faults(answer: Answer, *, done: bool) -> list[str]:
    """Return what the checker and the `openai` package's types find wrong with a stream, and how it ended if not whole.

    :param done: whether `[DONE]` has to be its last line. vLLM never sends it (R30), and every stream would be wrong.
    """
    if not answer.is_stream:
        return [f"HTTP {answer.status} {answer.value('Content-Type')} ({answer.end})"]
    ended = [] if answer.end is End.WHOLE else [f"the body ends {answer.end}"]
    return [*ended, *map(str, check_stream(answer.body, require_done=done)), *strict_errors(answer.body)]


def compare_streams(name: str, direct: Answer, upstream: Answer, emitted: Answer) -> Compared:
    """Judge a stream without the proxy, and one through it.

    :param upstream: what the proxy got for ``emitted``. No word of it may be lost.
    """
    before = stream_faults(direct, done=False)
    after = stream_faults(emitted, done=True)
    if emitted.is_stream:
        after += lost_words(upstream.body, emitted.body)
    return Compared(name, before, after)


def compare_refusals(name: str, direct: Answer, emitted: Answer) -> Compared:
    """Compare two answers that are not streams; one that says nothing (no head, a broken body) is wrong as such."""
    before = (
        [] if direct.status >= 400 and direct.end is End.WHOLE else [f"HTTP {direct.status} ({direct.end})"]
    )
    if before:
        return Compared(
            name,
            before,
            []
            if emitted.status >= 400 and emitted.end is End.WHOLE
            else [f"HTTP {emitted.status} ({emitted.end})"],
        )
    return Compared(name, before, differences(direct, emitted))


# --------------------------------------------------------------------------------------------------- resuming


def frames_after(stream: bytes, number: int | None) -> bytes:
    """Return the events with a larger number, and what has none (`[DONE]`): what a client that resumes there has to get."""
    frames = re.findall(rb".*?\n\n", stream, re.DOTALL)
    return b"".join(
        frame for frame in frames if (own := _number(frame)) is None or number is None or own > number
    )


def last_number(stream: bytes) -> int:
    """Return the largest number in a stream, -1 if it has none."""
    numbers = [number for frame in stream.split(b"\n\n") if (number := _number(frame)) is not None]
    return max(numbers, default=-1)


def _number(frame: bytes) -> int | None:
    # The event's own is its last: items may have one inside (R14).
    found = re.findall(rb'"sequence_number": ?(-?\d+)', frame)
    own = [int(number) for number in found if int(number) >= 0]
    return own[-1] if own else None


def resume_faults(whole: bytes, number: int | None, answer: Answer) -> list[str]:
    """Return what is wrong with a stream that was resumed after this number."""
    if not answer.is_stream:
        return [f"HTTP {answer.status} ({answer.end})"]
    if answer.end is not End.WHOLE:
        return [f"the body ends {answer.end}"]
    wanted = frames_after(whole, number)
    if answer.body == wanted:
        return []
    got, want = answer.body.split(b"\n\n"), wanted.split(b"\n\n")
    place = next(
        (i for i, (a, b) in enumerate(zip(got, want, strict=False)) if a != b), min(len(got), len(want))
    )
    return [f"{len(got) - 1} events for {len(want) - 1}, other from event {place} on"]


# ------------------------------------------------------------------------------------------- other endpoints

_HEADERS_OF_THE_HOP = frozenset({"date", "connection", "keep-alive", "transfer-encoding"})
_ADDED = frozenset({"x-request-id"})
"""What the proxy adds on purpose: the name under which its log has the request."""
_VOLATILE: tuple[tuple[re.Pattern[bytes], bytes], ...] = (
    (re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), b"UUID"),
    (re.compile(rb"(?<![0-9A-Za-z])([a-z]+(?:-[a-z]+)*[-_])[0-9a-f]{8,}(?![0-9a-f])"), rb"\1ID"),
    (re.compile(rb'"(id|call_id|item_id|request_id|tool_use_id)": ?"[0-9a-f]{8,}"'), rb'"\1":"ID"'),
    (re.compile(rb'"(created|created_at|completed_at)": ?[\d.]+'), rb'"\1":TIME'),
    (re.compile(rb'"signature": ?"[^"]*"'), b'"signature":"ID"'),
)
_NUMBERS = re.compile(rb"(?m)(?<=[ :])[\d.]+(?:e[+-]?\d+)?$|(?<=\":)\d+")


def masked(body: bytes, *, numbers: bool = False) -> bytes:
    """Return a body without what differs from answer to answer: ids and times; with ``numbers``, readings too."""
    for pattern, name in _VOLATILE:
        body = pattern.sub(name, body)
    return _NUMBERS.sub(b"N", body) if numbers else body


def differences(
    direct: Answer, emitted: Answer, *, numbers: bool = False, exactly: bool = False
) -> list[str]:
    """Return how an answer through the proxy differs from one without it: status, headers, body, how it ended.

    :param numbers: mask readings too; ``exactly``: mask nothing.
    """
    found = []
    if direct.status != emitted.status:
        found.append(f"HTTP {emitted.status} for {direct.status}")
    mine, theirs = (
        Counter(
            (name.lower(), value.encode() if exactly else masked(value.encode()))
            for name, value in answer.headers
            if name.lower() not in _HEADERS_OF_THE_HOP and not (numbers and name.lower() == "content-length")
        )
        for answer in (emitted, direct)
    )
    found += [f"header more: {name}: {value.decode()}" for name, value in mine - theirs if name not in _ADDED]
    found += [f"header less: {name}: {value.decode()}" for name, value in theirs - mine]
    one, other = (
        answer.body if exactly else masked(answer.body, numbers=numbers) for answer in (emitted, direct)
    )
    if one != other:
        place = next(
            (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
        )
        found.append(
            f"body differs at {place}: {one[place - 20 : place + 40]!r} for {other[place - 20 : place + 40]!r}"
        )
    if direct.end is not emitted.end:
        found.append(f"the body ends {emitted.end}, without the proxy {direct.end}")
    return found


# ---------------------------------------------------------------------------------------------------- clients


def normalised(run: Run) -> Run:
    """Return a run without white space in its texts, and without texts that were nothing else.

    vLLM streams the line breaks around `</think>` and `<tool_call>`; the perfect stream has none.
    """
    texts = [_plain(text) for text in run.text.split("|")]
    history = [[kind, *map(_plain_of, rest)] for kind, *rest in run.history]
    return Run(
        text="|".join(text for text in texts if text),
        final=None if run.final is None else _plain(run.final),
        reasoning=_plain(run.reasoning),
        calls=sorted(run.calls, key=str),  # some clients run them side by side
        finish=run.finish,
        error=run.error,
        posts=run.posts,
        history=[item for item in history if item[1:] != [""]],
        seconds=run.seconds,
        hung=run.hung,
    )


def _plain(text: str) -> str:
    return "".join(text.split())


def _plain_of(value: Any) -> Any:
    return _plain(value) if isinstance(value, str) and not value.startswith("{") else value


def client_outcome(run: Run, reference: Run | None) -> tuple[str, str]:
    """Return the sign of a run, as the tables of tests/labs/clients have it, and in a few words why.

    :param reference: the run on the perfect stream of the same conversation; None if nobody knows what the model says. Then
        the client's own words are compared: it ends, without an error, with what it streamed.
    """
    if reference is not None:
        verdict = judge(normalised(run), normalised(reference))
        return verdict.outcome.value, verdict.detail
    if run.hung:
        return Outcome.HANG.value, f"no answer within {run.seconds:.0f} s"
    if run.error is not None:
        return Outcome.ERROR.value, short(f"{run.error['class']}: {run.error['message']}")
    alone = normalised(run)
    if not (alone.text or alone.calls or alone.reasoning):
        return Outcome.TEXT.value, "nothing came"
    if alone.final is not None and not alone.text.endswith(alone.final):
        return Outcome.TEXT.value, short(f"final {alone.final!r}")
    return Outcome.SAME.value, ""


def short(text: str) -> str:
    """Return the text on one line, cut to the length that tables and results hold."""
    text = " ".join(text.split())
    return text if len(text) <= DETAIL_LENGTH else text[: DETAIL_LENGTH - 1] + "…"


def ends_as(stream: bytes, type_: str) -> bool:
    """Return whether the last event of a stream, but for `[DONE]`, is of this type."""
    frames = [
        frame
        for frame in stream.split(b"\n\n")
        if frame and not frame.startswith((b":", b"data: " + DONE_SENTINEL))
    ]
    return bool(frames) and f'"type":"{type_}"'.encode() in frames[-1].replace(b": ", b":")
