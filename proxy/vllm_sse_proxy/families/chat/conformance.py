"""The judge of chat completion streams: says where one breaks the protocol. It repairs nothing.

Sources of the rules: the types of openai-python, the accumulators of its ``ChatCompletionStream`` and of openai-node's, the
schemas of the AI SDK, and what twelve clients were seen to do with streams that differ. vLLM's own members (``grammar``)
pass, and so does every member that is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from vllm_sse_proxy.families.chat.grammar import (
    CUT_REASONS,
    FINISH_REASONS,
    FUNCTION,
    LOGPROB_LISTS,
    OBJECT,
    OBJECT_MEMBERS,
    REASONING_NAMES,
    ROLE,
    TEXT_MEMBERS,
)
from vllm_sse_proxy.families.chunk_judging import CHUNK_FRAME, CHUNK_RULES, ChunkJudge
from vllm_sse_proxy.families.judging import (
    ABSENT,
    JsonState,
    Violation,
    is_given,
    is_number,
    is_one_of,
    json_state,
    judge_body,
    member,
    short,
)
from vllm_sse_proxy.families.markup import (
    CALL_MARKERS,
    HARMONY_MARKERS,
    first_marker,
    left_opening,
    left_tag,
)

RULES: Final[dict[str, str]] = {
    **CHUNK_RULES,
    # choices and deltas
    "choice_index": "`index` of a choice is 0 to `n` - 1, and choice i begins before choice i + 1.",
    "choice_fields": "A choice has `delta`, an object, and `logprobs` that are null or an object.",
    "delta_fields": "The members of a delta and of a call have their JSON types.",
    "role": 'The first delta of a choice has `role` "assistant"; no later one has a role.',
    "delta_empty": "A delta has a member, unless its choice finishes or carries log probabilities or token ids.",
    "delta_kinds": "A delta has one kind of content: reasoning, text or a call.",
    "reasoning_names": "Where a delta has both `reasoning` and `reasoning_content`, they are equal.",
    # calls
    "tool_calls_list": "`tool_calls` of a delta is never an empty list.",
    "calls_in_delta": "A delta has a piece of one call.",
    "call_index": "Calls are numbered 0, 1, 2… per choice, in order of appearance, each number once.",
    "call_order": "The pieces of a call come together: none comes after the next call has begun.",
    "call_head": 'The first piece of a call has `id`, `type` "function" and the whole `function.name`, none empty.',
    "call_head_arguments": "The first piece of a call has `function.arguments`, a string.",
    "call_piece": "A later piece has no `id`, `type` or `function.name` of its own; `type` is not null either.",
    "call_piece_nulls": "A later piece has no `id` and no `function.name`, not even a null or empty one.",
    "call_piece_empty": "A later piece has arguments.",
    "call_id": "No two calls of a choice have the same id.",
    "call_name": "A call names a tool of the request; with a named choice, that one.",
    "call_unasked": 'No call comes where the request has no tools, or `tool_choice` is "none".',
    "arguments_missing": "The arguments of a call are not empty, unless it was cut.",
    "arguments_cut": "The arguments of a call have their end, unless the choice was cut (`length`, `content_filter`, error).",
    "arguments_excess": "Nothing follows the end of a call's arguments.",
    "arguments_required": "Where a tool requires arguments, those of its call are not `{}`, unless it was cut.",
    "arguments_json": "The arguments of a call are a JSON object.",
    # the end of a choice
    "finish_calls": "`tool_calls` comes if and only if the choice has calls by auto or required choice; a named choice stops.",
    "forced_call": 'With `tool_choice` "required" or named, a choice that is not cut has a call.',
    # texts
    "call_markup": "The content of a request with tools holds no markup of calls; none holds tokens of harmony.",
    "thought_markup": "Content holds no tag of thinking, unless it mentions one, and reasoning does not begin with one.",
    "stop_string": "Content does not hold a stop string of the request, unless `include_stop_str_in_output` is set.",
    # log probabilities
    "logprobs": "A log probability has `token`, a number and `top_logprobs`; `bytes` are numbers or null.",
    "logprobs_refusal": "Log probabilities have both `content` and `refusal`.",
    "logprobs_missing": "If they were asked for, content comes with log probabilities.",
}
"""Every rule by its name."""

MINOR: Final = frozenset(
    {
        "delta_kinds",
        "thought_markup",
        "calls_in_delta",
        "call_head_arguments",
        "call_piece_nulls",
        "arguments_required",
        "logprobs_refusal",
        "logprobs_missing",
    }
)
"""Rules that OpenAI's types and helpers let pass; see ``families.judging``."""

