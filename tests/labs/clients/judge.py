"""What a run is worth: the same as the client's run on the perfect stream, or how it differs from it.

The words are those of the table: one letter for each way in which a user is let down.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import Any, Self

from tests.labs.clients.conversations import ERROR, PROMPT

_ENDS = frozenset(
    {"completed", "stop", "tool_calls", "tool-calls", "tool_call", "tool_use", "end_turn", None}
)
"""How clients call the end of a whole answer."""
DETAIL_LENGTH = 110
SAME_KEPT = "."


class Outcome(StrEnum):
    """What a user of the client sees, compared with the perfect stream. The worst comes first."""

    HANG = "H"
    LOOP = "L"
    SILENT = "S"
    ERROR = "E"
    CALLS = "C"
    TEXT = "T"
    REASONING = "R"
    HISTORY = "I"
    FINISH = "F"
    SAME = "✓"

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS = {
    Outcome.HANG: "hangs: nothing came back within the time limit",
    Outcome.LOOP: "posts the request more often than it does otherwise",
    Outcome.SILENT: "says nothing of a failure: what came is taken for the whole answer, or the limit is not reported",
    Outcome.ERROR: "raises an error where there should be none, or another one than on a proper failure",
    Outcome.CALLS: "tool calls are lost, doubled, or have other arguments",
    Outcome.TEXT: "text is lost, doubled or in the wrong place",
    Outcome.REASONING: "reasoning is lost, doubled or in the wrong place",
    Outcome.HISTORY: "what is posted back with the tool's output differs (calls, ids that do not match, texts)",
    Outcome.FINISH: "the reason why the response ended differs",
    Outcome.SAME: "exactly as on a perfect stream",
}


@dataclass(frozen=True)
class Outcomes:
    """What became of one scenario, before and after the proxy.

    Results hold it as one sign where both are the same, as two where they differ; a dot is "as on a perfect stream".
    """

    before: Outcome
    after: Outcome

    def __str__(self) -> str:
        signs = self.before.value if self.before is self.after else self.before.value + self.after.value
        return signs.replace(Outcome.SAME, SAME_KEPT)

    @classmethod
    def parse(cls, signs: str) -> Self:
        """Read what `str` wrote.

        Raises:
            ValueError: these are not such signs.
        """
        signs = signs.replace(SAME_KEPT, Outcome.SAME)
        return cls(Outcome(signs[:1]), Outcome(signs[-1:]))

    @property
    def is_worse(self) -> bool:
        """Return whether the client fares worse through the proxy."""
        order = list(Outcome)
        return order.index(self.after) < order.index(self.before)


@dataclass
class Run:
    """One conversation of one client.

    :ivar posts: how many requests it posted; ``history``: what it posted back, ids replaced by their order.
    :ivar seconds: wall time; ``hung``: it was ended by the time limit.
    """

    text: str = ""
    final: str | None = None
    reasoning: str = ""
    calls: list[Any] = field(default_factory=list)
    finish: str | None = None
    error: dict[str, str] | None = None
    posts: int = 0
    history: list[Any] = field(default_factory=list)
    seconds: float = 0.0
    hung: bool = False


@dataclass(frozen=True)
class Verdict:
    """An outcome, and in a few words why."""

    outcome: Outcome
    detail: str = ""


def history_of(posts: list[dict[str, Any]]) -> list[Any]:
    """Return what the last post says of the turns before: texts, calls, outputs, ids as their order."""
    if len(posts) < 2:
        return []
    if "messages" in posts[-1]:
        return _messages_of(posts[-1]["messages"])
    if not isinstance(posts[-1]["input"], list):
        return []
    order: dict[str, int] = {}
    made: list[Any] = []
    for item in posts[-1]["input"]:
        kind = item.get("type", "message")
        number = order.setdefault(str(item.get("call_id")), len(order)) if "call_id" in item else None
        if kind.endswith("_call"):
            made.append([kind, number, item.get("name"), item.get("arguments", item.get("input"))])
        elif kind.endswith("_call_output"):
            made.append([kind, number])
        elif kind == "reasoning" or (kind == "message" and item.get("role") == "assistant"):
            made.append([kind, _text_of(item)])
    return made


def _messages_of(messages: list[dict[str, Any]]) -> list[Any]:
    """Return the same of the messages of chat completions and of Anthropic's API. Signatures of thinking do not count."""
    order: dict[str, int] = {}
    made: list[Any] = []
    for message in messages:
        role, content = message["role"], message.get("content")
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
        thought = message.get("reasoning_content") or message.get("reasoning")
        if role == "tool":
            made.append(["output", order.setdefault(str(message.get("tool_call_id")), len(order))])
            continue
        if thought:
            made.append(["reasoning", thought])
        for block in blocks:
            match block.get("type"):
                case "tool_use":
                    made.append(
                        [
                            "call",
                            order.setdefault(str(block.get("id")), len(order)),
                            block.get("name"),
                            block.get("input"),
                        ]
                    )
                case "tool_result":
                    made.append(["output", order.setdefault(str(block.get("tool_use_id")), len(order))])
                case "text" | "thinking" as kind if role == "assistant" and block.get(kind):
                    made.append([kind, block[kind]])
        for call in message.get("tool_calls") or ():
            function = call["function"]
            number = order.setdefault(str(call.get("id")), len(order))
            made.append(["call", number, function.get("name"), function.get("arguments")])
    return _outputs_in_order(made)


