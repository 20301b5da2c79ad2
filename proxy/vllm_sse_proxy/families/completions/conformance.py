"""The judge of completion streams: says where one breaks the protocol. It repairs nothing.

Sources of the rules: the types of openai-python, the schemas of the AI SDK, and vLLM's own streams where OpenAI's legacy API
leaves a question open. vLLM's own members (``grammar``) pass, and so does every member that is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from vllm_sse_proxy.families.chunk_judging import CHUNK_FRAME, CHUNK_RULES, ChunkJudge
from vllm_sse_proxy.families.completions.grammar import FINISH_REASONS, LOGPROB_LISTS, OBJECT
from vllm_sse_proxy.families.judging import (
    ABSENT,
    Violation,
    is_count,
    is_number,
    is_one_of,
    judge_body,
    member,
    short,
)
from vllm_sse_proxy.families.markup import first_marker

RULES: Final[dict[str, str]] = {
    **CHUNK_RULES,
    "choice_index": "`index` of a choice is 0 to `n` × prompts - 1.",
    "choice_fields": "A choice has `text`, a string, and `logprobs` that are null or an object.",
    "logprobs": "Log probabilities are four lists of one length: offsets, numbers, tokens, and objects of numbers, or null.",
    "logprobs_missing": "If they were asked for, text comes with log probabilities.",
    "text_offset": "The offset of a token is that of the token before it and its length.",
    "stop_string": "The text does not hold a stop string of the request, unless `include_stop_str_in_output` is set.",
}
"""Every rule by its name."""

MINOR: Final = frozenset({"logprobs_missing"})
"""Rules that OpenAI's types let pass; see ``families.judging``."""

CONTENT: Final = frozenset({"stop_string"})
"""Rules about what the model wrote: a breach may be its own doing, and mostly no repair may change it."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What a request says of its stream."""

    choices: int | None = None
    """How many choices come, None if that is not known."""
    stops: tuple[str, ...] = ()
    logprobs: bool = False
    usage_chunk: bool = False
    usage_continuous: bool = False


def _read_request(body: object) -> _Request:
    """Read a request body as it was sent: any value is taken, what makes no sense is as good as left out."""
    if not isinstance(body, dict):
        return _Request()
    n, stop, options = body.get("n"), body.get("stop"), body.get("stream_options")
    prompts = _prompts(body.get("prompt"))
    usage = member(options, "include_usage") is True
    stops = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    shows_stops = body.get("include_stop_str_in_output") is True or body.get("echo") is True
    return _Request(
        choices=None if prompts is None else prompts * (n if type(n) is int and n > 0 else 1),
        stops=() if shows_stops else tuple(text for text in stops if isinstance(text, str) and text),
        logprobs=is_count(body.get("logprobs")),
        usage_chunk=usage,
        usage_continuous=usage and member(options, "continuous_usage_stats") is True,
    )


def _prompts(prompt: object) -> int | None:
    """Return how many prompts there are: a text or a list of token ids is one, None stands for what is neither nor a list."""
    if isinstance(prompt, str):
        return 1
    if not isinstance(prompt, list) or not prompt:
        return None
    return 1 if all(type(token) is int for token in prompt) else len(prompt)


def check_stream(stream: bytes, *, request: object = None) -> list[Violation]:
    """Judge a whole body, its frames included. Never raises.

    :param request: the decoded body of the request, None if it is not known. It shows how many choices and what else may
        and must be there.
    """
    return judge_body(stream, ConformanceChecker(request=request), CHUNK_FRAME)


@dataclass(slots=True)
class _Choice:
    """A choice from its first chunk on."""

    index: int
    text: list[str] = field(default_factory=list)
    offset: int | None = None
    """Where the next token begins; None before the first."""
    finish: str | None = None


class ConformanceChecker(ChunkJudge):
    """Judge one stream of completion chunks."""

    def __init__(self, *, request: object = None) -> None:
        self._request = _read_request(request)
        super().__init__(
            frozenset({OBJECT}),
            usage_chunk=self._request.usage_chunk,
            usage_continuous=self._request.usage_continuous,
        )
        self._choices: dict[int, _Choice] = {}

    def _judge_choice(self, choice: dict[str, Any], chunk: dict[str, Any]) -> None:  # noqa: ARG002 - chat needs it
        state = self._choice_of(choice.get("index", ABSENT))
        if state is None:
            return
        text, logprobs = choice.get("text", ABSENT), choice.get("logprobs")
        if not isinstance(text, str) or not (logprobs is None or isinstance(logprobs, dict)):
            self._say("choice_fields", f"text is {short(text)}, logprobs is {short(logprobs)}")
        if state.finish is not None:
            self._say("after_finish", f"{short(text)} after {state.finish}")
        if isinstance(text, str):
            state.text.append(text)
            self._has_content = self._has_content or bool(text)
        if isinstance(logprobs, dict):
            self._judge_logprobs(logprobs, state)
        elif self._request.logprobs and text:
            self._say("logprobs_missing", f"{short(text)} has none")
        reason = choice.get("finish_reason")
        if reason is not None and state.finish is None:
            self._judge_finish(reason, state)

    def _choice_of(self, index: object) -> _Choice | None:
        """Return the choice of an index; None if the index is none."""
        if type(index) is not int or index < 0:
            self._say("choice_index", f"index is {short(index)}")
            return None
        state = self._choices.get(index)
        if state is None:
            if self._request.choices is not None and index >= self._request.choices:
                self._say("choice_index", f"choice {index} of {self._request.choices}")
            state = self._choices[index] = _Choice(index)
        return state

    def _judge_logprobs(self, logprobs: dict[str, Any], state: _Choice) -> None:
        lists = [logprobs.get(key) for key in LOGPROB_LISTS]
        if not _are_logprobs(lists):
            self._say("logprobs", f"logprobs is {short(logprobs)}")
            return
        offsets, _, tokens, _ = lists
        for offset, token in zip(offsets or (), tokens or (), strict=False):
            if state.offset is not None and offset != state.offset:
                self._say(
                    "text_offset", f"the offset of {short(token)} is {offset} instead of {state.offset}"
                )
                state.offset = None
                return
            state.offset = offset + len(token)

    def _judge_finish(self, reason: object, state: _Choice) -> None:
        if not is_one_of(reason, FINISH_REASONS):
            self._say("finish_reason", f"choice {state.index} finishes with {short(reason)}")
        state.finish = reason if isinstance(reason, str) else ""
        stop = first_marker("".join(state.text), self._request.stops)
        if stop is not None:
            self._say("stop_string", f"the text holds {short(stop)}")

    def _unfinished(self) -> str | None:
        for index in range(self._request.choices or max(len(self._choices), 1)):
            state = self._choices.get(index)
            if state is None or state.finish is None:
                return f"choice {index}"
        return None


def _are_logprobs(lists: list[Any]) -> bool:
    """Return whether the members of ``logprobs`` are four lists of one length, with elements of their types."""
    if not all(type(values) is list for values in lists) or len({len(values) for values in lists}) != 1:
        return False
    offsets, numbers, tokens, others = lists
    return (
        all(is_count(offset) for offset in offsets)
        and all(number is None or is_number(number) for number in numbers)
        and all(isinstance(token, str) for token in tokens)
        and all(other is None or _is_distribution(other) for other in others)
    )


def _is_distribution(value: object) -> bool:
    return isinstance(value, dict) and all(is_number(number) for number in value.values())
