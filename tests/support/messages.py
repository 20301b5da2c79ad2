"""Message streams in short: one line an event, there and back.

    start                       message_start, whole
    text 0                      content_block_start of a text, with its index
    text+ 0 Hello               text_delta
    think 0    think+ 0 Hm      the same for thinking
    sign 0 abc                  signature_delta
    call 0 toolu_1 look         content_block_start of a tool_use, with id and name
    input+ 0 {"a": 1}           input_json_delta
    stop 0                      content_block_stop
    end tool_use                message_delta with its stop reason; a third word is the stop sequence
    over                        message_stop
    ping
    error api_error Words       error
    : words                     a comment
    {"type":…}                  any other event, as JSON, below the `event:` line of its type
    data: …                     a frame as it is, `¶` between its lines

White space before a line does not count; `_` in a text is a space, and `~` a line end.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.support.replay import normalize
from vllm_sse_proxy import BodyEnd, Plan
from vllm_sse_proxy.families import MESSAGES
from vllm_sse_proxy.families.messages.conformance import check_stream
from vllm_sse_proxy.sse import FrameDecoder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from vllm_sse_proxy import StreamNormalizer

STRICT: Final = Plan.of(MESSAGES, strict=True)
MESSAGE: Final[dict[str, Any]] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [],
    "model": "m",
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 0},
}
USAGE: Final = {"input_tokens": 9, "output_tokens": 5}
_DELTAS: Final = {
    "text+": ("text_delta", "text"),
    "think+": ("thinking_delta", "thinking"),
    "sign": ("signature_delta", "signature"),
    "input+": ("input_json_delta", "partial_json"),
}
_BLOCKS: Final = {
    "text": {"type": "text", "text": ""},
    "think": {"type": "thinking", "thinking": "", "signature": ""},
}
_WORDS: Final = {"ping": {"type": "ping"}, "over": {"type": "message_stop"}}
TOOLS: Final = [
    {"name": "look", "input_schema": {"type": "object", "required": ["a"]}},
    {"name": "list", "input_schema": {"type": "object"}},
]
REQUEST: Final = {"model": "m", "tools": TOOLS, "messages": [{"role": "user", "content": "?"}]}


def body_of(line: str) -> dict[str, Any]:
    """Return the event that a line spells."""
    word, _, rest = line.partition(" ")
    index, _, words = rest.partition(" ")
    if word == "start":
        return {"type": "message_start", "message": MESSAGE}
    if word in _WORDS:
        return _WORDS[word]
    if word in _DELTAS:
        type_, member = _DELTAS[word]
        said = words.replace("_", " ").replace("~", "\n") if word != "input+" else words
        return {
            "type": "content_block_delta",
            "index": int(index),
            "delta": {"type": type_, member: said},
        }
    if word in _BLOCKS:
        return {"type": "content_block_start", "index": int(index), "content_block": _BLOCKS[word]}
    if word == "call":
        id_, _, name = words.partition(" ")
        content = {"type": "tool_use", "id": id_, "name": name, "input": {}}
        return {"type": "content_block_start", "index": int(index), "content_block": content}
    if word == "stop":
        return {"type": "content_block_stop", "index": int(rest)}
    if word == "end":
        delta = {"stop_reason": index, "stop_sequence": words or None}
        return {"type": "message_delta", "delta": delta, "usage": USAGE}
    if word == "error":
        return {"type": "error", "error": {"type": index, "message": words}}
    return dict(json.loads(line))


def wire(text: str) -> bytes:
    """Return the frames of a stream that is written in short."""
    frames = []
    for line in short(text):
        if line.startswith(("data:", "event:")):
            frames.append(line.replace("¶", "\n"))
        elif line.startswith(":"):
            frames.append(line)
        else:
            body = body_of(line)
            data = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
            frames.append(f"event: {body['type']}\ndata: {data}")
    return "".join(f"{frame}\n\n" for frame in frames).encode()


def lines_of(stream: bytes) -> list[str]:
    """Return a stream in short; an event that has no short form as JSON."""
    lines = []
    for frame in FrameDecoder(max_frame_bytes=len(stream) + 1).feed(stream):
        if frame.comment is not None:
            lines.append(f": {frame.comment.decode()}")
            continue
        body = json.loads(frame.data)
        assert frame.event == body["type"]
        lines.append(_line_of(body) or frame.data.decode())
    return lines


def _line_of(body: dict[str, Any]) -> str | None:
    """Return the line that spells an event; None if none does exactly."""
    type_, index = body["type"], body.get("index")
    delta, content, error = (body.get(name) or {} for name in ("delta", "content_block", "error"))
    candidates = ["start", *_WORDS]
    if type_ == "content_block_delta":
        for word, (kind, member) in _DELTAS.items():
            if delta.get("type") == kind:
                said = str(delta.get(member))
                said = said if word == "input+" else said.replace(" ", "_").replace("\n", "~")
                candidates.append(f"{word} {index} {said}")
    candidates += [f"{word} {index}" for word in _BLOCKS] + [f"stop {index}"] if index is not None else []
    candidates.append(f"call {index} {content.get('id')} {content.get('name')}")
    candidates.append(f"end {delta.get('stop_reason')} {delta.get('stop_sequence') or ''}".strip())
    candidates.append(f"error {error.get('type')} {error.get('message')}")
    for line in candidates:
        try:
            if body_of(line) == body:
                return line
        except ValueError:
            continue
    return None


def short(text: str) -> list[str]:
    """Return the lines of a stream in short, without white space before them."""
    return [line for line in map(str.lstrip, text.splitlines()) if line]


def run(
    stream: bytes | Iterable[bytes],
    *,
    request: Mapping[str, Any] | None = None,
    end: BodyEnd = BodyEnd.EOF,
    disabled: Collection[str] = (),
    strict: bool = True,
) -> tuple[bytes, StreamNormalizer]:
    """Send a stream through the family's repairs."""
    plan = STRICT if strict and not disabled else Plan.of(MESSAGES, disabled, strict=strict)
    chunks = [stream] if isinstance(stream, bytes) else stream
    return normalize(chunks, end, plan=plan, context=MESSAGES.context("", request))


def repaired(
    text: str,
    *,
    request: Mapping[str, Any] | None = None,
    end: BodyEnd = BodyEnd.EOF,
    disabled: Collection[str] = (),
) -> tuple[list[str], dict[str, int]]:
    """Return what becomes of a stream in short, and the corrections that were counted.

    With nothing switched off it must conform, and be the same when it is repaired again.
    """
    made, normalizer = run(wire(text), request=request, end=end, disabled=disabled)
    if not disabled:
        assert [str(one) for one in check_stream(made)] == []
        again, second = run(made, request=request)
        assert again == made
        assert second.tally.repairs == {}
    return lines_of(made), normalizer.tally.repairs


def passes(text: str, *, request: Mapping[str, Any] | None = None, end: BodyEnd = BodyEnd.EOF) -> None:
    """Check that a stream leaves as it came."""
    stream = wire(text)
    made, normalizer = run(stream, request=request, end=end)
    assert made == stream
    assert normalizer.tally.repairs == {}
