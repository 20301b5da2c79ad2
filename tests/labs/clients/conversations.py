"""Perfect streams of short conversations: what every client is measured against.

A conversation is the list of its turns, and a turn the list of its events, without numbers. Where a turn ends with a tool
call, the client runs the tool and posts its output; the next turn is the answer to that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.support.streams import Json, call, message, reasoning, search, summary, whole

Life = tuple[list[Json], Json]
Turn = list[Json]

PROMPT = "What is the weather in Paris?"
WORDS = ("The capital", " of France", " is Paris.", " Ça va? 你好 👋", " 2 + 2 = 4.")
THOUGHTS = ("The user", " asks for", " the capital", ". It is Paris.")
REPORT = ("It is", " 21 degrees", " in Paris.")
PREAMBLE = ("I will", " look it up.")
USAGE: Json = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 18,
}


@dataclass(frozen=True)
class Tool:
    """The function that the model calls.

    :ivar arguments: one JSON object, in the pieces in which it is streamed.
    """

    name: str = "get_weather"
    arguments: tuple[str, ...] = ('{"city"', ': "Par', 'is"}')

    @property
    def other_arguments(self) -> tuple[str, ...]:
        """Arguments of a second call, in two pieces."""
        text = "".join(self.arguments).replace("Paris", "Lyon")
        return (text[:9], text[9:])


WEATHER = Tool()
SHELL = Tool("exec_command", ('{"cmd"', ': "echo Par', 'is"}'))
"""For Codex, which has tools of its own only."""
BASH = Tool("Bash", ('{"command"', ': "echo Par', 'is", "description": "Print Paris"}'))
"""The same for Claude Code."""


def finished(*lives: Life, number: int = 1, terminal: str = "completed", **fields: Any) -> Turn:
    """Return a whole turn as OpenAI's API streams it; the id of its response has the number of the turn."""
    events = whole(*lives, terminal=terminal, usage=USAGE, **fields)
    return [
        {**event, "response": {**event["response"], "id": f"resp_{number}"}} if "response" in event else event
        for event in events
    ]


def text() -> list[Turn]:
    return [finished(message(0, *WORDS))]


def thought() -> list[Turn]:
    return [finished(reasoning(0, *THOUGHTS), message(1, *WORDS))]


def tools(tool: Tool = WEATHER) -> list[Turn]:
    return [
        finished(reasoning(0, *THOUGHTS), call(1, *tool.arguments, name=tool.name)),
        finished(message(0, *REPORT, id_="msg_9"), number=2),
    ]


def preamble(tool: Tool = WEATHER) -> list[Turn]:
    return [
        finished(reasoning(0, *THOUGHTS), message(1, *PREAMBLE), call(2, *tool.arguments, name=tool.name)),
        finished(message(0, *REPORT, id_="msg_9"), number=2),
    ]


def blank(tool: Tool = WEATHER) -> list[Turn]:
    """Return a call with white space before it, as models write it that put each call on a line of its own."""
    return [
        finished(reasoning(0, *THOUGHTS), message(1, "\n\n"), call(2, *tool.arguments, name=tool.name)),
        finished(message(0, *REPORT, id_="msg_9"), number=2),
    ]


def afterword(tool: Tool = WEATHER) -> list[Turn]:
    """Return a call with words after it."""
    return [
        finished(call(0, *tool.arguments, name=tool.name), message(1, "Let us", " see.")),
        finished(message(0, *REPORT, id_="msg_9"), number=2),
    ]


def parallel(tool: Tool = WEATHER) -> list[Turn]:
    return [
        finished(
            call(0, *tool.arguments, name=tool.name),
            call(1, *tool.other_arguments, name=tool.name),
        ),
        finished(message(0, *REPORT, id_="msg_9"), number=2),
    ]


def searched() -> list[Turn]:
    return [finished(reasoning(0, *THOUGHTS), search(1), message(2, *WORDS))]


CITATION: Json = {
    "type": "url_citation",
    "url": "http://127.0.0.1/paris",
    "title": "Paris",
    "start_index": 0,
    "end_index": 11,
}