CONTENT: Final = frozenset(
    {
        "call_name",
        "call_unasked",
        "arguments_json",
        "arguments_required",
        "forced_call",
        "call_markup",
        "thought_markup",
        "stop_string",
    }
)
"""Rules about what the model wrote: a breach may be its own doing, and mostly no repair may change it."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What a request says of its stream; every member is None where that is not known."""

    n: int | None = None
    tools: dict[str, bool] | None = None
    """By name: whether the tool requires arguments."""
    choice: str | None = None
    """``auto``, ``none``, ``required`` or ``named``."""
    named: str | None = None
    stops: tuple[str, ...] = ()
    logprobs: bool = False
    raw: bool = False
    """Whether special tokens are to stay in the texts."""
    usage_chunk: bool = False
    usage_continuous: bool = False

    @property
    def may_call(self) -> bool:
        """Whether calls may come, as far as that is known."""
        return self.choice != "none" and self.tools != {}


def _read_request(body: object) -> _Request:
    """Read a request body as it was sent: any value is taken, what makes no sense is as good as left out."""
    if not isinstance(body, dict):
        return _Request()
    n, names = body.get("n"), _read_tools(body.get("tools"))
    choice, named = _read_choice(body.get("tool_choice"), has_tools=names != {})
    stop = body.get("stop")
    stops = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    options = body.get("stream_options")
    usage = member(options, "include_usage") is True
    return _Request(
        n=n if type(n) is int and n > 0 else 1,
        tools=names,
        choice=choice,
        named=named,
        stops=()
        if body.get("include_stop_str_in_output") is True
        else tuple(text for text in stops if isinstance(text, str) and text),
        logprobs=body.get("logprobs") is True,
        raw=body.get("skip_special_tokens") is False,
        usage_chunk=usage,
        usage_continuous=usage and member(options, "continuous_usage_stats") is True,
    )


def _read_tools(tools: object) -> dict[str, bool] | None:
    """Return the names of all tools and whether they require arguments, None if they are not all known."""
    if not isinstance(tools, list):
        return {}
    functions = [member(tool, "function") for tool in tools]
    named = [(member(function, "name"), member(function, "parameters", "required")) for function in functions]
    names = {
        name: isinstance(needed, list) and bool(needed) for name, needed in named if isinstance(name, str)
    }
    return names if len(named) == sum(isinstance(name, str) for name, _ in named) else None


def _read_choice(choice: object, *, has_tools: bool) -> tuple[str, str | None]:
    if isinstance(choice, dict):
        name = member(choice, "function", "name")
        return ("named", name) if isinstance(name, str) else ("auto", None)
    if isinstance(choice, str) and choice in ("none", "auto", "required"):
        return choice, None
    return ("auto" if has_tools else "none"), None


def check_stream(stream: bytes, *, request: object = None) -> list[Violation]:
    """Judge a whole body, its frames included. Never raises.

    :param request: the decoded body of the request, None if it is not known. It shows which tools, how many choices and
        what else may and must be there.
    """
    return judge_body(stream, ConformanceChecker(request=request), CHUNK_FRAME)


@dataclass(slots=True)
class _Call:
    """A call from its first piece on."""

    number: int
    id: str | None
    name: str
    pieces: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Choice:
    """A choice from its first delta on."""

    index: int
    begun: bool = False
    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: list[_Call] = field(default_factory=list)
    by_index: dict[int, _Call] = field(default_factory=dict)
    """The last call that came on each of upstream's numbers."""
    ids: set[str] = field(default_factory=set)
    finish: str | None = None


