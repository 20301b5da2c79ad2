"""Streams of chunks take time in proportion to their length, whatever they are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.properties.growth import growth
from tests.support.chunk_streams import REQUEST, ROLE, compact, wire
from tests.support.compiled import python_core
from vllm_sse_proxy.families import COMPLETIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

pytestmark = [python_core, pytest.mark.long]

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
    "a marker and space": lambda n: (
        ROLE + '\n{"content":"<tool_call>"}\n' + texts(" " * 8)(n).partition("\n")[2]
    ),
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
        f"{i}: {HEAD % (0, i, '{')}\n1: {MORE % (0, compact('a'))}" for i in range(1, n)
    ),
    "keys of choices": lambda n: "\n".join(f"{i}: {HEAD % (0, i, chr(92) + chr(34))}" for i in range(1, n)),
    "reasoning of choices": lambda n: "\n".join(f'{i}: {{"reasoning":"<"}}' for i in range(1, n)),
    "nameless calls": lambda n: "\n".join([ROLE, *(MORE % (i, '"x"') for i in range(n))]),
    "usage": lambda n: "\n".join([ROLE, *('! {"choices":[],"usage":{}}' for _ in range(n))]),
    "finishes": lambda n: "\n".join([ROLE, *("{} -> stop" for _ in range(n))]),
}


COUNTS: Final = (72, 81, 90)
"""Elements of the three streams that are compared: as often each of the texts that take turns."""
TOLERANCE: Final = 0.01
"""What the second difference of the steps may be, as a share of the first: tables that grow, and numbers that get wider."""


def normalizers(core: SimpleNamespace, family: str) -> Callable[[], Any]:
    def make() -> Any:
        made = getattr(core, family)
        context = made.context("", REQUEST if family == "CHAT" else None)
        return core.StreamNormalizer(core.Plan.of(made, strict=True), context)

    return make


@pytest.mark.parametrize("shape", SHAPES)
def test_linear(metered_core: SimpleNamespace, shape: str) -> None:
    """Doubling any repeated element of a stream at most doubles the steps."""
    assert (
        growth(
            metered_core,
            normalizers(metered_core, "CHAT"),
            lambda n: wire(SHAPES[shape](n)),
            "frames",
            COUNTS,
        )
        <= TOLERANCE
    )


@pytest.mark.parametrize("place", ["content", "arguments"])
@pytest.mark.parametrize(
    "text", ["<", "<tool_call>", '"', "{", "[TOOL_CALLS]", "</think>\n", " ", "<|start|>"]
)
def test_one_long_text(metered_core: SimpleNamespace, text: str, place: str) -> None:
    def shape(number: int) -> bytes:
        long = compact(text * number)
        line = f'{{"content":{long}}}' if place == "content" else MORE % (0, long)
        return wire(f'{ROLE}\n{{"reasoning":"r"}}\n{line}\n{line}')

    assert growth(metered_core, normalizers(metered_core, "CHAT"), shape, "frames", COUNTS) <= TOLERANCE


def test_completions_too(metered_core: SimpleNamespace) -> None:
    def shape(number: int) -> bytes:
        return wire("\n".join(f'{i}: "a"' for i in range(1, number)), COMPLETIONS)

    assert (
        growth(metered_core, normalizers(metered_core, "COMPLETIONS"), shape, "frames", COUNTS) <= TOLERANCE
    )
