"""The judges of transcription streams: they say where one breaks the protocol. They repair nothing.

There are two forms. OpenAI's events are what its SDKs read; vLLM sends chunks of its own, which only clients written for vLLM
read. Sources of the rules: the types of openai-python, and the source of vLLM.
"""

from __future__ import annotations

from typing import Any, Final

from vllm_sse_proxy.families.chunk_judging import (
    CHUNK_FRAME,
    CHUNK_RULES,
    ChunkJudge,
    error_problem,
    is_error,
)
from vllm_sse_proxy.families.judging import (
    ABSENT,
    DONE,
    StreamJudge,
    Violation,
    is_count,
    is_given,
    is_number,
    is_one_of,
    judge_body,
    member,
    short,
    strict_json,
)
from vllm_sse_proxy.families.transcriptions.grammar import (
    CHUNK_OBJECTS,
    DELTA,
    DONE_EVENT,
    FINISH_REASONS,
    NUMBERS,
    STRINGS,
    TOKEN_COUNTS,
)

OPENAI: Final = "openai"
UPSTREAM: Final = "upstream"

RULES: Final[dict[str, str]] = {
    # both forms
    "frame_shape": CHUNK_RULES["frame_shape"],
    "json": CHUNK_RULES["json"],
    "done_marker": "A `data: [DONE]` is the last; vLLM's own form has exactly one, OpenAI's at most one.",
    "error_shape": CHUNK_RULES["error_shape"],
    "error_code": CHUNK_RULES["error_code"],
    "after_error": CHUNK_RULES["after_error"],
    # OpenAI's events
    "event_type": "Every event has a `type` of OpenAI's; chunks of vLLM have none.",
    "event_fields": "An event has the members of its type, of their JSON types.",
    "text_sum": "The text of the done event is the sum of the deltas.",
    "token_usage": "`usage` of the done event is absent, null, three counts whose sum is right, or a duration.",
    "logprobs": "Log probabilities are absent, null, or a list of tokens with numbers and bytes.",
    "after_done": "Nothing but `[DONE]` follows the done event.",
    "done_event": "The stream has its done event, or ends with an error.",
    # vLLM's chunks
    **{
        rule: CHUNK_RULES[rule]
        for rule in (
            "chunk_fields",
            "chunk_identity",
            "choices_list",
            "finish_reason",
            "usage_counts",
            "usage_chunk",
            "usage_continuous",
        )
    },
    "choice_fields": "A choice has `delta`, an object, in which `content` is a string, null or absent.",
    "end": "The last piece of audio has its finish reason, or the stream ends with an error.",
}
"""Every rule by its name."""

MINOR: Final[frozenset[str]] = frozenset()
"""Rules that OpenAI's types let pass; see ``families.judging``."""

CONTENT: Final[frozenset[str]] = frozenset()
"""Rules about what the model wrote: a breach may be its own doing, and mostly no repair may change it."""


def check_stream(stream: bytes, *, request: object = None, dialect: str = OPENAI) -> list[Violation]:
    """Judge a whole body, its frames included. Never raises.

    :param request: the decoded fields of the request, None if they are not known. They show whether usage was asked for.
    :param dialect: ``openai`` for its events, ``upstream`` for vLLM's own chunks.
    """
    judge = ChunkChecker(request=request) if str(dialect) == UPSTREAM else EventChecker()
    return judge_body(stream, judge, CHUNK_FRAME)