def _outputs_in_order(history: list[Any]) -> list[Any]:
    """Return it with outputs that follow each other in the order of their calls: which tool is ready first is chance."""
    runs = [list(entries) for _, entries in groupby(history, key=lambda entry: entry[0] == "output")]
    return [entry for run in runs for entry in (sorted(run) if run[0][0] == "output" else run)]


def _text_of(item: dict[str, Any]) -> str:
    content = item.get("content")
    if isinstance(content, str):
        return content
    # Reasoning that was sent both ways is one thought: the raw text, where it is posted back.
    return "".join(str(part.get("text")) for part in content or item.get("summary") or [])


def judge(run: Run, reference: Run, *, says_why: bool = False) -> Verdict:
    """Compare a run with the run on the perfect stream.

    :param says_why: upstream has said why it fails, and so the client must.
    """
    if run.hung:
        return Verdict(Outcome.HANG, f"no answer within {run.seconds:.0f} s")
    if run.posts > reference.posts:
        return Verdict(Outcome.LOOP, _short(f"{run.posts} posts for {reference.posts}; {_of(run.error)}"))
    if reference.error and not run.error:
        return Verdict(Outcome.SILENT, _short(f"ends as {run.finish!r} with {run.text!r}"))
    if run.error and not _is_same_error(run.error, reference.error, says_why=says_why):
        return Verdict(Outcome.ERROR, _short(_of(run.error)))
    if _parsed(run.calls) != _parsed(reference.calls):
        return Verdict(Outcome.CALLS, _short(f"{run.calls}"))
    if run.text != reference.text or run.final != reference.final:
        text = run.text if run.text != reference.text else run.final
        return Verdict(Outcome.TEXT, _short(repr(text)))
    if run.reasoning != reference.reasoning:
        return Verdict(Outcome.REASONING, _short(repr(run.reasoning)))
    if _parsed(run.history) != _parsed(reference.history):
        return Verdict(Outcome.HISTORY, _short(f"{run.history}"))
    if run.finish != reference.finish:
        # A limit that is reported as success lets a cut answer pass for a whole one.
        limit = reference.finish not in _ENDS
        return Verdict(Outcome.SILENT if limit else Outcome.FINISH, _short(f"ends as {run.finish!r}"))
    return Verdict(Outcome.SAME)


def _parsed(value: Any) -> Any:
    """Return the value with JSON texts of objects read: arguments are the same however they are spaced."""
    if isinstance(value, list | tuple):
        return [_parsed(one) for one in value]
    if isinstance(value, str) and value.startswith("{"):
        with contextlib.suppress(ValueError):
            return json.loads(value)
    return value


def _is_same_error(error: dict[str, str], reference: dict[str, str] | None, *, says_why: bool) -> bool:
    """Return whether it is of the same class, and says what upstream said wherever the client shows that at all."""
    if reference is None or error["class"] != reference["class"] or not error["message"]:
        return False
    why = ERROR["message"].rstrip(".")
    return not says_why or why in error["message"] or why not in reference["message"]


def _of(error: dict[str, str] | None) -> str:
    return f"{error['class']}: {error['message']}" if error else "no error"


def _short(text: str) -> str:
    text = " ".join(text.replace(PROMPT, "…").split())
    return text if len(text) <= DETAIL_LENGTH else text[: DETAIL_LENGTH - 1] + "…"
