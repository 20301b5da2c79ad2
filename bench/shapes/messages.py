"""Streams of Anthropic's messages in which one element stands many times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.shapes.short import in_turn, sent
from tests.support.messages import wire

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXT: Final = "start\ntext 0\n"
_THOUGHT: Final = "start\nthink 0\nthink+ 0 One_way.\nsign 0 s\nstop 0\ntext 0\n"
_OPEN_THOUGHT: Final = f"{_THOUGHT}text+ 0 a_<think>~\n"
_CALL: Final = "start\ncall 0 toolu_1 look\n"


def _deltas(*each: str, begin: str = _TEXT, kind: str = "text+") -> Callable[[int], str]:
    """Return a shape whose deltas have these words in turn."""
    return in_turn(lambda words: f"{kind} 0 {words}", each, begin)


def _inputs(*each: str, begin: str = "") -> Callable[[int], str]:
    """Return a shape of one call whose input begins with a text and goes on with these in turn."""
    return _deltas(*each, begin=f"{_CALL}input+ 0 {begin}\n" if begin else _CALL, kind="input+")


def _each(*lines: str, begin: str = "start\n") -> Callable[[int], str]:
    """Return a shape that has these lines again and again; ``{i}`` counts."""
    return lambda n: begin + "\n".join(line.replace("{i}", str(i)) for i in range(n) for line in lines)


_SHAPES: Final[dict[str, Callable[[int], str]]] = {
    "words": _deltas("x"),
    "empty deltas": _deltas(""),
    "tags": _deltas("<", "<thi", "</think"),
    "tags behind thoughts": _deltas("<", "<thi", "~</thin", begin=_THOUGHT),
    "thoughts in the text": _deltas("a~<think>~", "b~</think>~", begin=_THOUGHT),
    "a thought in the text that never ends": _deltas("x", begin=_OPEN_THOUGHT),
    "line ends of a thought that never ends": _deltas("~</thin", begin=_OPEN_THOUGHT),
    "stops in a thought that never ends": _each("stop 0", "text+ 0 a", begin=_OPEN_THOUGHT),
    "pings in a thought that never ends": _each("ping", begin=_OPEN_THOUGHT),
    "ticks": _deltas("`<", begin=_THOUGHT),
    "thinking of tags": _deltas("<think>", begin="start\nthink 0\n", kind="think+"),
    "thinking of spaces": _deltas("_", begin="start\nthink 0\n", kind="think+"),
    "an empty beginning of a tag": _deltas("", begin="start\nthink 0\nthink+ 0 <\n", kind="think+"),
    "signatures": _deltas("s", begin="start\nthink 0\n", kind="sign"),
    "markers": _deltas("<tool_call>"),
    "a marker and space": _deltas("_" * 8, begin=f"{_TEXT}text+ 0 <tool_call>\n"),
    "a call that never ends": _deltas("x", begin=f'{_TEXT}text+ 0 <tool_call>{{"name":"look"\n'),
    "a list that never ends": _deltas("[1,", begin=f'{_TEXT}text+ 0 [{{"name":"look","arguments":{{"a":\n'),
    "headers": _deltas("<|start|>"),
    "brackets": _deltas("[TOOL_CALLS]", "["),
    "line ends": _deltas("~~"),
    "beginnings of stop strings": _deltas("</s", "<|im_end|", "aaa"),
    "signatures behind the beginning of one": _each("sign 0 s", begin="start\nthink 0\nthink+ 0 x</s\n"),
    "open lists": _inputs("["),
    "nested objects": _inputs('{"a":'),
    "empty objects": _inputs("{},", begin='{"a":['),
    "digits": _inputs("1"),
    "a key and space": _inputs(" ", begin='"a"'),
    "behind the end": _inputs("{}", begin="{}"),
    "inputs again": _inputs('{"a":"x"', begin='{"a":"x"'),
    "blocks": _each("text {i}", "text+ {i} a", "stop {i}"),
    "open blocks": _each("text {i}", "text+ {i} a"),
    "blocks of one index": _each("text 0", "text+ 0 a"),
    "thoughts": _each("think {i}", "think+ {i} a", "stop {i}"),
    "beginnings of thoughts": _each("think {i}", "think+ {i} <", "stop {i}"),
    "calls": _each("call {i} toolu_{i} look", 'input+ {i} {"a":1}', "stop {i}"),
    "calls with one id": _each("call {i} toolu_1 look", 'input+ {i} {"a":1}', "stop {i}"),
    "open calls": _each("call {i} toolu_{i} look", 'input+ {i} {"a"'),
    "keys of calls": _each("call {i} toolu_{i} look", 'input+ {i} "a'),
    "calls in turn": lambda n: "\n".join(
        [
            "start",
            *(f'call {i} toolu_{i} look\ninput+ {i} "a' for i in range(n)),
            *(f'input+ {i} ":1}}' for i in range(n)),
        ]
    ),
    "inputs without a start": _each('input+ {i} "a'),
    "stops": _each("stop 0", begin=_TEXT),
    "stops of other blocks": _each("stop {i}", begin=_TEXT),
    "pings": _each("ping", begin=_TEXT),
    "comments": _each(": c", begin=_TEXT),
    "starts": _each("start", begin=""),
    "ends": _each("end end_turn"),
    "ends and text": _each("end end_turn", "text+ 0 a", begin=_TEXT),
    "ends of messages": _each("over"),
    "errors": _each("error api_error no"),
    "unknown events": _each('{"type":"vendor","index":{i}}'),
    "payloads without a type": _each('data: {"a":1}', begin=_TEXT),
}
SHAPES: Final = {name: sent(wire, shape) for name, shape in _SHAPES.items()}
"""Every shape by its name."""
