"""Streams of chat completions, completions and messages: the requests, and what is wrong with their answers.

The Responses API has more to compare (resumed and background streams); its requests stand in `streams`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.labs.live.dialogues import BY_NAME, harmony_answer, qwen_answer
from tests.labs.live.endpoints import ANTHROPIC_TOOLS, FUNCTIONS
from tests.labs.live.judge import Compared, compare_refusals
from tests.labs.live.streams import MOST_TOKENS, SCHEMA
from tests.labs.live.wire import Answer, End
from tests.support.replay import bodies, holds
from vllm_sse_proxy.families.chat import conformance as chat
from vllm_sse_proxy.families.completions import conformance as completions
from vllm_sse_proxy.families.messages import conformance as messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from tests.labs.live.server import Way
    from tests.labs.live.setup import Setup

Json = dict[str, Any]

ROWS: dict[str, str] = {
    "chat": "chat completions: texts, calls, forced calls, limits, `n`, logprobs, stop strings, formats, second turns",
    "completions": "completions: one prompt and several, `n`, logprobs, stop strings, limits",
    "messages": "Anthropic messages: texts, thinking, calls, forced calls, limits, stop sequences, second turns",
}
PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions", "messages": "/v1/messages"}
JUDGES = {"chat": chat, "completions": completions, "messages": messages}
WARM_UP_SECONDS = 120
"""For the first log probabilities vLLM compiles: half a minute on a busy machine, more than a scenario waits."""
TEXTS = ("math", "hello", "emoji", "steps", "only-thought", "two-thoughts", "nothing", "events", "json")
CALLS = (
    "weather", "two-calls", "preamble", "call-text", "talk-call-talk", "time", "note", "open-call", "invalid-call",
    "unknown-call", "no-call",
)  # fmt: skip
FORCED = (("weather", "get_weather"), ("note", "send_note"), ("time", "get_time"))


@dataclass(frozen=True)
class FamilyRequest:
    """One streamed request; ``name`` is `family/what`."""

    name: str
    body: Json

    @property
    def family(self) -> str:
        return self.name.partition("/")[0]


def requests(way: Way) -> list[FamilyRequest]:
    """Return every request that is made of a server that went this way."""
    answer = harmony_answer if way.is_harmony else qwen_answer
    known = {name for name, dialogue in BY_NAME.items() if not way.model or answer(dialogue) is not None}
    made: dict[str, Json] = {}
    for name, dialogue, body in (*_chat(), *_completions(), *_messages()):
        if dialogue in known:
            made[name] = {
                "model": "tiny",
                "stream": True,
                "temperature": 0,
                "max_tokens": MOST_TOKENS,
                **body,
            }
    return [FamilyRequest(name, body) for name, body in made.items()]


def _asked(dialogue: str) -> list[Json]:
    return [{"role": "user", "content": BY_NAME[dialogue].user}]


def _ask(family: str, name: str, dialogue: str = "", **options: Any) -> tuple[str, str, Json]:
    """Return the name of a request, the dialogue that it begins, and its body."""
    dialogue = dialogue or name
    return f"{family}/{name}", dialogue, {"messages": _asked(dialogue), **options}


def _chat() -> Iterator[tuple[str, str, Json]]:
    ask = partial(_ask, "chat")
    tools: Json = {"tools": FUNCTIONS}
    for name in TEXTS:
        yield ask(name)
    for name in CALLS:
        yield ask(name, **tools)
    for name, function in FORCED:
        yield ask(f"required-{name}", name, **tools, tool_choice="required")
        named = {"type": "function", "function": {"name": function}}
        yield ask(f"named-{name}", name, **tools, tool_choice=named)
    yield ask("none", "weather", **tools, tool_choice="none")
    for tokens in (1, 5, 12, 20, 30):
        yield ask(f"math-{tokens}", "math", max_tokens=tokens)
        yield ask(f"weather-{tokens}", "weather", **tools, max_tokens=tokens)
        yield ask(f"note-{tokens}", "note", **tools, max_tokens=tokens)
    usage = {"stream_options": {"include_usage": True, "continuous_usage_stats": True}}
    yield ask("usage", "math", **usage)
    yield ask("usage-calls", "two-calls", **tools, **usage)
    chance = {"n": 2, "temperature": 0.3, "seed": 1}  # greedy sampling has one choice
    yield ask("two-choices", "math", **chance)
    yield ask("two-choices-calls", "two-calls", **tools, **chance)
    yield ask("logprobs", "hello", logprobs=True, top_logprobs=2)
    yield ask("logprobs-reasoning", "math", logprobs=True, top_logprobs=2)
    yield ask("logprobs-calls", "weather", **tools, logprobs=True)
    yield ask("token-ids", "math", return_token_ids=True)
    yield ask("stop", "steps", stop=["Third"])
    yield ask("stop-in-call", "weather", **tools, stop=["Par"])
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    yield ask("schema", "json", response_format=schema)
    yield ask("object", "json", response_format={"type": "json_object"})
    yield ask("refused", "hello", temperature=-1)
    calls = [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
        }
    ]
    second = [
        {
            "role": "assistant",
            "content": None,
            "reasoning": "I should call the weather tool.",
            "tool_calls": calls,
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"},
    ]
    yield ask("second-turn", "weather", **tools, messages=[*_asked("weather"), *second])


def _completions() -> Iterator[tuple[str, str, Json]]:
    for name, options in (
        ("one", {"prompt": "What is"}),
        ("several", {"prompt": ["What is", "Say"], "max_tokens": 10}),
        ("two-choices", {"prompt": "What is", "n": 2, "temperature": 0.3, "seed": 1, "max_tokens": 10}),
        ("logprobs", {"prompt": "What is", "logprobs": 2, "max_tokens": 10}),
        ("echo", {"prompt": "What is", "echo": True, "max_tokens": 10}),
        ("usage", {"prompt": "What is", "stream_options": {"include_usage": True}}),
        ("stop", {"prompt": "What is", "stop": ["is"], "max_tokens": 30}),
        ("one-token", {"prompt": "What is", "max_tokens": 1}),
    ):
        yield f"completions/{name}", "hello", {"max_tokens": 40, **options}


def _messages() -> Iterator[tuple[str, str, Json]]:
    ask = partial(_ask, "messages")
    tools: Json = {"tools": ANTHROPIC_TOOLS}
    for name in TEXTS:
        yield ask(name)
    for name in CALLS:
        yield ask(name, **tools)
    for name, function in FORCED:
        yield ask(f"any-{name}", name, **tools, tool_choice={"type": "any"})
        yield ask(f"named-{name}", name, **tools, tool_choice={"type": "tool", "name": function})
    yield ask("none", "weather", **tools, tool_choice={"type": "none"})
    for tokens in (1, 5, 12, 20, 30):
        yield ask(f"math-{tokens}", "math", max_tokens=tokens)
        yield ask(f"weather-{tokens}", "weather", **tools, max_tokens=tokens)
        yield ask(f"note-{tokens}", "note", **tools, max_tokens=tokens)
    yield ask("stop", "steps", stop_sequences=["Third"])
    yield ask("stop-in-call", "weather", **tools, stop_sequences=["Par"])
    yield ask("thinking", "math", thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000)
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    yield ask("system", "math", system=system, metadata={"user_id": "u"})
    yield ask("refused", "hello", max_tokens=-1)
    second = [
        {
            "role": "assistant",
            "content": [
                {
                    "type": "thinking",
                    "thinking": "I should call the weather tool.",
                    "signature": "vllm-sse-proxy:0",
                },
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "21 degrees"}],
                }
            ],
        },
    ]
    yield ask("second-turn", "weather", **tools, messages=[*_asked("weather"), *second])


def chosen(made: Sequence[FamilyRequest], without: Sequence[str]) -> list[FamilyRequest]:
    """Return the requests whose names have none of some words."""
    return [one for one in made if not any(word in one.name for word in without)]


async def streams(setup: Setup, without: Sequence[str] = ()) -> AsyncIterator[tuple[str, Compared]]:
    """Yield every request's streams, with their family.

    :param without: words in the names of requests that are left out.
    """
    asked = chosen(requests(setup.way), without)
    for request in asked:
        if request.name == "chat/logprobs":
            await setup.ask(
                "POST", PATHS["chat"], request.body, proxied=False, silence_seconds=WARM_UP_SECONDS
            )
    for request in asked:
        direct, upstream, emitted = await setup.both(request.body, path=PATHS[request.family])
        if direct.is_stream or emitted.is_stream:
            yield request.family, compare(request, direct, upstream, emitted)
        else:
            yield request.family, compare_refusals(request.name, direct, emitted)


def compare(request: FamilyRequest, direct: Answer, upstream: Answer, emitted: Answer) -> Compared:
    """Judge a stream without the proxy, and one through it.

    :param upstream: what the proxy got for ``emitted``. No word of it may be lost.
    """
    after = faults(request, emitted)
    if emitted.is_stream:
        words = words_of(emitted.body)
        after += [
            f"lost {kind}: {text[-60:]!r}"
            for kind, text in words_of(upstream.body).items()
            if kind
            and not holds(words.get(kind, ""), text)
            and not holds(words[""], text)  # another kind than upstream's, perhaps
        ]
    return Compared(request.name, faults(request, direct), after)


def faults(request: FamilyRequest, answer: Answer) -> list[str]:
    """Return what the family's judge finds wrong with a stream, and how it ended if not whole.

    What the tiny models have learned to write wrongly is not the stream's fault: rules about the content are left out.
    """
    if not answer.is_stream:
        return [f"HTTP {answer.status} {answer.value('Content-Type')} ({answer.end})"]
    ended = [] if answer.end is End.WHOLE else [f"the body ends {answer.end}"]
    judge = JUDGES[request.family]
    found = judge.check_stream(answer.body, request=request.body)
    return [*ended, *(str(one) for one in found if one.rule not in judge.CONTENT)]


def words_of(stream: bytes) -> dict[str, str]:
    """Return the words of a stream, by choice and kind; and under the empty string all of them, as they came."""
    emitted: dict[str, str] = {"": ""}

    def add(kind: str, piece: Any) -> None:
        if isinstance(piece, str):
            emitted[kind] = emitted.get(kind, "") + piece
            emitted[""] += piece

    for body in bodies(stream):
        delta = body.get("delta")
        if isinstance(delta, dict):
            for member in ("text", "thinking", "partial_json"):
                add(member, delta.get(member))
        for choice in body.get("choices") or ():
            index = choice.get("index")
            add(f"text {index}", choice.get("text"))
            said = choice.get("delta") or {}
            add(f"content {index}", said.get("content"))
            add(f"reasoning {index}", said.get("reasoning_content") or said.get("reasoning"))
            for piece in said.get("tool_calls") or ():
                add(f"arguments {index}", (piece.get("function") or {}).get("arguments"))
    return emitted
