"""What openai-python's streaming helper makes of recorded streams, after their repair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from tests.support.recordings import load
from vllm_sse_proxy import Plan, StreamNormalizer
from vllm_sse_proxy.families import CHAT
from vllm_sse_proxy.families.chat.settings import ChatReasoning

RECORDINGS = Path(__file__).parents[2] / "recordings" / "families"


def chunks(stream: bytes) -> list[dict[str, Any]]:
    frames = [
        frame.removeprefix(b"data: ") for frame in stream.split(b"\n\n") if frame.startswith(b"data: {")
    ]
    return [json.loads(frame) for frame in frames]


def accumulated(stream: bytes) -> Any:
    """Return what the helper has at the end of a stream."""
    state = ChatCompletionStreamState()
    for body in chunks(stream):
        if "error" not in body:
            state.handle_chunk(ChatCompletionChunk.model_validate(body))
    return state.current_completion_snapshot


@pytest.mark.parametrize("reasoning", [ChatReasoning.BOTH, ChatReasoning.UPSTREAM])
@pytest.mark.parametrize(
    "path", sorted(RECORDINGS.rglob("*-c-*.sse")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_the_helper_takes_every_repaired_stream(path: Path, reasoning: ChatReasoning) -> None:
    recording = load(path)
    normalizer = StreamNormalizer(
        Plan.of(CHAT, strict=True, chat_reasoning=reasoning), CHAT.context("", recording.request)
    )
    made = normalizer.feed(recording.body) + normalizer.finish(recording.known_end)
    bodies = chunks(made)
    if not normalizer.committed:
        return
    snapshot = accumulated(made)
    for choice in snapshot.choices:
        deltas = [
            one["delta"] for body in bodies for one in body.get("choices", ()) if one["index"] == choice.index
        ]
        assert choice.message.role == "assistant"
        assert (choice.message.content or "") == "".join(delta.get("content") or "" for delta in deltas)
        calls = choice.message.tool_calls or []
        assert [call.function.name for call in calls] == [
            piece["function"]["name"]
            for delta in deltas
            for piece in delta.get("tool_calls") or ()
            if piece["function"].get("name")
        ]
        assert len({call.id for call in calls}) == len(calls)
        if (
            choice.finish_reason in ("stop", "tool_calls")
            and "badjson" not in path.stem
            and path.stem != "ds-c-n2-tools"
        ):
            assert all(isinstance(json.loads(call.function.arguments), dict) for call in calls)
        for name in ("reasoning", "reasoning_content"):
            emitted = "".join(delta.get(name) or "" for delta in deltas)
            assert (getattr(choice.message, name, None) or "") == emitted