def cited() -> list[Turn]:
    """Return an answer whose first words are cited."""
    events, done = message(0, *WORDS)
    part = {**done["content"][0], "annotations": [CITATION]}
    noted = [
        {**event, "part": part} if event["type"] == "response.content_part.done" else event
        for event in events
    ]
    done = {**done, "content": [part]}
    noted[-1] = {**noted[-1], "item": done}
    place = {"item_id": done["id"], "output_index": 0, "content_index": 0, "annotation_index": 0}
    noted.insert(3, {"type": "response.output_text.annotation.added", **place, "annotation": CITATION})
    return [finished((noted, done))]


def python_life(index: int) -> Life:
    """Return a code interpreter call's events and its done item."""
    id_ = f"ci_{index}"
    place = {"item_id": id_, "output_index": index}
    item = {
        "id": id_, "type": "code_interpreter_call", "container_id": "auto", "code": "", "outputs": [],
        "status": "in_progress",
    }  # fmt: skip
    done = {**item, "code": "2 + 2", "status": "completed"}
    kind = "response.code_interpreter_call"
    return [
        {"type": "response.output_item.added", "output_index": index, "item": item},
        {"type": f"{kind}.in_progress", **place},
        {"type": f"{kind}_code.delta", **place, "delta": "2 +"},
        {"type": f"{kind}_code.delta", **place, "delta": " 2"},
        {"type": f"{kind}_code.done", **place, "code": "2 + 2"},
        {"type": f"{kind}.interpreting", **place},
        {"type": f"{kind}.completed", **place},
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ], done


def python() -> list[Turn]:
    return [finished(python_life(0), message(1, *WORDS))]


def mcp_life(index: int) -> Life:
    """Return the events of a call of an MCP server's tool, as harmony names it, and its done item."""
    id_ = f"mcp_{index}"
    place = {"item_id": id_, "output_index": index}
    item = {
        "id": id_, "type": "mcp_call", "name": "fs.list", "server_label": "fs", "arguments": "",
        "status": "in_progress",
    }  # fmt: skip
    arguments = '{"path": "/"}'
    done = {**item, "arguments": arguments, "status": "completed"}
    kind = "response.mcp_call"
    return [
        {"type": "response.output_item.added", "output_index": index, "item": item},
        {"type": f"{kind}.in_progress", **place},
        {"type": f"{kind}_arguments.delta", **place, "delta": arguments[:8]},
        {"type": f"{kind}_arguments.delta", **place, "delta": arguments[8:]},
        {"type": f"{kind}_arguments.done", **place, "arguments": arguments},
        {"type": f"{kind}.completed", **place},
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ], done


def listed() -> list[Turn]:
    return [finished(reasoning(0, *THOUGHTS), mcp_life(1), message(2, *WORDS))]


def custom_life(index: int, *pieces: str) -> Life:
    """Return a custom tool call's events and its done item."""
    id_ = f"ctc_{index}"
    place = {"item_id": id_, "output_index": index}
    item = {"id": id_, "type": "custom_tool_call", "call_id": f"call_{index}", "name": "note", "input": ""}
    done = {**item, "input": "".join(pieces), "status": "completed"}
    kind = "response.custom_tool_call_input"
    return [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, "status": "in_progress"},
        },
        *({"type": f"{kind}.delta", **place, "delta": piece} for piece in pieces),
        {"type": f"{kind}.done", **place, "input": "".join(pieces)},
        {"type": "response.output_item.done", "output_index": index, "item": done},
    ], done


def custom() -> list[Turn]:
    tools = [{"type": "custom", "name": "note", "description": "Write it down"}]
    return [
        _echoing(finished(custom_life(0, "buy", " milk")), tools),
        finished(message(0, *REPORT, id_="msg_9"), number=2),
    ]


def namespaced(tool: Tool = WEATHER) -> list[Turn]:
    """Return a call of a tool in a namespace, as Codex has for each MCP server."""
    inner = {"type": "function", "name": tool.name, "description": None, "parameters": None, "strict": None}
    tools = [{"type": "namespace", "name": "mcp__desk", "description": "Desktop tools", "tools": [inner]}]
    turn = finished(call(0, *tool.arguments, name=tool.name))
    for event in (*turn, {"item": turn[-1]["response"]["output"][0]}):
        if "item" in event:
            event["item"]["namespace"] = "mcp__desk"
    return [_echoing(turn, tools), finished(message(0, *REPORT, id_="msg_9"), number=2)]


def _echoing(turn: Turn, tools: list[Json]) -> Turn:
    """Return a turn whose responses echo these tools."""
    return [
        {**event, "response": {**event["response"], "tools": tools}} if "response" in event else event
        for event in turn
    ]


