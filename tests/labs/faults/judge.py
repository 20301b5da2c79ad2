"""What makes an ending good: judged from what the client got, what upstream had said, and what was counted.

honest HTTP error   status 4xx or 5xx, `X-SSE-Proxy-Error`, an OpenAI-shaped body with that code; or
conforming stream   whole by its HTTP framing, no violation found by the checker, none by the `openai` types, one terminal
                    event, `[DONE]` last; a success only if upstream said so; every word that upstream said
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.labs.faults.answers import TERMINALS, deltas_of
from tests.support.strict import strict_errors
from vllm_sse_proxy.families.responses.conformance import check_stream

if TYPE_CHECKING:
    from tests.support.http import Answer

TERMINAL_OF = {
    "completed": "response.completed",
    "unterminated": "response.completed",
    "incomplete": "response.incomplete",
}
"""The terminal event of an ending; that of every other is `response.failed`."""


@dataclass
class Verdict:
    """How one request ended.

    :ivar shown: the ending in a word: an ending of a stream, or `HTTP 502 upstream_reset`.
    :ivar wrong: everything that is wrong with it; empty: nothing.
    """

    shown: str
    wrong: list[str] = field(default_factory=list)


def terminals_of(body: bytes) -> list[str]:
    """Return the terminal events that a stream holds."""
    names = [line[7:].decode() for line in body.split(b"\n") if line.startswith(b"event: ")]
    return [name for name in names if name in TERMINALS]


def judge_error(answer: Answer) -> list[str]:
    """Return what is wrong with an HTTP error."""
    code = answer.value("X-SSE-Proxy-Error")
    try:
        error = orjson.loads(answer.body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return [f"HTTP {answer.status} with a body that is not an error object: {answer.body[:80]!r}"]
    found = [] if code and error.get("code") == code else [f"codes: header {code}, body {error.get('code')}"]
    found += [] if error.get("message") and error.get("type") else ["no message or type"]
    return found if answer.complete else [*found, "the error's body is cut"]


def judge_stream(answer: Answer, *, deep: bool = True) -> list[str]:
    """Return what is wrong with a stream, whatever upstream said.

    :param deep: ask the `openai` types too.
    """
    found = [] if answer.complete else ["the body is cut"]
    found += [str(violation) for violation in check_stream(answer.body)[:3]]
    found += strict_errors(answer.body)[:3] if deep else []
    terminals = terminals_of(answer.body)
    if len(terminals) != 1:
        found.append(f"terminal events: {terminals}")
    if not answer.body.endswith(b"data: [DONE]\n\n") or answer.body.count(b"data: [DONE]") != 1:
        found.append("[DONE] is not last, once")
    return found


def judge_count(answer: Answer, ending: str) -> list[str]:
    """Return what is wrong if a stream was counted as something else than the client received."""
    terminals = terminals_of(answer.body)
    if terminals == [TERMINAL_OF.get(ending, "response.failed")]:
        return []
    return [f"counted as {ending}, emitted {terminals}"]


def judge(
    answer: Answer,
    line: dict[str, Any],
    whole: tuple[bytes, ...],
    readable: tuple[bytes, ...] | None = None,
    *,
    all_words: bool = True,
) -> Verdict:
    """Judge an ending.

    :param line: the request's line in the proxy's log.
    :param whole: the frames that upstream had sent whole.
    :param readable: those and one that lacks only its blank line, which may be emitted or not.
    :param all_words: every whole delta has to arrive; not so after a reset, that overtakes bytes.
    """
    readable = whole if readable is None else readable
    if answer.status != HTTPStatus.OK:
        verdict = Verdict(f"HTTP {answer.status} {answer.value('X-SSE-Proxy-Error')}", judge_error(answer))
        if any(b"delta" in frame for frame in whole):
            verdict.wrong.append("an HTTP error, though upstream had sent words")
        return verdict
    ending = str(line["ending"])
    verdict = Verdict(ending, judge_stream(answer))
    said_end, can_read_end = terminals_of(b"".join(whole)), terminals_of(b"".join(readable))
    # Everything was sent and closed, and the body ended cleanly: then only the event that says so is missing (R01).
    closed = ending == "unterminated" and b"response.output_item.done" in whole[-1]
    succeeded = ending in TERMINAL_OF
    if succeeded and not can_read_end and not closed:
        verdict.wrong.append(f"{ending}, though upstream sent no end")
    if said_end and not succeeded and all_words:
        verdict.wrong.append(f"{ending}, though upstream sent {said_end}")
    verdict.wrong += judge_count(answer, ending)
    words, more, given = deltas_of(b"".join(whole)), deltas_of(b"".join(readable)), deltas_of(answer.body)
    if (given not in {words, more}) if all_words else not more.startswith(given):
        verdict.wrong.append(f"words: upstream sent {words!r}, the client got {given!r}")
    return verdict


def gained(before: dict[str, float], after: dict[str, float], prefix: str) -> dict[str, float]:
    """Return the samples that grew between two readings of /metrics, by their names without the prefix and the family."""
    grew: dict[str, float] = {}
    for name, value in after.items():
        if name.startswith(prefix) and value != before.get(name, 0.0):
            short = _FAMILY.sub("", name.removeprefix(prefix))
            grew[short] = grew.get(short, 0.0) + value - before.get(name, 0.0)
    return grew


_FAMILY: Final = re.compile(r',family="[^"]*"|family="[^"]*",')