class ConformanceChecker(ChunkJudge):
    """Judge one stream of chat completion chunks."""

    def __init__(self, *, request: object = None) -> None:
        self._request = _read_request(request)
        super().__init__(
            frozenset({OBJECT}),
            usage_chunk=self._request.usage_chunk,
            usage_continuous=self._request.usage_continuous,
        )
        self._choices: dict[int, _Choice] = {}

    # choices

    def _judge_choice(self, choice: dict[str, Any], chunk: dict[str, Any]) -> None:
        state = self._choice_of(choice.get("index", ABSENT))
        if state is None:
            return
        delta, logprobs = choice.get("delta", ABSENT), choice.get("logprobs")
        if not isinstance(delta, dict) or not (logprobs is None or isinstance(logprobs, dict)):
            self._say("choice_fields", f"delta is {short(delta)}, logprobs is {short(logprobs)}")
            delta = delta if isinstance(delta, dict) else {}
        if state.finish is not None:
            self._say("after_finish", f"{short(delta)} after {state.finish}")
        reason = choice.get("finish_reason")
        self._judge_delta(delta, state, silent=reason is not None or _says_something(choice, chunk))
        if isinstance(logprobs, dict):
            self._judge_logprobs(logprobs)
        elif self._request.logprobs and delta.get("content"):
            self._say("logprobs_missing", f"{short(delta.get('content'))} has none")
        if reason is not None:
            self._judge_finish(reason, state)

    def _choice_of(self, index: object) -> _Choice | None:
        """Return the choice of an index; None if the index is none."""
        if type(index) is not int or index < 0:
            self._say("choice_index", f"index is {short(index)}")
            return None
        state = self._choices.get(index)
        if state is None:
            if self._request.n is not None and index >= self._request.n:
                self._say("choice_index", f"choice {index} of {self._request.n}")
            elif index and index - 1 not in self._choices:
                self._say("choice_index", f"choice {index} begins before choice {index - 1}")
            state = self._choices[index] = _Choice(index)
        return state

    # deltas

    def _judge_delta(self, delta: dict[str, Any], state: _Choice, *, silent: bool) -> None:
        """Judge a delta.

        :param silent: whether it may have nothing to say.
        """
        for key in (*TEXT_MEMBERS, "role"):
            if is_given(delta.get(key)) and not isinstance(delta[key], str):
                self._say("delta_fields", f"{key} is {short(delta[key])}")
        for key, members in OBJECT_MEMBERS.items():
            if is_given(delta.get(key)) and not _is_object_of(delta[key], members):
                self._say("delta_fields", f"{key} is {short(delta[key])}")
        self._judge_role(delta, state)
        self._judge_texts(delta, state)
        pieces = delta.get("tool_calls")
        if is_given(pieces) and type(pieces) is not list:
            self._say("delta_fields", f"tool_calls is {short(pieces)}")
        elif pieces is not None:
            self._judge_pieces(pieces, state)
        elif not silent and not any(is_given(value) for value in delta.values()):
            self._say("delta_empty", f"the delta is {short(delta)}")

    def _judge_role(self, delta: dict[str, Any], state: _Choice) -> None:
        role, first = delta.get("role"), not state.begun
        state.begun = True
        if first and role != ROLE:
            self._say(
                "role", f"the first delta of choice {state.index} has {short(delta.get('role', ABSENT))}"
            )
        elif not first and role is not None:
            self._say("role", f"choice {state.index} has {short(role)} again")

    def _judge_texts(self, delta: dict[str, Any], state: _Choice) -> None:
        content, reasoning = delta.get("content"), [delta.get(name) for name in REASONING_NAMES]
        if all(isinstance(text, str) for text in reasoning) and reasoning[0] != reasoning[1]:
            self._say("reasoning_names", f"{short(reasoning[0])} and {short(reasoning[1])}")
        if isinstance(content, str):
            state.content.append(content)
        thought = next((text for text in reasoning if isinstance(text, str)), "")
        state.reasoning.append(thought)
        kinds = bool(content) + bool(thought) + bool(delta.get("tool_calls"))
        if kinds > 1:
            self._say("delta_kinds", f"the delta is {short(delta)}")
        self._has_content = self._has_content or kinds > 0

    # calls

    def _judge_pieces(self, pieces: list[Any], state: _Choice) -> None:
        if not pieces:
            self._say("tool_calls_list", f"choice {state.index}")
        elif len(pieces) > 1:
            calls = len({index for piece in pieces if type(index := member(piece, "index")) is int})
            self._say("calls_in_delta", f"{len(pieces)} pieces of {calls} calls")
        for piece in pieces:
            function = member(piece, "function")
            if not isinstance(piece, dict) or (is_given(function) and not isinstance(function, dict)):
                self._say("delta_fields", f"a piece of a call is {short(piece)}")
                continue
            texts = {
                "id": piece.get("id"),
                "name": member(function, "name"),
                "arguments": member(function, "arguments"),
            }
            wrong = [key for key, text in texts.items() if is_given(text) and not isinstance(text, str)]
            if wrong:
                self._say("delta_fields", f"{wrong[0]} of a call is {short(texts[wrong[0]])}")
            else:
                self._judge_piece(piece, state)

    def _judge_piece(self, piece: dict[str, Any], state: _Choice) -> None:
        call = self._call_of(piece, state)
        if call is None:
            call = self._begin_call(piece, state)
        else:
            self._judge_later_piece(piece, call)
        arguments = member(piece, "function", "arguments")
        if isinstance(arguments, str):
            call.pieces.append(arguments)

    def _call_of(self, piece: dict[str, Any], state: _Choice) -> _Call | None:
        """Return the call that a piece goes on with, None if it begins one."""
        index, id_, name = piece.get("index", ABSENT), piece.get("id"), _name_of(piece)
        if type(index) is not int:
            self._say("call_index", f"index is {short(index)}")
            return state.calls[-1] if state.calls and not (id_ or name) else None
        call = state.by_index.get(index)
        if call is None:
            if index != len(state.calls):
                self._say("call_index", f"call {len(state.calls)} has index {index}")
            return None
        if id_ and name and id_ != call.id:
            self._say("call_index", f"a second call has index {index}")
            return None
        if call is not state.calls[-1]:
            self._say(
                "call_order", f"a piece of call {call.number} after call {state.calls[-1].number} began"
            )
        return call

    def _begin_call(self, piece: dict[str, Any], state: _Choice) -> _Call:
        index, id_, name = piece.get("index"), piece.get("id"), _name_of(piece)
        if not id_ or not name or piece.get("type") != FUNCTION:
            self._say("call_head", f"the first piece of call {len(state.calls)} is {short(piece)}")
        elif not isinstance(member(piece, "function", "arguments"), str):
            self._say("call_head_arguments", f"the first piece of call {len(state.calls)} has none")
        if id_ in state.ids:
            self._say("call_id", f"a second call has the id {short(id_)}")
        call = _Call(len(state.calls), id_ or None, name)
        state.ids.update((id_,) if id_ else ())
        state.calls.append(call)
        if type(index) is int:
            state.by_index[index] = call
        if name:
            self._judge_name(name, state)
        if not self._request.may_call:
            self._say("call_unasked", f"{short(name)} is called, and the request wants no calls")
        return call

    def _judge_name(self, name: str, state: _Choice) -> None:
        request = self._request
        if request.named is not None and name != request.named:
            self._say(
                "call_name", f"choice {state.index} calls {short(name)} instead of {short(request.named)}"
            )
        elif request.tools and name not in request.tools:
            self._say(
                "call_name", f"choice {state.index} calls {short(name)}, which is not a tool of the request"
            )

    def _judge_later_piece(self, piece: dict[str, Any], call: _Call) -> None:
        detail = f"a later piece of call {call.number} is {short(piece)}"
        if piece.get("id") or _name_of(piece) or "type" in piece:
            self._say("call_piece", detail)
        elif "id" in piece or member(piece, "function", "name") is not ABSENT:
            self._say("call_piece_nulls", detail)
        elif not member(piece, "function", "arguments"):
            self._say("call_piece_empty", detail)

    # the end of a choice

    def _judge_finish(self, reason: object, state: _Choice) -> None:
        if state.finish is not None:
            return
        if not is_one_of(reason, FINISH_REASONS):
            self._say("finish_reason", f"choice {state.index} finishes with {short(reason)}")
        state.finish = reason if isinstance(reason, str) else ""
        cut = state.finish in CUT_REASONS
        self._judge_calls(state, cut=cut)
        self._judge_label(state, cut=cut)
        self._judge_whole_texts(state)

    def _judge_label(self, state: _Choice, *, cut: bool) -> None:
        """Judge whether the finish reason is true."""
        choice, finish = self._request.choice, state.finish
        if finish == "tool_calls" and not state.calls:
            self._say("finish_calls", f"choice {state.index} finishes with tool_calls, and has no call")
        elif finish == "tool_calls" and choice == "named":
            self._say(
                "finish_calls", f"choice {state.index} finishes with tool_calls, though the choice is named"
            )
        elif finish == "stop" and state.calls and choice in ("auto", "required"):
            self._say("finish_calls", f"choice {state.index} finishes with stop, and has calls")
        if choice in ("required", "named") and not state.calls and not cut and finish in FINISH_REASONS:
            self._say("forced_call", f"choice {state.index} has no call, though it is forced")

    def _judge_calls(self, state: _Choice, *, cut: bool) -> None:
        """Judge the arguments of all calls.

        :param cut: whether they may lack their end. A finish reason is that of all calls of its choice, and ``length`` is the
            one that says of a call that it is not whole, whoever lost its end and whether or not it is the last one.
        """
        for call in state.calls:
            text = "".join(call.pieces)
            found = json_state(text)
            rule = _ARGUMENT_RULES.get(found)
            if rule is not None and not (cut and found in (JsonState.EMPTY, JsonState.CUT)):
                self._say(rule, f"the arguments of call {call.number} are {found.value}: {short(text)}")
            elif not cut and text.strip() == "{}" and (self._request.tools or {}).get(call.name):
                self._say("arguments_required", f"the arguments of call {call.number} are {{}}")

    def _judge_whole_texts(self, state: _Choice) -> None:
        content, reasoning, request = "".join(state.content), "".join(state.reasoning), self._request
        stop = first_marker(content, request.stops)
        if stop is not None:
            self._say("stop_string", f"the content holds {short(stop)}")
        if request.raw:
            return
        markers = (*CALL_MARKERS, *HARMONY_MARKERS) if request.tools and request.may_call else HARMONY_MARKERS
        marker = first_marker(content, markers)
        if marker is not None:
            self._say("call_markup", f"the content holds {marker}")
        thought = left_tag(content) if reasoning else None
        if thought is not None:
            self._say("thought_markup", f"the content holds {thought}")
        elif left_opening(reasoning) > 0:
            self._say("thought_markup", f"the reasoning begins with {short(reasoning.lstrip()[:12])}")

    def _judge_end(self) -> None:
        for state in self._choices.values():
            if state.finish is None:
                self._judge_calls(state, cut=True)
        super()._judge_end()

    def _unfinished(self) -> str | None:
        for index in range(self._request.n or max(len(self._choices), 1)):
            state = self._choices.get(index)
            if state is None or state.finish is None:
                return f"choice {index}"
        return None

    # log probabilities

    def _judge_logprobs(self, logprobs: dict[str, Any]) -> None:
        for key in LOGPROB_LISTS:
            values = logprobs.get(key)
            if values is None:
                continue
            if type(values) is not list or not all(_is_logprob(value) for value in values):
                self._say("logprobs", f"logprobs.{key} is {short(values)}")
                return
        if not all(key in logprobs for key in LOGPROB_LISTS):
            self._say(
                "logprobs_refusal", f"logprobs has {', '.join(short(key) for key in logprobs) or 'nothing'}"
            )