class EventChecker(StreamJudge):
    """Judge one stream of OpenAI's events."""

    def __init__(self) -> None:
        super().__init__()
        self._text: list[str] = []
        self._in_chunks = False
        self._over = False
        """Whether the done event came."""
        self._error = False
        self._done = False

    def _judge(self, event_name: str | None, data: bytes) -> None:  # noqa: ARG002 - frames of this family have no `event:` line
        if self._done:
            self._say("done_marker", f"{short(data)} after [DONE]")
            return
        if data == DONE:
            self._done = True
            return
        body = strict_json(data)
        if type(body) is not dict:
            self._say("json", f"the data is {short(data)}")
        elif self._error:
            self._say("after_error", f"{short(data)} after an error")
        elif is_error(body):
            self._judge_error(body)
        else:
            self._judge_event(body)

    def _judge_end(self) -> None:
        if not self._over and not self._error:
            self._say("done_event", f"the stream ended without {DONE_EVENT}")

    def _judge_error(self, body: dict[str, Any]) -> None:
        self._error = True
        problem = error_problem(body)
        if problem is not None:
            self._say("error_shape", problem)

    def _judge_event(self, body: dict[str, Any]) -> None:
        type_ = body.get("type", ABSENT)
        if not isinstance(type_, str) or type_ not in STRINGS:
            self._judge_foreign(body)
            return
        if self._over:
            self._say("after_done", f"{type_} after the done event")
            return
        wrong = [key for key in STRINGS[type_] if not isinstance(body.get(key), str)]
        wrong += [key for key in NUMBERS[type_] if not is_number(body.get(key))]
        if wrong:
            self._say("event_fields", f"{wrong[0]} of {type_} is {short(body.get(wrong[0], ABSENT))}")
        logprobs = body.get("logprobs")
        if is_given(logprobs) and not (isinstance(logprobs, list) and all(map(_is_logprob, logprobs))):
            self._say("logprobs", f"logprobs is {short(logprobs)}")
        if type_ == DELTA and not wrong:
            self._text.append(body["delta"])
        elif type_ == DONE_EVENT:
            self._judge_done(body)

    def _judge_foreign(self, body: dict[str, Any]) -> None:
        """Say what no SDK of OpenAI knows; of a stream in vLLM's own chunks, only the first."""
        is_chunk = is_one_of(body.get("object"), CHUNK_OBJECTS)
        if not (is_chunk and self._in_chunks):
            self._say("event_type", f"type is {short(body.get('type', ABSENT))}")
        self._in_chunks = self._in_chunks or is_chunk

    def _judge_done(self, body: dict[str, Any]) -> None:
        self._over = True
        text, streamed = body.get("text"), "".join(self._text)
        if isinstance(text, str) and text != streamed:
            self._say("text_sum", f"text is {short(text)}, the deltas are {short(streamed)}")
        usage = body.get("usage")
        if is_given(usage) and not _is_usage(usage):
            self._say("token_usage", f"usage is {short(usage)}")


class ChunkChecker(ChunkJudge):
    """Judge one stream of vLLM's own chunks. How many pieces the audio was cut into, nothing says."""

    def __init__(self, *, request: object = None) -> None:
        usage = _is_true(member(request, "stream_include_usage"))
        super().__init__(
            CHUNK_OBJECTS,
            usage_chunk=usage,
            usage_continuous=usage and _is_true(member(request, "stream_continuous_usage_stats")),
        )
        self._finished = False
        """Whether the last chunk had a finish reason."""

    def _judge_choice(self, choice: dict[str, Any], chunk: dict[str, Any]) -> None:  # noqa: ARG002 - as other families need it
        delta = choice.get("delta", ABSENT)
        content = member(delta, "content")
        if not isinstance(delta, dict) or (is_given(content) and not isinstance(content, str)):
            self._say("choice_fields", f"delta is {short(delta)}")
        self._has_content = self._has_content or bool(is_given(content) and content)
        reason = choice.get("finish_reason")
        if reason is not None and not is_one_of(reason, FINISH_REASONS):
            self._say("finish_reason", f"a piece finishes with {short(reason)}")
        self._finished = reason is not None

    def _unfinished(self) -> str | None:
        return None if self._finished else "the last piece"


def _is_logprob(value: object) -> bool:
    """Return whether a value is a log probability; all its members may be left out."""
    token, number, text = (member(value, key) for key in ("token", "logprob", "bytes"))
    if not isinstance(value, dict) or (is_given(text) and type(text) is not list):
        return False
    return (
        (isinstance(token, str) or not is_given(token))
        and (is_number(number) or not is_given(number))
        and (not text or all(type(byte) is int for byte in text))
    )


def _is_usage(usage: object) -> bool:
    """Return whether a value is the usage of a done event: tokens, or the seconds of models that are billed by them."""
    if member(usage, "type") == "duration":
        return is_number(member(usage, "seconds"))
    counts = [member(usage, key) for key in TOKEN_COUNTS]
    return (
        member(usage, "type") == "tokens"
        and all(map(is_count, counts))
        and counts[0] + counts[1] == counts[2]
    )


def _is_true(value: object) -> bool:
    """Return whether a field of a form, or of JSON, is set."""
    return value is True or value in ("true", "True", "1", "on")
