"""The requests of `probe`: about a dozen for each family, short, and each for something that releases of vLLM got wrong.

Those of clients have the shape of requests that were captured from them, with texts and tools shortened. Nothing here
depends on what a model is good at: where it answers a request for a call with text, there is less to judge, and the report
says what came.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.demo.clients import mapping, object_of
from vllm_sse_proxy.demo.protocols import CHAT, COMPLETIONS, MESSAGES, RESPONSES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vllm_sse_proxy.demo.clients import Answer
    from vllm_sse_proxy.demo.protocols import Protocol

Json = dict[str, Any]

ENOUGH: Final = 512
"""Tokens for an answer that ends by itself, with the reasoning before it; a safeguard."""
FEW: Final = 16
"""Tokens after which an answer is cut: within the reasoning, the text or the first call."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One request.

    :ivar name: what the report calls it, unique within its protocol.
    :ivar members: of the request, without the model and ``stream``.
    :ivar client: the client whose request it has the shape of; None: no one's in particular.
    :ivar after: name of the case whose answer it continues; ``follow`` makes its members of that answer, or None if nothing
        in it can be continued.
    """

    protocol: Protocol
    name: str
    members: Mapping[str, Any] = field(default_factory=dict)
    client: str | None = None
    after: str | None = None
    follow: Callable[[Answer], Mapping[str, Any] | None] | None = None

    def body(self, model: str, members: Mapping[str, Any] | None = None) -> Json:
        """Return the whole request."""
        limit = "max_output_tokens" if self.protocol is RESPONSES else "max_tokens"
        asked = self.members if members is None else members
        sampling = {} if self.client is not None else {"temperature": 0}
        return {"model": model, "stream": True, **sampling, limit: ENOUGH, **asked}


_CITY: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_ABOUT: Final = {"name": "get_weather", "description": "Returns the weather in a city."}
_WEATHER: Final = "What is the weather in Paris? Use the tool."
_TWO_CITIES: Final = (
    "What is the weather in Paris, and what in Rome? Call the tool once for each city, at the same time."
)
_THINK: Final = "A train leaves at 9:40 and arrives at 13:05. How long does it take? Think step by step, then answer briefly."
_COUNT: Final = "Count from 1 to 100, in words."
_SIGNS: Final = (
    "Repeat exactly, and say nothing else: \N{GRINNING FACE} Grüße, 世界, naïve café \N{WAVING HAND SIGN}"
)
_SCHEMA: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["city", "population"],
    "additionalProperties": False,
}
_JSON: Final = "Name the capital of France and its population, as JSON."
_HELLO: Final = "Say hello in one short sentence."


# ------------------------------------------------------------------------------------------------------------------- responses

_TOOL: Final = {"type": "function", **_ABOUT, "parameters": _CITY, "strict": False}
_CALLED: Final = [
    {"role": "user", "content": _WEATHER},
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "get_weather",
        "arguments": '{"city":"Paris"}',
    },
    {"type": "function_call_output", "call_id": "call_1", "output": "21 degrees, sunny"},
]
_CODEX_TOOLS: Final = [
    {
        "type": "function",
        "name": "exec_command",
        "description": "Runs a command in a PTY, returning its output.",
        "strict": False,
        "parameters": {
            "type": "object",
            "properties": {"cmd": {"type": "string"}, "workdir": {"type": "string"}},
            "required": ["cmd"],
            "additionalProperties": False,
        },
    },
    {
        "type": "namespace",
        "name": "multi_agent_v1",
        "description": "Tools for spawning and managing sub-agents.",
        "tools": [
            {
                "type": "function",
                "name": "spawn_agent",
                "description": "Spawns a sub-agent.",
                "strict": False,
                "parameters": {
                    "type": "object",
                    "properties": {"message": {"type": "string"}},
                    "required": ["message"],
                    "additionalProperties": False,
                },
            }
        ],
    },
    {"type": "web_search", "external_web_access": True},
]
_CODEX: Final = {
    "tools": _CODEX_TOOLS,
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"summary": "auto"},
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "probe",
    "client_metadata": {"session_id": "probe"},
}


def _codex_message(role: str, text: str, number: int) -> Json:
    part = {"type": "input_text", "text": text}
    return {"type": "message", "id": f"msg_probe_{number}", "role": role, "content": [part]}


def _codex_input(text: str) -> list[Json]:
    return [
        _codex_message("developer", "You are a coding agent. Be brief.", 1),
        _codex_message("user", "<environment_context>\n  <cwd>/srv/project</cwd>\n</environment_context>", 2),
        _codex_message("user", text, 3),
    ]


_CODEX_RESULT: Final = [
    {
        "type": "reasoning",
        "id": "rs_probe",
        "summary": [{"type": "summary_text", "text": "I list the files."}],
        "content": None,
        "encrypted_content": "gAAAAABprobe",
    },
    {
        "type": "function_call",
        "status": "completed",
        "id": "fc_probe",
        "name": "exec_command",
        "arguments": '{"cmd": "ls"}',
        "call_id": "call_probe",
    },
    {"type": "function_call_output", "id": "fco_probe", "call_id": "call_probe", "output": "README.md\n"},
]
_NAMED_ITEMS: Final = frozenset({"message", "reasoning"})
_AI_SDK_TURN: Final = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "input_text", "text": _HELLO}]},
]


def _ai_sdk_next_turn(answer: Answer) -> Mapping[str, Any] | None:
    """Name the items of the first turn instead of repeating them, as the AI SDK does with those that it was sent."""
    items = [mapping(object_of(payload).get("item")) for payload in answer.payloads()]
    ids = [
        item["id"] for item in items if item.get("type") in _NAMED_ITEMS and isinstance(item.get("id"), str)
    ]
    if not ids:
        return None
    references = [{"type": "item_reference", "id": id_} for id_ in dict.fromkeys(ids)]
    again = {"role": "user", "content": [{"type": "input_text", "text": "And in French?"}]}
    return {"input": [*_AI_SDK_TURN, *references, again]}


RESPONSES_CASES: Final = (
    Case(RESPONSES, "text", {"input": _HELLO}),
    Case(RESPONSES, "signs of many bytes", {"input": _SIGNS}),
    Case(RESPONSES, "reasoning", {"input": _THINK, "reasoning": {"effort": "low", "summary": "auto"}}),
    Case(RESPONSES, "tool call", {"input": _WEATHER, "tools": [_TOOL]}),
    Case(RESPONSES, "two calls", {"input": _TWO_CITIES, "tools": [_TOOL], "parallel_tool_calls": True}),
    Case(RESPONSES, "call required", {"input": _WEATHER, "tools": [_TOOL], "tool_choice": "required"}),
    Case(
        RESPONSES,
        "call named",
        {"input": _WEATHER, "tools": [_TOOL], "tool_choice": {"type": "function", "name": "get_weather"}},
    ),
    Case(RESPONSES, "after a call", {"input": _CALLED, "tools": [_TOOL]}),
    Case(RESPONSES, "cut by a limit", {"input": _COUNT, "max_output_tokens": FEW}),
    Case(
        RESPONSES,
        "call cut by a limit",
        {"input": _WEATHER, "tools": [_TOOL], "tool_choice": "required", "max_output_tokens": FEW},
    ),
    Case(
        RESPONSES,
        "JSON schema",
        {
            "input": _JSON,
            "text": {"format": {"type": "json_schema", "name": "city", "schema": _SCHEMA, "strict": True}},
        },
    ),
    Case(
        RESPONSES,
        "logprobs",
        {"input": _HELLO, "include": ["message.output_text.logprobs"], "top_logprobs": 2},
    ),
    Case(RESPONSES, "Codex: first turn", {**_CODEX, "input": _codex_input("Say hello.")}, client="Codex"),
    Case(
        RESPONSES,
        "Codex: after a command",
        {**_CODEX, "input": [*_codex_input("List the files."), *_CODEX_RESULT]},
        client="Codex",
    ),
    Case(RESPONSES, "AI SDK: first turn", {"input": _AI_SDK_TURN}, client="AI SDK"),
    Case(
        RESPONSES,
        "AI SDK: next turn",
        client="AI SDK",
        after="AI SDK: first turn",
        follow=_ai_sdk_next_turn,
    ),
)


# ------------------------------------------------------------------------------------------------------------------------ chat

_CHAT_TOOL: Final = {"type": "function", "function": {**_ABOUT, "parameters": _CITY}}
_NAMED: Final = {"type": "function", "function": {"name": "get_weather"}}
_USAGE: Final = {"stream_options": {"include_usage": True}}


def _said(text: str, *others: Json) -> list[Json]:
    return [{"role": "user", "content": text}, *others]


_CHAT_CALLED: Final = _said(
    _WEATHER,
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees, sunny"},
)
CHAT_CASES: Final = (
    Case(CHAT, "text", {"messages": _said(_HELLO)}),
    Case(CHAT, "signs of many bytes", {"messages": _said(_SIGNS)}),
    Case(CHAT, "reasoning", {"messages": _said(_THINK)}),
    Case(CHAT, "tool call", {"messages": _said(_WEATHER), "tools": [_CHAT_TOOL]}),
    Case(CHAT, "two calls", {"messages": _said(_TWO_CITIES), "tools": [_CHAT_TOOL]}),
    Case(
        CHAT,
        "call required",
        {"messages": _said(_WEATHER), "tools": [_CHAT_TOOL], "tool_choice": "required"},
    ),
    Case(CHAT, "call named", {"messages": _said(_WEATHER), "tools": [_CHAT_TOOL], "tool_choice": _NAMED}),
    Case(CHAT, "after a call", {"messages": _CHAT_CALLED, "tools": [_CHAT_TOOL]}),
    Case(CHAT, "cut by a limit", {"messages": _said(_COUNT), "max_tokens": FEW}),
    Case(
        CHAT,
        "call cut by a limit",
        {
            "messages": _said(_WEATHER),
            "tools": [_CHAT_TOOL],
            "tool_choice": "required",
            "max_tokens": FEW,
        },
    ),
    Case(
        CHAT,
        "JSON schema",
        {
            "messages": _said(_JSON),
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "city", "schema": _SCHEMA, "strict": True},
            },
        },
    ),
    Case(
        CHAT, "usage and logprobs", {"messages": _said(_HELLO), "logprobs": True, "top_logprobs": 2, **_USAGE}
    ),
    Case(CHAT, "two choices", {"messages": _said(_HELLO), "n": 2, "temperature": 1}),
    Case(
        CHAT,
        "AI SDK: a step",
        {
            "messages": [{"role": "system", "content": "Be brief."}, *_said(_WEATHER)],
            "tools": [_CHAT_TOOL],
            "tool_choice": "auto",
            **_USAGE,
        },
        client="AI SDK",
    ),
)


# ----------------------------------------------------------------------------------------------------------------- completions

_ONCE: Final = "Once upon a time, in a small town by the sea,"
COMPLETIONS_CASES: Final = (
    Case(COMPLETIONS, "text", {"prompt": _ONCE, "max_tokens": 32}),
    Case(COMPLETIONS, "signs of many bytes", {"prompt": _SIGNS, "max_tokens": 32}),
    Case(COMPLETIONS, "cut by a limit", {"prompt": _ONCE, "max_tokens": 1}),
    Case(COMPLETIONS, "stop word", {"prompt": "1, 2, 3, 4,", "max_tokens": 32, "stop": [" 7"]}),
    Case(COMPLETIONS, "usage", {"prompt": _ONCE, "max_tokens": 8, **_USAGE}),
    Case(COMPLETIONS, "logprobs", {"prompt": _ONCE, "max_tokens": 8, "logprobs": 2}),
    Case(COMPLETIONS, "echo and logprobs", {"prompt": _ONCE, "max_tokens": 8, "echo": True, "logprobs": 1}),
    Case(COMPLETIONS, "two choices", {"prompt": _ONCE, "max_tokens": 8, "n": 2, "temperature": 1}),
    Case(COMPLETIONS, "two prompts", {"prompt": [_ONCE, "The sea is"], "max_tokens": 8}),
    Case(
        COMPLETIONS,
        "two choices and usage",
        {"prompt": _ONCE, "max_tokens": 8, "n": 2, "temperature": 1, **_USAGE},
    ),
)


# -------------------------------------------------------------------------------------------------------------------- messages

_MESSAGES_TOOL: Final = {**_ABOUT, "input_schema": _CITY}
_MESSAGES_CALLED: Final = _said(
    _WEATHER,
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}],
    },
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "21 degrees, sunny"}],
    },
)
_THINKING: Final = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 1536}
MESSAGES_CASES: Final = (
    Case(MESSAGES, "text", {"messages": _said(_HELLO)}),
    Case(MESSAGES, "signs of many bytes", {"messages": _said(_SIGNS)}),
    Case(MESSAGES, "system prompt", {"system": "Be brief.", "messages": _said(_HELLO)}),
    Case(MESSAGES, "thinking", {"messages": _said(_THINK), **_THINKING}),
    Case(MESSAGES, "tool call", {"messages": _said(_WEATHER), "tools": [_MESSAGES_TOOL]}),
    Case(MESSAGES, "two calls", {"messages": _said(_TWO_CITIES), "tools": [_MESSAGES_TOOL]}),
    Case(
        MESSAGES,
        "call required",
        {"messages": _said(_WEATHER), "tools": [_MESSAGES_TOOL], "tool_choice": {"type": "any"}},
    ),
    Case(
        MESSAGES,
        "call named",
        {
            "messages": _said(_WEATHER),
            "tools": [_MESSAGES_TOOL],
            "tool_choice": {"type": "tool", "name": "get_weather"},
        },
    ),
    Case(MESSAGES, "after a call", {"messages": _MESSAGES_CALLED, "tools": [_MESSAGES_TOOL]}),
    Case(MESSAGES, "cut by a limit", {"messages": _said(_COUNT), "max_tokens": FEW}),
    Case(
        MESSAGES,
        "call cut by a limit",
        {
            "messages": _said(_WEATHER),
            "tools": [_MESSAGES_TOOL],
            "tool_choice": {"type": "any"},
            "max_tokens": FEW,
        },
    ),
    Case(
        MESSAGES, "stop sequence", {"messages": _said("Count: one, two, three"), "stop_sequences": ["three"]}
    ),
    Case(
        MESSAGES,
        "Claude Code: a turn",
        {
            "system": [
                {"type": "text", "text": "You are a coding agent.", "cache_control": {"type": "ephemeral"}}
            ],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "<system-reminder>Be brief.</system-reminder>"},
                        {"type": "text", "text": _HELLO, "cache_control": {"type": "ephemeral"}},
                    ],
                }
            ],
            "tools": [_MESSAGES_TOOL],
            "metadata": {"user_id": "probe"},
        },
        client="Claude Code",
    ),
)

FAMILIES: Final = (RESPONSES_CASES, CHAT_CASES, COMPLETIONS_CASES, MESSAGES_CASES)
"""The cases of each family; the first one of each shows whether the server has the family at all."""
