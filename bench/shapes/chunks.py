"""Streams of chat completions, completions and transcriptions in which one element stands many times."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.shapes.short import in_turn, sent
from tests.support.chunk_streams import ROLE, compact, wire
from vllm_sse_proxy.families import COMPLETIONS

if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD: Final = '{"tool_calls":[{"index":%d,"id":"i%d","type":"function","function":{"name":"get_weather","arguments":"%s"}}]}'
MORE: Final = '{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]}'
_THOUGHT: Final = f'{ROLE}\n{{"reasoning":"r"}}\n'


def _texts(*each: str, begin: str = ROLE + "\n", member: str = "content") -> Callable[[int], str]:
    """Return a shape whose deltas have these texts in turn."""
    return in_turn(lambda text: compact({member: text}), each, begin)


def _content(text: str) -> str:
    return f"{ROLE}\n{compact({'content': text})}\n"


def _arguments(*each: str, begin: str = "") -> Callable[[int], str]:
    """Return a shape of one call whose arguments begin with a text and go on with these in turn."""
    head = f"{ROLE}\n{_HEAD % (0, 0, compact(begin)[1:-1])}\n"
    return in_turn(lambda piece: MORE % (0, compact(piece)), each, head)


_CHAT: Final[dict[str, Callable[[int], str]]] = {
    "tags": _texts("<", "<thi", "</think"),
    "tags after reasoning": _texts("<", "<thi", "\n</thin", begin=_THOUGHT),
    "reasoning of tags": _texts("<think>", begin="", member="reasoning"),
    "thoughts in the text": _texts("a\n<think>\n", "b\n</think>\n", begin=_THOUGHT),
    "a thought in the text that never ends": _texts("x", begin=f'{_THOUGHT}{{"content":"a\\n<think>\\n"}}\n'),
    "line ends of a thought that never ends": _texts(
        "\n</thin", begin=f'{_THOUGHT}{{"content":"a\\n<think>\\n"}}\n'
    ),
    "ticks": _texts("`<", begin=_THOUGHT),
    "markers": _texts("<tool_call>"),
    "a marker and space": _texts(" " * 8, begin=_content("<tool_call>")),
    "a call that never ends": _texts("x", begin=_content('<tool_call>{"name":"get_weather"')),
    "a list that never ends": _texts("[1,", begin=_content('[{"name":"get_weather","arguments":{"a":')),
    "headers": _texts("<|start|>"),
    "brackets": _texts("[TOOL_CALLS]", "["),
    "line ends": _texts("\n\n"),
    "beginnings of stop strings": _texts("</s", "<|im_end|", "aaa"),
    "open lists": _arguments("["),
    "nested objects": _arguments('{"a":'),
    "empty objects": _arguments("{},", begin='{"a":['),
    "digits": _arguments("1"),
    "a key and space": _arguments(" ", begin='"a"'),
    "behind the end": _arguments("{}", begin="{}"),
    "arguments again": _arguments('{"city":"x"', begin='{"city":"x"'),
    "calls": lambda n: "\n".join([ROLE, *(_HEAD % (i, i, "{}") for i in range(n))]),
    "calls with one id": lambda n: "\n".join([ROLE, *(_HEAD % (i, 0, "{}") for i in range(n))]),
    "cut calls": lambda n: "\n".join([ROLE, *(_HEAD % (i, i, "{") for i in range(n))]),
    "calls in turn": lambda n: "\n".join(
        [ROLE, *(_HEAD % (i, i, "{") for i in range(n)), *(MORE % (i, '"}"') for i in range(n))]
    ),
    "keys of calls": lambda n: "\n".join([ROLE, *(_HEAD % (i, i, '\\"a') for i in range(n))]),
    "nameless calls": lambda n: "\n".join([ROLE, *(MORE % (i, '"x"') for i in range(n))]),
    "choices": lambda n: "\n".join(f"{i}: {ROLE}" for i in range(1, n)),
    "calls of choices": lambda n: "\n".join(
        f"{i}: {_HEAD % (0, i, '{')}\n1: {MORE % (0, compact('a'))}" for i in range(1, n)
    ),
    "keys of choices": lambda n: "\n".join(f"{i}: {_HEAD % (0, i, chr(92) + chr(34))}" for i in range(1, n)),
    "reasoning of choices": lambda n: "\n".join(f'{i}: {{"reasoning":"<"}}' for i in range(1, n)),
    "usage": lambda n: "\n".join([ROLE, *('! {"choices":[],"usage":{}}' for _ in range(n))]),
    "empty deltas": lambda n: "\n".join([ROLE, *("{}" for _ in range(n))]),
    "finishes": lambda n: "\n".join([ROLE, *("{} -> stop" for _ in range(n))]),
    "errors": lambda n: "\n".join([ROLE, *('! {"error":{"message":"no"}}' for _ in range(n))]),
    "comments": lambda n: "\n".join([ROLE, *(": c" for _ in range(n))]),
}
CHAT: Final = {name: sent(wire, shape) for name, shape in _CHAT.items()}
_COMPLETIONS: Final[dict[str, Callable[[int], str]]] = {
    "texts": lambda n: "\n".join('"a"' for _ in range(n)),
    "choices": lambda n: "\n".join(f'{i}: "a"' for i in range(1, n)),
    "finishes": lambda n: "\n".join('"" -> stop' for _ in range(n)),
}
COMPLETION: Final = {
    name: sent(partial(wire, family=COMPLETIONS), shape) for name, shape in _COMPLETIONS.items()
}


def _transcript(*choices: object) -> Callable[[int], bytes]:
    """Return a shape of chunks that have these choices in turn."""
    head = {"id": "trsc-1", "object": "transcription.chunk", "created": 5, "model": "whisper"}
    return lambda n: b"".join(
        b"data: %b\n\n" % json.dumps({**head, "choices": [choices[i % len(choices)]]}).encode()
        for i in range(n)
    )


TRANSCRIPTS: Final[dict[str, Callable[[int], bytes]]] = {
    "words": _transcript({"delta": {"content": "a"}}),
    "empty deltas": _transcript({"delta": {}}),
    "finishes": _transcript({"delta": {"content": ""}, "finish_reason": "stop"}),
}
