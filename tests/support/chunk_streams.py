"""Streams of chunks as text, for tests: what is the same in all chunks is left out.

A line is a chunk with one choice: its delta (completions: its text), then, if it has one, ``-> `` and the finish reason.
Before it may stand the index of the choice and a colon; behind it, and ``+``, what else the choice has; behind that, and
``++``, what else the chunk has. ``! `` begins a line that is a payload as it stands, ``: `` a comment, and ``[DONE]`` is
itself::

    {"role":"assistant","content":""}
    1: {"content":"Hi"} + {"token_ids":[5]}
    {} -> stop
    ! {"error":{"message":"no"}}
    [DONE]
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from vllm_sse_proxy import BodyEnd, Plan, StreamNormalizer
from vllm_sse_proxy.families import CHAT, COMPLETIONS
from vllm_sse_proxy.families.chat import conformance as chat_judge
from vllm_sse_proxy.families.chat.settings import ChatReasoning
from vllm_sse_proxy.families.completions import conformance as completions_judge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vllm_sse_proxy import Ending
    from vllm_sse_proxy.families.chunks import ChunkFamily

Json = dict[str, Any]

_HEADS: dict[str, Json] = {
    "chat": {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"},
    "completions": {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"},
}
JUDGES = {"chat": chat_judge.check_stream, "completions": completions_judge.check_stream}
_LINE = re.compile(r"(?:(\d+): )?(.*?)(?: -> (\S+))?(?: \+ (\{.*?\}))?(?: \+\+ (\{.*\}))?")

ROLE = '{"role":"assistant","content":""}'
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {}}, "required": ["city"]},
        },
    },
    {
        "type": "function",
        "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
    },
]
"""One tool that requires something, and one that does not."""
REQUEST: Json = {"model": "m", "stream": True, "messages": [], "tools": TOOLS}


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def wire(text: str, family: ChunkFamily = CHAT) -> bytes:
    """Return a stream that is written as text."""
    return b"".join(_frame(line, family) for line in dedent(text).strip().split("\n") if line)


def _frame(line: str, family: ChunkFamily) -> bytes:
    if line.startswith(": "):
        return f"{line}\n\n".encode()
    return b"data: %b\n\n" % _payload(line, family).encode("utf-8", "surrogatepass")


def _payload(line: str, family: ChunkFamily) -> str:
    if line == "[DONE]" or line.startswith("! "):
        return line.removeprefix("! ")
    found = _LINE.fullmatch(line)
    assert found is not None, line
    index, content, reason, more, beside = found.groups()
    choice: Json = {"index": int(index or 0)}
    if family is COMPLETIONS:
        choice |= {"text": json.loads(content), "logprobs": None, "finish_reason": reason}
    else:
        choice |= {"delta": json.loads(content), "logprobs": None, "finish_reason": reason}
    choice |= json.loads(more or "{}")
    return compact({**_HEADS[family.name], "choices": [choice], **json.loads(beside or "{}")})


def text_of(stream: bytes, family: ChunkFamily = CHAT) -> str:
    """Return a stream as text."""
    return "\n".join(_line(frame.decode(), family) for frame in stream.split(b"\n\n") if frame)


def _line(frame: str, family: ChunkFamily) -> str:
    if frame.startswith(": "):
        return frame
    assert frame.startswith("data: "), frame
    data = frame.removeprefix("data: ")
    if data == "[DONE]":
        return data
    body: Json = json.loads(data)
    head = _HEADS[family.name]
    choices = body.get("choices")
    if not choices or len(choices) > 1 or any(body.get(name) != value for name, value in head.items()):
        return f"! {compact(body)}"
    choice = dict(choices[0])
    index, reason = choice.pop("index"), choice.pop("finish_reason", None)
    content = choice.pop("text" if family is COMPLETIONS else "delta")
    if choice.get("logprobs") is None:
        choice.pop("logprobs", None)
    beside = {name: value for name, value in body.items() if name not in (*head, "choices")}
    return (
        (f"{index}: " if index else "")
        + compact(content)
        + (f" -> {reason}" if reason is not None else "")
        + (f" + {compact(choice)}" if choice else "")
        + (f" ++ {compact(beside)}" if beside else "")
    )


@dataclass(frozen=True)
class Repaired:
    """A stream as it left."""

    made: bytes
    normalizer: StreamNormalizer
    family: ChunkFamily

    @property
    def text(self) -> str:
        return text_of(self.made, self.family)

    @property
    def repairs(self) -> dict[str, int]:
        return self.normalizer.tally.repairs

    @property
    def ending(self) -> Ending | None:
        return self.normalizer.ending


def repaired(
    stream: str | bytes | Iterable[bytes],
    *,
    family: ChunkFamily = CHAT,
    request: Json | None = None,
    end: BodyEnd = BodyEnd.EOF,
    conforming: bool = True,
    **settings: Any,
) -> Repaired:
    """Send a stream through the core, strict, reasoning as upstream names it; it must conform then, unless said otherwise."""
    chunks = (
        [wire(stream, family)]
        if isinstance(stream, str)
        else [stream]
        if isinstance(stream, bytes)
        else stream
    )
    plan = Plan.of(family, **{"strict": True, "chat_reasoning": ChatReasoning.UPSTREAM, **settings})
    normalizer = StreamNormalizer(plan, family.context("", request))
    made = b""
    for chunk in chunks:
        made += normalizer.feed(chunk)
    made += normalizer.finish(end)
    if conforming:
        assert not JUDGES[family.name](made, request=request)
    return Repaired(made, normalizer, family)


def becomes(before: str, after: str, **options: Any) -> Repaired:
    """Check what a stream becomes, and that this is repaired already; return it."""
    made = repaired(before, **options)
    assert made.text == dedent(after).strip()
    again = repaired(made.made, **options)
    assert again.made == made.made
    return made


def stays(stream: str, **options: Any) -> None:
    """Check that a stream needs no repair, and leaves with the same bytes."""
    family = options.get("family", CHAT)
    made = repaired(stream, **options)
    assert made.made == wire(stream, family)
    assert not made.repairs
