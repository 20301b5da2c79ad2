"""The requests whose streams are compared: every kind of answer, and every option that changes how vLLM streams one.

`name` is `group/what`; the tables have one row for each group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.labs.live.dialogues import BY_NAME, harmony_answer, qwen_answer

if TYPE_CHECKING:
    from tests.labs.live.server import Way

Json = dict[str, Any]

GROUPS: dict[str, str] = {
    "texts": "text, reasoning, both, neither; multi-byte characters, SSE inside the text",
    "calls": "tool calls: one, two, with text around them, empty, nested, broken",
    "forced": "`tool_choice`: required, named, allowed, none",
    "limits": "`max_output_tokens` in every place: reasoning, text, arguments",
    "formats": "JSON schema and JSON object, with and without tools",
    "options": "logprobs, stop words, reasoning effort, `include`, metadata and the like",
    "hosted": "harmony's built-in tools, and calls that name no known tool",
    "sampled": "temperatures from 0.7 to 2, many of them malformed",
    "refused": "requests that vLLM refuses: the answer is compared byte for byte",
}

TOOLS: list[Json] = [
    {
        "type": "function",
        "name": name,
        "description": description,
        "parameters": {"type": "object", "properties": properties, "required": list(properties)},
    }
    for name, description, properties in (
        ("get_weather", "Tells the weather.", {"city": {"type": "string"}}),
        ("get_time", "Tells the time.", {}),
        (
            "send_note",
            "Sends a note.",
            {
                "text": {"type": "string"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "meta": {"type": "object"},
            },
        ),
    )
]
SCHEMA: Json = {
    "type": "object",
    "properties": {
        "answer": {"type": "integer"},
        "ok": {"type": "boolean"},
        "items": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["answer", "ok", "items"],
    "additionalProperties": False,
}
MOST_TOKENS = 400
"""Of an answer that ends by itself; a safeguard."""
LONG_TOKENS = 20000
"""Of an answer that is meant to be there still when something happens to it."""
LOGPROBS: Json = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}


@dataclass(frozen=True)
class Request:
    """One request of POST /v1/responses, streamed."""

    name: str
    body: Json

    @property
    def group(self) -> str:
        return self.name.partition("/")[0]


def asked(name: str, **options: Any) -> Json:
    """Return the body that asks for a dialogue's answer; ``tools`` is true for the tools of this suite."""
    if options.get("tools") is True:
        options["tools"] = TOOLS
    user = BY_NAME[name].user
    return {
        "model": "tiny",
        "input": user,
        "stream": True,
        "temperature": 0,
        "max_output_tokens": MOST_TOKENS,
        **options,
    }


def long_answer(**options: Any) -> Json:
    """Return the body of an answer that goes on for long after its end."""
    return asked("count", ignore_eos=True, **{"max_output_tokens": LONG_TOKENS, **options})


def tool_outputs(calls: list[Json], output: str = "21 degrees") -> list[Json]:
    """Return the outputs that answer these calls."""
    return [{"type": "function_call_output", "call_id": call["call_id"], "output": output} for call in calls]


def schema_format(schema: Json) -> Json:
    """Return the `text` that asks for JSON of this schema."""
    return {"format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}}


def requests(way: Way) -> list[Request]:
    """Return every request that is made of a server that went this way."""
    answer = harmony_answer if way.is_harmony else qwen_answer
    known = {name for name, dialogue in BY_NAME.items() if not way.model or answer(dialogue) is not None}
    made: dict[str, Json] = {}

    def ask(group: str, name: str, dialogue: str = "", **options: Any) -> None:
        dialogue = dialogue or name
        if dialogue in known:
            made[f"{group}/{name}"] = asked(dialogue, **options)

    _texts_and_calls(ask)
    _forced(ask)
    _limits(ask)
    _formats(ask)
    _options(ask)
    if way.is_harmony:
        _hosted(ask)
    _sampled(ask)
    _refused(ask)
    return [Request(name, body) for name, body in made.items()]


def _texts_and_calls(ask: Any) -> None:
    for name in (
        "math", "hello", "emoji", "count", "steps", "only-thought", "empty-thought", "two-thoughts", "nothing", "spaces",
        "events",
    ):  # fmt: skip
        ask("texts", name)
    ask("texts", "open-thought", max_output_tokens=60)
    ask("texts", "long", "count", ignore_eos=True, max_output_tokens=1200)
    for name in (
        "weather", "two-calls", "preamble", "call-text", "talk-call-talk", "time", "note", "open-call", "invalid-call",
        "unknown-call", "no-call", "header-call", "shell", "shell-preamble",
    ):  # fmt: skip
        ask("calls", name, tools=True)
    ask("calls", "one-at-a-time", "two-calls", tools=True, parallel_tool_calls=False)
    ask("calls", "at-most-one", "two-calls", tools=True, max_tool_calls=1)
    history = [
        {"role": "user", "content": BY_NAME["weather"].user},
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "get_weather",
            "arguments": '{"city": "Paris"}',
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "21 degrees"},
    ]
    ask("calls", "after-the-output", "weather", input=history, tools=True)


