"""Every endpoint of vLLM but the streams that are repaired: the proxy hands on the same status, headers and bytes.

vLLM's own openapi.json says which there are. Each is asked with an empty body, and those that are known here with bodies that
it answers. Two comparisons are made of each answer. It is byte for byte what the proxy got for it. And it is what a request
without the proxy gets, with that masked which differs from answer to answer (ids, times, readings of metrics).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.labs.live.judge import Compared, differences, short
from tests.labs.live.streams import TOOLS
from tests.labs.live.wire import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.labs.live.setup import Setup

Json = dict[str, Any]

NOT_ASKED = re.compile(
    r"/(pause|resume|sleep|wake_up|scale_elastic_ep|abort_requests|start_profile|stop_profile|collective_rpc)$"
)
"""They change or stop the server that the other scenarios need."""
READINGS = re.compile(r"^/(metrics|load|server_info)")
"""Endpoints whose answers hold readings: their numbers are masked."""
METHODS = ("get", "post", "put", "delete", "patch", "head", "options")
SAY_HELLO: list[Json] = [{"role": "user", "content": "Say hello."}]
ADD: list[Json] = [{"role": "user", "content": "What is 2+2?"}]
WEATHER: list[Json] = [{"role": "user", "content": "What is the weather in Paris?"}]
FUNCTIONS: list[Json] = [
    {"type": "function", "function": {key: tool[key] for key in ("name", "description", "parameters")}}
    for tool in TOOLS
]
ANTHROPIC_TOOLS: list[Json] = [
    {"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]}
    for tool in TOOLS
]
_CHAT: Json = {"model": "tiny", "temperature": 0, "max_tokens": 200}
_MESSAGES: Json = {"model": "tiny", "temperature": 0, "max_tokens": 200}
_RESPONSE: Json = {"model": "tiny", "temperature": 0, "max_output_tokens": 200}

BODIES: dict[str, list[Json]] = {
    "/v1/chat/completions": [
        {**_CHAT, "messages": ADD},
        {**_CHAT, "messages": WEATHER, "tools": FUNCTIONS},
        {**_CHAT, "messages": SAY_HELLO, "temperature": -1},
        {**_CHAT, "messages": SAY_HELLO, "model": "no-such-model", "stream": True},
    ],
    "/v1/completions": [
        {**_CHAT, "prompt": "What is", "max_tokens": 20},
        {**_CHAT, "prompt": "What is", "max_tokens": -1},
    ],
    "/v1/messages": [
        {**_MESSAGES, "messages": ADD},
        {**_MESSAGES, "messages": ADD, "max_tokens": -1},
    ],
    "/v1/messages/count_tokens": [{"model": "tiny", "messages": ADD}],
    "/v1/responses": [
        {**_RESPONSE, "input": "Say hello.", "temperature": -1},
        {**_RESPONSE, "input": "Say hello.", "model": "no-such-model"},
    ],
    "/tokenize": [{"model": "tiny", "prompt": "What is 2+2?"}, {"model": "tiny", "messages": ADD}],
    "/detokenize": [{"model": "tiny", "tokens": [10, 11, 12]}],
    "/v1/embeddings": [{"model": "tiny", "input": "What is 2+2?"}],
}  # fmt: skip
"""What known endpoints answer. Streams, and responses that do not stream, are repaired: they are compared elsewhere."""

BESIDE: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/no/such/path?with=a%20query", None),
    ("DELETE", "/v1/models", None),
    ("HEAD", "/health", None),
    ("OPTIONS", "/v1/models", None),
    ("POST", "/v1/chat/completions", b"{no json"),
    ("POST", "/v1/responses", b"{no json"),
    ("GET", "/v1/responses/resp_nope", None),
    ("GET", "/v1/responses/resp_nope?stream=true", None),
    ("POST", "/v1/responses/resp_nope/cancel", {}),
)
"""What is in no openapi.json."""


def questions(openapi: Json) -> Iterator[tuple[str, str, Any]]:
    """Yield method, path and body of everything that is asked of a server with this openapi.json."""
    for path, methods in openapi.get("paths", {}).items():
        if NOT_ASKED.search(path):
            continue
        target = re.sub(r"\{[^}]*\}", "none", path)
        for method in METHODS:
            if method in methods:
                yield method.upper(), target, {} if method in ("post", "put", "patch") else None
        if "post" in methods:
            for body in BODIES.get(path, ()):
                yield "POST", target, body
    yield from BESIDE


def left_out(openapi: Json) -> list[str]:
    """Return the paths that are not asked."""
    return sorted(path for path in openapi.get("paths", {}) if NOT_ASKED.search(path))


def name_of(method: str, path: str, body: Any, position: int) -> str:
    """Return what an exchange is called where it is reported."""
    streamed = ", streamed" if isinstance(body, dict) and body.get("stream") else ""
    return f"{method} {path}{f' {position}' if body else ''}{streamed}"


async def endpoints(setup: Setup) -> list[Compared]:
    """Ask everything twice without the proxy and once through it.

    ``before`` says where the server does not agree with itself: then only the first comparison is left.
    """
    openapi = (await setup.ask("GET", "/openapi.json", proxied=False)).json() or {}
    made = []
    for position, (method, path, body) in enumerate(questions(openapi)):
        setup.behind.forget()
        emitted = await setup.ask(method, path, body, proxied=True)
        crossed = [one for one in setup.behind.crossings if (one.method, one.path) == (method, path)]
        got = crossed[-1].answer if crossed else Answer()
        first, second = [await setup.ask(method, path, body, proxied=False) for _ in range(2)]
        numbers = READINGS.match(path) is not None
        itself = _distinguished(first, second, numbers=numbers)
        found = differences(got, emitted, exactly=True)
        if not itself:
            found += differences(second, emitted, numbers=numbers)
        made.append(Compared(name_of(method, path, body, position), itself, found))
    return made


def _distinguished(first: Answer, second: Answer, *, numbers: bool) -> list[str]:
    if first.is_stream:
        return ["how many tokens an event holds is chance"]
    return [short(line) for line in differences(first, second, numbers=numbers)]
