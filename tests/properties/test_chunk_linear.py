"""Streams of chunks take time in proportion to their length, whatever they are made of."""

from __future__ import annotations

from time import process_time
from typing import TYPE_CHECKING

import pytest

from tests.support.chunk_streams import REQUEST, ROLE, compact, wire
from vllm_sse_proxy import BodyEnd, Plan, StreamNormalizer
from vllm_sse_proxy.families import CHAT, COMPLETIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from vllm_sse_proxy.families.chunks import ChunkFamily

HEAD = '{"tool_calls":[{"index":%d,"id":"i%d","type":"function","function":{"name":"get_weather","arguments":"%s"}}]}'
MORE = '{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]}'


def texts(*each: str) -> Callable[[int], str]:
    return lambda n: "\n".join([ROLE, *(compact({"content": each[i % len(each)]}) for i in range(n))])


def arguments(*each: str) -> Callable[[int], str]:
    return lambda n: "\n".join(
        [ROLE, HEAD % (0, 0, ""), *(MORE % (0, compact(each[i % len(each)])) for i in range(n))]
    )


SHAPES: dict[str, Callable[[int], str]] = {
    "tags": texts("<", "<thi", "</think"),
    "tags after reasoning": lambda n: '{"reasoning":"r"}\n' + texts("<", "<thi", "\n</thin")(n),
    "markers": texts("<tool_call>"),
    "a marker and space": lambda n: ROLE + '\n{"content":"<tool_call>"}\n' + texts(" ")(n).partition("\n")[2],
    "a call that never ends": lambda n: (
        ROLE + '\n{"content":"<tool_call>{\\"name\\":\\"get_weather\\""}\n' + texts("x")(n).partition("\n")[2]
    ),
    "headers": texts("<|start|>"),
    "open lists": arguments("["),
    "nested objects": arguments('{"a":'),
    "empty objects": lambda n: (
        ROLE + "\n" + HEAD % (0, 0, '{\\"a\\":[') + "\n" + "\n".join(MORE % (0, '"{},"') for _ in range(n))
    ),
    "digits": arguments("1"),
    "a key and space": lambda n: (
        ROLE + "\n" + HEAD % (0, 0, '\\"a\\"') + "\n" + "\n".join(MORE % (0, '" "') for _ in range(n))
    ),
    "behind the end": lambda n: (
        ROLE + "\n" + HEAD % (0, 0, "{}") + "\n" + "\n".join(MORE % (0, '"{}"') for _ in range(n))
    ),
    "calls": lambda n: "\n".join([ROLE, *(HEAD % (i, i, "{}") for i in range(n))]),
    "cut calls": lambda n: "\n".join([ROLE, *(HEAD % (i, i, "{") for i in range(n))]),
    "choices": lambda n: "\n".join(f"{i}: {ROLE}" for i in range(1, n)),
    "calls of choices": lambda n: "\n".join(
        f"{i}: {HEAD % (0, i, '{')}\n1: {MORE % (0, compact('a'))}" for i in range(1, n // 2)
    ),
    "keys of choices": lambda n: "\n".join(f"{i}: {HEAD % (0, i, chr(92) + chr(34))}" for i in range(1, n)),
    "reasoning of choices": lambda n: "\n".join(f'{i}: {{"reasoning":"<"}}' for i in range(1, n)),
    "nameless calls": lambda n: "\n".join([ROLE, *(MORE % (i, '"x"') for i in range(n))]),
    "usage": lambda n: "\n".join([ROLE, *('! {"choices":[],"usage":{}}' for _ in range(n))]),
    "finishes": lambda n: "\n".join([ROLE, *("{} -> stop" for _ in range(n))]),
}


def seconds(family: ChunkFamily, stream: bytes) -> float:
    frames = [frame + b"\n\n" for frame in stream.split(b"\n\n")[:-1]]
    best = 9e9
    for _ in range(3):
        normalizer = StreamNormalizer(
            Plan.of(family, strict=True), family.context("", REQUEST if family is CHAT else None)
        )
        began = process_time()
        for frame in frames:
            normalizer.feed(frame)
        normalizer.finish(BodyEnd.EOF)
        best = min(best, process_time() - began)
    return best


@pytest.mark.parametrize("shape", SHAPES)
def test_twice_as_much_takes_twice_as_long(shape: str) -> None:
    """Not four times: with room for a busy machine."""
    small, large = (seconds(CHAT, wire(SHAPES[shape](size))) for size in (1000, 4000))
    assert large < small * 10 + 0.05


@pytest.mark.parametrize("size", [200_000])
@pytest.mark.parametrize(
    "text", ["<", "<tool_call>", '"', "{", "[TOOL_CALLS]", "</think>\n", " ", "<|start|>"]
)
def test_one_long_text_takes_no_longer_than_many(text: str, size: int) -> None:
    for line in (
        compact({"content": text * (size // len(text))}),
        MORE % (0, compact(text * (size // len(text)))),
    ):
        assert seconds(CHAT, wire(f'{ROLE}\n{{"reasoning":"r"}}\n{line}\n{line}')) < 1.0


def test_completions_too() -> None:
    small, large = (
        seconds(COMPLETIONS, wire("\n".join(f'{i}: "a"' for i in range(1, size)), COMPLETIONS))
        for size in (1000, 4000)
    )
    assert large < small * 10 + 0.05