def _forced(ask: Any) -> None:
    for name, function in (
        ("weather", "get_weather"),
        ("two-calls", "get_weather"),
        ("note", "send_note"),
        ("time", "get_time"),
    ):
        ask("forced", f"required-{name}", name, tools=True, tool_choice="required")
        ask("forced", f"named-{name}", name, tools=True, tool_choice={"type": "function", "name": function})
    allowed = {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "get_weather"}],
    }
    ask("forced", "allowed", "weather", tools=True, tool_choice=allowed)
    ask("forced", "none", "weather", tools=True, tool_choice="none")
    ask(
        "forced",
        "required-one-at-a-time",
        "two-calls",
        tools=True,
        tool_choice="required",
        parallel_tool_calls=False,
    )
    ask(
        "forced", "required-without-reason", "hello", tools=True, tool_choice="required", max_output_tokens=60
    )
    ask("forced", "required-cut", "weather", tools=True, tool_choice="required", max_output_tokens=14)
    named = {"type": "function", "name": "send_note"}
    ask("forced", "named-cut", "note", tools=True, tool_choice=named, max_output_tokens=25)


def _limits(ask: Any) -> None:
    for tokens in (1, 2, 3, 5, 8, 12, 16, 20, 25, 30, 35, 40):
        ask("limits", f"math-{tokens}", "math", max_output_tokens=tokens)
        ask("limits", f"weather-{tokens}", "weather", tools=True, max_output_tokens=tokens)
        ask("limits", f"two-calls-{tokens}", "two-calls", tools=True, max_output_tokens=tokens)
        ask("limits", f"talk-{tokens}", "talk-call-talk", tools=True, max_output_tokens=tokens)
        ask("limits", f"preamble-{tokens}", "preamble", tools=True, max_output_tokens=tokens)
    for tokens in (4, 10, 18, 28, 40, 60):
        ask("limits", f"note-{tokens}", "note", tools=True, max_output_tokens=tokens)


def _formats(ask: Any) -> None:
    ask("formats", "schema", "json", text=schema_format(SCHEMA))
    ask("formats", "schema-tools", "json", text=schema_format(SCHEMA), tools=True)
    ask("formats", "schema-logprobs", "json", text=schema_format(SCHEMA), **LOGPROBS)
    ask("formats", "schema-cut", "json", text=schema_format(SCHEMA), max_output_tokens=20)
    ask("formats", "schema-unreadable", "json", text=schema_format({"type": "nonsense"}))
    ask("formats", "object", "json", text={"format": {"type": "json_object"}})


def _options(ask: Any) -> None:
    ask("options", "logprobs", "hello", **LOGPROBS)
    ask("options", "logprobs-reasoning", "math", **LOGPROBS)
    ask("options", "logprobs-calls", "weather", tools=True, **LOGPROBS)
    ask("options", "instructions", "math", instructions="You are a helpful assistant.")
    ask("options", "stop", "steps", stop=["Third"])
    ask("options", "stop-first", "hello", stop=["Hello"])
    ask("options", "stop-in-call", "weather", tools=True, stop=["Par"])
    ask("options", "stop-in-thought", "math", stop=["plus"])
    for effort in ("low", "high", "none"):
        ask("options", f"effort-{effort}", "math", reasoning={"effort": effort})
    ask("options", "no-thinking", "math", chat_template_kwargs={"enable_thinking": False})
    ask("options", "no-thinking-call", "weather", tools=True, chat_template_kwargs={"enable_thinking": False})
    ask("options", "not-stored", "hello", store=False)
    ask(
        "options",
        "labels",
        "hello",
        metadata={"a": "b"},
        user="u",
        truncation="auto",
        service_tier="auto",
        prompt_cache_key="k",
    )
    ask(
        "options",
        "parts",
        "hello",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "Say hello."}]}],
    )
    turns = [
        {"role": "user", "content": "What is 2+2?"},
        {"role": "assistant", "content": "4."},
        {"role": "user", "content": "Say hello."},
    ]
    ask("options", "turns", "hello", input=turns)
    ask("options", "messages", "math", enable_response_messages=True)
    ask("options", "messages-call", "weather", tools=True, enable_response_messages=True)


def _hosted(ask: Any) -> None:
    for name in ("python", "browser", "server-tool", "bad-channels"):
        ask("hosted", name, tools=True)
        for tokens in (8, 12, 16, 20):
            ask("hosted", f"{name}-{tokens}", name, tools=True, max_output_tokens=tokens)
    ask(
        "hosted",
        "code-interpreter",
        "python",
        tools=[{"type": "code_interpreter", "container": {"type": "auto"}}],
    )
    ask("hosted", "web-search", "browser", tools=[{"type": "web_search_preview"}])


def _sampled(ask: Any) -> None:
    for temperature in (0.7, 1.0, 1.4, 2.0):
        for seed in (1, 2, 3):
            chance = {"temperature": temperature, "seed": seed, "max_output_tokens": 150}
            name = f"{temperature}-{seed}"
            ask("sampled", f"call-{name}", "weather", tools=True, **chance)
            ask("sampled", f"talk-{name}", "talk-call-talk", tools=True, **chance)
            ask("sampled", f"preamble-{name}", "preamble", tools=True, **chance)
            ask("sampled", f"thoughts-{name}", "two-thoughts", **chance)
            ask("sampled", f"required-{name}", "two-calls", tools=True, tool_choice="required", **chance)


def _refused(ask: Any) -> None:
    ask("refused", "temperature", "hello", temperature=-1)
    ask("refused", "model", "hello", model="no-such-model")
    ask("refused", "previous", "hello", previous_response_id="resp_nope")
    ask(
        "refused",
        "tool",
        "hello",
        tools=[{"type": "mcp", "server_label": "fs", "server_url": "http://127.0.0.1:9/"}],
    )
    ask("refused", "too-long", "hello", input="hello " * 40000)
    ask("refused", "input", "hello", input=None)
