"""Whatever the official types or their accumulators refuse, the judge refuses too.

Over every recorded stream, and over the perfect streams of the judges' tests with every member of every event replaced by
values of other types, or left out.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from openai._models import construct_type
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.audio import TranscriptionStreamEvent
from openai.types.chat import ChatCompletionChunk
from openai.types.completion import Completion
from pydantic import TypeAdapter, ValidationError

from tests.families.chat import test_conformance as chat_streams
from tests.families.completions import test_conformance as completions_streams
from tests.families.messages import test_conformance as messages_streams
from tests.families.transcriptions import test_conformance as transcriptions_streams
from tests.support.breaking import Case, frame
from tests.support.judge_recordings import JUDGES, Judged, load_all
from vllm_sse_proxy.families.recognition import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vllm_sse_proxy.families.judging import Violation

RECORDINGS = load_all(Path(__file__).parents[1] / "recordings" / "families")
CHUNK: TypeAdapter[Any] = TypeAdapter(ChatCompletionChunk)
COMPLETION: TypeAdapter[Any] = TypeAdapter(Completion)
MESSAGE_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
TRANSCRIPT_EVENT: TypeAdapter[Any] = TypeAdapter(TranscriptionStreamEvent)
OTHER_VALUES: tuple[Any, ...] = (None, "x", "", 7, -1, 1.5, True, [], {}, [None], {"a": []})
GONE = object()


def payloads(body: bytes) -> list[dict[str, Any]]:
    """Return what the frames hold, errors and what no SDK reads left out."""
    data = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith(b"data: {")]
    return [each for each in map(orjson.loads, data) if "error" not in each and each.get("type") != "ping"]


def refused(adapter: TypeAdapter[Any], payload: dict[str, Any]) -> bool:
    try:
        adapter.validate_json(orjson.dumps(payload), strict=True)
    except ValidationError:
        return True
    return False


def whole_completion(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a chunk as the type of a whole completion has it: with a reason, and without nulls for the first token."""
    payload = deepcopy(payload)
    for choice in payload["choices"] if isinstance(payload.get("choices"), list) else []:
        if not isinstance(choice, dict):
            continue
        choice["finish_reason"] = choice.get("finish_reason") or "stop"
        logprobs = choice.get("logprobs")
        for key in ("token_logprobs", "top_logprobs"):
            if isinstance(logprobs, dict) and isinstance(logprobs.get(key), list):
                logprobs[key] = [value for value in logprobs[key] if value is not None]
    return payload


def chat_refused(events: list[dict[str, Any]], tools: Any = None) -> bool:
    """Return whether openai-python's types, or its helper, refuse a stream."""
    if any(refused(CHUNK, event) for event in events):
        return True
    state: Any = ChatCompletionStreamState(input_tools=tools or [])
    try:
        for event in events:
            list(state.handle_chunk(construct_type(type_=ChatCompletionChunk, value=event)))
        final = state.get_final_completion()
    except Exception as error:  # noqa: BLE001 - whatever it is, a user of the helper sees it
        return type(error).__name__ != "LengthFinishReasonError"
    return any(not choice.finish_reason or choice.message.role != "assistant" for choice in final.choices)


def messages_refused(events: list[dict[str, Any]]) -> bool:
    """Return whether anthropic-python's types, or its helper, refuse a stream."""
    if any(refused(MESSAGE_EVENT, event) for event in events):
        return True
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    try:
        for event in events:
            snapshot = accumulate_event(
                event=construct_type(type_=RawMessageStreamEvent, value=event),  # type: ignore[arg-type]
                current_snapshot=snapshot,
                json_bufs=buffers,
            )
    except Exception:  # noqa: BLE001 - as above
        return True
    return snapshot is None or snapshot.stop_reason is None


def completions_refused(events: list[dict[str, Any]]) -> bool:
    return any(refused(COMPLETION, whole_completion(event)) for event in events)


def transcriptions_refused(events: list[dict[str, Any]]) -> bool:
    return any(refused(TRANSCRIPT_EVENT, event) for event in events)


REFUSALS: dict[Family, Callable[..., bool]] = {
    Family.CHAT: chat_refused,
    Family.COMPLETIONS: completions_refused,
    Family.MESSAGES: messages_refused,
    Family.TRANSCRIPTIONS: transcriptions_refused,
}


def test_there_are_recordings_of_each_kind() -> None:
    assert len(RECORDINGS) > 100
    assert {each.family for each in RECORDINGS} == {Family.CHAT, Family.COMPLETIONS, Family.MESSAGES}
    assert {each.release for each in RECORDINGS} == {"0.12.0", "0.17.0", "0.20.2", "0.32.0"}


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
def test_what_the_official_code_refuses_of_recordings_the_judge_refuses(recording: Judged) -> None:
    errors = b'"error":' in recording.body  # the answer ends there: accumulators have nothing to finish
    if not errors and REFUSALS[recording.family](payloads(recording.body)):
        assert recording.serious


# ------------------------------------------------------------------------------------------------ mutations

PERFECT: dict[Family, Case] = {
    Family.CHAT: chat_streams.perfect(),
    Family.COMPLETIONS: completions_streams.perfect(),
    Family.MESSAGES: messages_streams.perfect(),
    Family.TRANSCRIPTIONS: transcriptions_streams.events(),
}


def paths(node: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every member and element below a value."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (key,)
        yield from ((key, *path) for path in paths(value))


def changed(event: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    event = deepcopy(event)
    node: Any = event
    for key in path[:-1]:
        node = node[key]
    if value is GONE:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return event


def judged(family: Family, events: list[Any], case: Case) -> list[Violation]:
    body = b"".join(frame(event, named=case.named and isinstance(event.get("type"), str)) for event in events)
    end = b"" if family is Family.MESSAGES else b"data: [DONE]\n\n"
    return JUDGES[family](body + end, request=case.request)


@pytest.mark.long
@pytest.mark.parametrize("family", PERFECT)
def test_what_the_official_code_refuses_of_damaged_streams_the_judge_refuses(family: Family) -> None:
    case, refuses = PERFECT[family], REFUSALS[family]
    events = [event for event in case.events if isinstance(event, dict) and event.get("type") != "ping"]
    assert not refuses(events)
    assert judged(family, events, case) == []
    tried = seen = 0
    for at, event in enumerate(events):
        for path in paths(event):
            for value in (GONE, *OTHER_VALUES):
                damaged = [*events[:at], changed(event, path, value), *events[at + 1 :]]
                tried += 1
                if refuses(damaged):
                    seen += 1
                    assert judged(family, damaged, case), (at, path, value)
    assert seen > tried // 5
