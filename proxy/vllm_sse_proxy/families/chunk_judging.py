"""What the judges of OpenAI's chunk streams share: chat completions, completions, and audio in vLLM's own form.

Such a stream is ``data: <object>`` again and again, then ``data: [DONE]``. Every object is a chunk with the same ``id``,
``created`` and ``model``, or an error, which is the last. The source of the rules is OpenAI's ``ChatCompletionChunk`` and
``Completion``, and what clients were seen to do with streams that differ.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import Any, Final

from vllm_sse_proxy.families.judging import (
    ABSENT,
    DONE,
    StreamJudge,
    is_count,
    is_given,
    is_one_of,
    member,
    short,
    strict_json,
)

CHUNK_RULES: Final[dict[str, str]] = {
    "frame_shape": "A frame is comments, a `data:` line, or both, with LF ends, a blank line behind, and no `event:` line.",
    "json": "The data of every frame is one line of strict JSON (UTF-8, no NaN) that holds an object.",
    "done_marker": "Exactly one `data: [DONE]` comes, as the last.",
    "chunk_fields": "A chunk has `id` (not empty), `object`, `created`, `model` and `choices`, of their JSON types.",
    "chunk_identity": "`id`, `created` and `model` are the same in every chunk.",
    "choices_list": "`choices` holds at least one object, at most one of each index; it is empty only in the usage chunk.",
    "finish_reason": "`finish_reason` is null or one of OpenAI's values.",
    "after_finish": "Nothing of a choice follows its finish reason.",
    "end": "Every choice that was asked for has its finish reason, or the stream ends with an error.",
    "usage_counts": "Usage has three counts, `total_tokens` is the sum of the others, and its details are counts or null.",
    "usage_chunk": "The usage chunk comes once, after the last finish reason, and it comes if it was asked for.",
    "usage_continuous": "With `continuous_usage_stats` every chunk has usage, and the counts of a choice never fall.",
    "error_shape": "An error is an object with `error` alone, which has `message`, `type`, `param` and a number as `code`.",
    "error_code": "After content, the `code` of an error is no 4xx: the request was accepted.",
    "after_error": "Nothing but `[DONE]` follows an error.",
}
"""The rules that hold for every chunk stream."""

CHUNK_FRAME: Final = re.compile(
    rb"(?:(?::[^\r\n]*\n)*data: [^\r\n]+(?:\n:[^\r\n]*)*)|(?::[^\r\n]*)(?:\n:[^\r\n]*)*"
)
"""The lines of one frame."""

SERVICE_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
"""What OpenAI's types let ``service_tier`` be, if it is there."""

_COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
_DETAILS: Final = ("prompt_tokens_details", "completion_tokens_details")
_DETAIL_COUNTS: Final = (
    "audio_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "image_tokens",
    "text_tokens",
    "reasoning_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
)
_CLIENT_ERRORS: Final = range(400, 500)
_STATUS_CODES: Final = range(400, 600)