def conversations(tool: Tool) -> dict[str, list[Turn]]:
    """Return every conversation by its name."""
    return {
        "text": text(),
        "reasoning": thought(),
        "tools": tools(tool),
        "preamble": preamble(tool),
        "blank": blank(tool),
        "parallel": parallel(tool),
        "afterword": afterword(tool),
        "search": searched(),
        "cited": cited(),
        "python": python(),
        "mcp": listed(),
        "custom": custom(),
        "namespaced": namespaced(tool),
    }


def summarised(tool: Tool) -> dict[str, list[Turn]]:
    """Return the conversations with a thought, sent as a summary: what OpenAI's API sends if a summary is asked for."""
    return {
        "reasoning": [finished(summary(0, *THOUGHTS), message(1, *WORDS))],
        "tools": [
            finished(summary(0, *THOUGHTS), call(1, *tool.arguments, name=tool.name)),
            finished(message(0, *REPORT, id_="msg_9"), number=2),
        ],
    }


# Turns that do not succeed, as an API sends them that does it right.

ERROR: Json = {
    "type": "server_error",
    "code": "server_error",
    "message": "The engine has died.",
    "param": None,
}


def broken_off(turn: Turn, deltas: int) -> Turn:
    """Return the events up to and with this many deltas: what a stream holds that breaks off there."""
    kept: Turn = []
    for event in turn:
        kept.append(event)
        deltas -= "delta" in event
        if deltas == 0:
            return kept
    raise ValueError("the turn has fewer deltas")


def cut_at_name(turn: Turn) -> Turn:
    """Return the events up to and with the announcement of the first call: its name is there, and no arguments."""
    for number, event in enumerate(turn):
        if event["type"] == "response.output_item.added" and event["item"]["type"] == "function_call":
            return turn[: number + 1]
    raise ValueError("the turn has no call")


def ended_early(kept: Turn, terminal: str, **fields: Any) -> Turn:
    """Return a turn that ends after these events: what is open closes as incomplete, then the terminal event."""
    lives: list[Life] = []
    for index, pieces, life in _lives(kept):
        events, done = life(index, *pieces)
        lives.append((events, done))
    events, done = lives[-1]
    lives[-1] = (
        [{**e, "item": {**e["item"], "status": "incomplete"}} if e["type"].endswith("item.done") else e for e in events],
        {**done, "status": "incomplete"},
    )  # fmt: skip
    return finished(*lives, terminal=terminal, **fields)


def _lives(events: Turn) -> list[tuple[int, list[str], Any]]:
    """Return what these events have streamed: index, pieces and kind of every item."""
    found: list[tuple[int, list[str], Any]] = []
    for event in events:
        if event["type"] == "response.output_item.added":
            kinds = {
                "message": message,
                "reasoning": reasoning,
                "function_call": _named(event["item"].get("name")),
            }
            found.append((event["output_index"], [], kinds[event["item"]["type"]]))
        elif "delta" in event:
            found[-1][1].append(event["delta"])
    return found


def _named(name: str) -> Any:
    return lambda index, *pieces: call(index, *pieces, name=name)


def failed_unreported(turn: Turn, deltas: int) -> Turn:
    """Return the turn as one that fails after this many deltas. What is open stays open: it did not come to its end."""
    kept = broken_off(turn, deltas)
    error = {k: ERROR[k] for k in ("code", "message")}
    return [
        *kept,
        {
            "type": "response.failed",
            "response": {
                **turn[-1]["response"],
                "status": "failed",
                "output": [],
                "usage": None,
                "error": error,
            },
        },
    ]


def failed(turn: Turn, deltas: int) -> Turn:
    """Return the same with an `error` event ahead of its end, as OpenAI's API sends it."""
    *kept, end = failed_unreported(turn, deltas)
    return [
        *kept,
        {"type": "error", **{k: ERROR[k] for k in ("code", "message", "param")}, "error": ERROR},
        end,
    ]


def incomplete(kept: Turn) -> Turn:
    """Return the turn that the token limit ends after these events."""
    return ended_early(kept, "incomplete", incomplete_details={"reason": "max_output_tokens"})


def json_of(tool: Tool) -> Any:
    """Return the arguments that the tool is called with."""
    return json.loads("".join(tool.arguments))
