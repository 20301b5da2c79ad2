"""What the plain loop of an agent makes of chat completions, completions and messages: it joins deltas, and runs calls.

No client in particular, but what all that were tested do: a call is run once the stream says that there are calls, with
whatever arguments came; without an end, what came is taken for the answer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.demo.clients import Reading, mapping, object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vllm_sse_proxy.demo.clients import Answer

_CUT: Final = frozenset({"length", "max_tokens"})
_RUNS_CALLS: Final = frozenset({"tool_calls", "function_call", "tool_use"})


class _Loop:
    """The answer as far as it has come.

    :ivar reason: why the model stopped; None while nothing has said so.
    """

    def __init__(self) -> None:
        self.reading = Reading()
        self.reason: str | None = None
        self._texts: dict[object, str] = {}
        self._calls: dict[object, list[str]] = {}

    def say(self, place: object, text: object) -> None:
        """Take a piece of the answer."""
        self._texts[place] = self._texts.get(place, "") + (text if isinstance(text, str) else "")

    def think(self, text: object) -> None:
        """Take a piece of the reasoning."""
        self.reading.thinking += text if isinstance(text, str) else ""

    def call(self, place: object, name: object, arguments: object) -> None:
        """Take a piece of a call."""
        call = self._calls.setdefault(place, ["", ""])
        call[0] += name if isinstance(name, str) else ""
        call[1] += arguments if isinstance(arguments, str) else ""

    def fail(self, error: object) -> None:
        """Take an error: the SDK raises it."""
        self.reading.problems.append(f"the SDK raises: {mapping(error).get('message', error)}")

    def finished(self, *, cut: bool) -> Reading:
        """Return what there is to show, and what went wrong."""
        reading = self.reading
        reading.texts += self._texts.values()
        if reading.problems:
            return reading
        calls = [f"{name}({arguments})" for name, arguments in self._calls.values()]
        if cut:
            reading.problems.append("the connection broke off")
        elif self.reason is None:
            reading.problems.append("no end: what came is taken for the answer")
        elif self.reason in _CUT:
            reading.problems.append(f"the answer was cut: {self.reason}")
        elif self.reason in _RUNS_CALLS:
            reading.calls += calls
            reading.problems += [
                f"runs a call with half of its arguments: {call}"
                for call, (_, arguments) in zip(calls, self._calls.values(), strict=True)
                if not _is_json(arguments)
            ]
        elif calls:
            reading.problems.append(f"never runs {calls[0]}: the reason is {self.reason}")
        return reading


def read_like_chat_agent(answer: Answer) -> Reading:
    """Read `answer` as a chat completion."""
    return _read_chunks(answer, _take_delta)


def read_like_completions_reader(answer: Answer) -> Reading:
    """Read `answer` as a completion: the texts of each choice, joined."""
    return _read_chunks(answer, _take_text)


def _read_chunks(answer: Answer, take: Callable[[_Loop, Mapping[str, Any]], None]) -> Reading:
    loop = _Loop()
    if answer.error_message is not None:
        loop.reading.problems.append(answer.error_message)
        return loop.reading
    for chunk in map(object_of, answer.payloads()):
        if chunk.get("error"):
            loop.fail(chunk["error"])
        choices = chunk.get("choices")
        for choice in map(mapping, choices if isinstance(choices, list) else ()):
            take(loop, choice)
            if isinstance(choice.get("finish_reason"), str):
                loop.reason = choice["finish_reason"]
    return loop.finished(cut=answer.cut)


def _take_text(loop: _Loop, choice: Mapping[str, Any]) -> None:
    loop.say(choice.get("index"), choice.get("text"))


def _take_delta(loop: _Loop, choice: Mapping[str, Any]) -> None:
    index, delta = choice.get("index"), mapping(choice.get("delta"))
    loop.say(index, delta.get("content"))
    loop.think(delta.get("reasoning_content") or delta.get("reasoning"))
    pieces = delta.get("tool_calls")
    for piece in map(mapping, pieces if isinstance(pieces, list) else ()):
        function = mapping(piece.get("function"))
        loop.call((str(index), str(piece.get("index"))), function.get("name"), function.get("arguments"))


def read_like_messages_agent(answer: Answer) -> Reading:
    """Read `answer` as a message of Anthropic's."""
    loop = _Loop()
    if answer.error_message is not None:
        loop.reading.problems.append(answer.error_message)
        return loop.reading
    for event in map(object_of, answer.payloads()):
        index, delta = str(event.get("index")), mapping(event.get("delta"))
        match event.get("type"):
            case "error":
                loop.fail(event.get("error"))
            case "content_block_start":
                block = mapping(event.get("content_block"))
                if block.get("type") == "tool_use":
                    loop.call(index, block.get("name"), "")
            case "content_block_delta" if "partial_json" in delta:
                loop.call(index, "", delta["partial_json"])
            case "content_block_delta":
                loop.say(index, delta.get("text"))
                loop.think(delta.get("thinking"))
            case "message_delta" if isinstance(delta.get("stop_reason"), str):
                loop.reason = delta["stop_reason"]
            case _:
                pass
    return loop.finished(cut=answer.cut)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