class ChunkJudge(StreamJudge):
    """Judge what is common to chunk streams; a subclass judges choices.

    :param objects: what ``object`` may be.
    :param usage_chunk: whether a usage chunk was asked for.
    :param usage_continuous: whether usage was asked for in every chunk.
    """

    def __init__(self, objects: frozenset[str], *, usage_chunk: bool, usage_continuous: bool) -> None:
        super().__init__()
        self._objects = objects
        self._usage_wanted = usage_chunk
        self._usage_continuous = usage_continuous
        self._identity: dict[str, str | int] = {}
        self._usage_chunks = 0
        self._completion_tokens: dict[object, int] = {}
        """By index of choice: vLLM counts them apart."""
        self._has_content = False
        """Whether a client has been sent anything of an answer."""
        self._error = False
        self._done = False

    @abstractmethod
    def _judge_choice(self, choice: dict[str, Any], chunk: dict[str, Any]) -> None:
        """Judge one element of ``choices``."""

    @abstractmethod
    def _unfinished(self) -> str | None:
        """Return which choice has no finish reason, None if each has one."""

    def _judge(self, event_name: str | None, data: bytes) -> None:  # noqa: ARG002 - these frames have no `event:` line
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
            self._judge_chunk(body)

    def _judge_end(self) -> None:
        unfinished = None if self._error else self._unfinished()
        if unfinished is not None:
            self._say("end", f"the stream ended, and {unfinished} has no finish reason")
        elif self._usage_wanted and not self._usage_chunks and not self._error:
            self._say("usage_chunk", "none came, though it was asked for")
        if unfinished is None and not self._done:
            self._say("done_marker", "the stream ended without [DONE]")

    def _judge_error(self, body: dict[str, Any]) -> None:
        self._error = True
        error = body.get("error")
        problem = error_problem(body)
        if problem is not None:
            self._say("error_shape", problem)
        code = member(error, "code")
        if self._has_content and type(code) is int and code in _CLIENT_ERRORS:
            self._say("error_code", f"code {code} after content")

    def _judge_chunk(self, chunk: dict[str, Any]) -> None:
        problem = self._field_problem(chunk)
        if problem is not None:
            self._say("chunk_fields", problem)
        for key in ("id", "created", "model"):
            value = chunk.get(key)
            if value and isinstance(value, (str, int)) and self._identity.setdefault(key, value) != value:
                self._say("chunk_identity", f"{key} was {short(self._identity[key])}, now {short(value)}")
                self._identity[key] = value
        choices = chunk.get("choices")
        if type(choices) is list:
            self._judge_choices(choices, chunk)
            self._judge_usage(choices, chunk)

    def _field_problem(self, chunk: dict[str, Any]) -> str | None:
        id_, created, model = (
            chunk.get("id", ABSENT),
            chunk.get("created", ABSENT),
            chunk.get("model", ABSENT),
        )
        object_, choices = chunk.get("object", ABSENT), chunk.get("choices", ABSENT)
        if not isinstance(object_, str) or object_ not in self._objects:
            return f"object is {short(object_)}"
        if not isinstance(id_, str) or not id_:
            return f"id is {short(id_)}"
        if not is_count(created):
            return f"created is {short(created)}"
        if not isinstance(model, str):
            return f"model is {short(model)}"
        if type(choices) is not list:
            return f"choices is {short(choices)}"
        for key in ("system_fingerprint", "obfuscation"):
            if is_given(chunk.get(key)) and not isinstance(chunk[key], str):
                return f"{key} is {short(chunk[key])}"
        tier = chunk.get("service_tier")
        if is_given(tier) and not is_one_of(tier, SERVICE_TIERS):
            return f"service_tier is {short(tier)}"
        return None

    def _judge_choices(self, choices: list[Any], chunk: dict[str, Any]) -> None:
        if not choices and not is_given(chunk.get("usage")):
            self._say("choices_list", "choices is empty, and there is no usage")
        seen: set[int] = set()
        for choice in choices:
            if type(choice) is not dict:
                self._say("choices_list", f"a choice is {short(choice)}")
                continue
            index = choice.get("index")
            if type(index) is int:
                if index in seen:
                    self._say("choices_list", f"choice {index} stands twice in one chunk")
                seen.add(index)
            self._judge_choice(choice, chunk)

    def _judge_usage(self, choices: list[Any], chunk: dict[str, Any]) -> None:
        usage = chunk.get("usage")
        if is_given(usage):
            problem = usage_problem(usage)
            if problem is not None:
                self._say("usage_counts", problem)
        if choices:
            if self._usage_continuous:
                self._judge_continuous(choices, usage)
        elif is_given(usage):
            self._judge_usage_chunk()

    def _judge_usage_chunk(self) -> None:
        self._usage_chunks += 1
        if self._usage_chunks > 1:
            self._say("usage_chunk", "a second one")
            return
        unfinished = self._unfinished()
        if unfinished is not None:
            self._say("usage_chunk", f"it comes before the finish reason of {unfinished}")

    def _judge_continuous(self, choices: list[Any], usage: object) -> None:
        tokens = member(usage, "completion_tokens")
        if type(tokens) is not int:
            self._say("usage_continuous", f"usage is {short(usage)}")
            return
        index = member(choices[0], "index")
        if type(index) is int:
            if tokens < self._completion_tokens.get(index, 0):
                self._say(
                    "usage_continuous",
                    f"choice {index} had {self._completion_tokens[index]} tokens, now {tokens}",
                )
            self._completion_tokens[index] = tokens


def is_error(body: dict[str, Any]) -> bool:
    """Return whether a payload says that something failed, in today's form or in the flat one of old releases."""
    return is_given(body.get("error")) or body.get("object") == "error"


def error_problem(body: dict[str, Any]) -> str | None:
    """Return what is wrong with the shape of an error payload, None if nothing is."""
    error = body.get("error")
    if type(error) is not dict:
        return f"error is {short(body.get('error', ABSENT))}"
    if len(body) > 1:
        return f"beside error stands {', '.join(short(key) for key in body if key != 'error')}"
    if not isinstance(error.get("message"), str) or not error["message"]:
        return f"message is {short(error.get('message', ABSENT))}"
    if not isinstance(error.get("type"), str) or not error["type"]:
        return f"type is {short(error.get('type', ABSENT))}"
    if "param" not in error or not (error["param"] is None or isinstance(error["param"], str)):
        return f"param is {short(error.get('param', ABSENT))}"
    code = error.get("code", ABSENT)
    return None if type(code) is int and code in _STATUS_CODES else f"code is {short(code)}"


def usage_problem(usage: object) -> str | None:
    """Return what is wrong with a usage object, None if nothing is."""
    counts = [member(usage, key) for key in _COUNTS]
    if not all(is_count(count) for count in counts):
        return f"usage is {short(usage)}"
    if counts[0] + counts[1] != counts[2]:
        return f"{counts[0]} and {counts[1]} are not {counts[2]}"
    for key in _DETAILS:
        details = member(usage, key)
        if not is_given(details):
            continue
        if type(details) is not dict:
            return f"{key} is {short(details)}"
        for count in _DETAIL_COUNTS:
            if is_given(details.get(count)) and not is_count(details[count]):
                return f"{key}.{count} is {short(details[count])}"
    return None