_ARGUMENT_RULES: Final = {
    JsonState.EMPTY: "arguments_missing",
    JsonState.CUT: "arguments_cut",
    JsonState.EXCESS: "arguments_excess",
    JsonState.VALUE: "arguments_json",
    JsonState.BROKEN: "arguments_json",
}


def _name_of(piece: dict[str, Any]) -> str:
    """Return the name in a piece of a call, "" if it has none."""
    name = member(piece, "function", "name")
    return name if isinstance(name, str) else ""


def _says_something(choice: dict[str, Any], chunk: dict[str, Any]) -> bool:
    """Return whether a choice with an empty delta has its reason: something beside the delta."""
    return (
        bool(member(choice, "logprobs", "content"))
        or bool(choice.get("token_ids"))
        or is_given(chunk.get("usage"))
    )


def _is_object_of(value: object, members: dict[str, type[str | int]]) -> bool:
    """Return whether a value is an object whose members, where they are there, have their types."""
    return isinstance(value, dict) and all(
        value.get(key) is None or type(value[key]) is type_ for key, type_ in members.items()
    )


def _is_logprob(value: object) -> bool:
    others = member(value, "top_logprobs")
    return _is_token(value) and type(others) is list and all(_is_token(other) for other in others)


def _is_token(value: object) -> bool:
    """Return whether a value is a token with its log probability."""
    text = member(value, "bytes")
    if not isinstance(member(value, "token"), str) or not is_number(member(value, "logprob")):
        return False
    return not is_given(text) or (type(text) is list and all(type(byte) is int for byte in text))
