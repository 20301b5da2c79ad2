"""A fake vLLM that refuses requests as a release does, and answers the others with calls of the tools that it was sent.

What it answers depends on the request alone: a thought, a message, and a call of each of the first functions. It stores what
it answered to background requests, and streams it again.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from tests.support.streams import call, custom_call, message, reasoning, response, wire
from tests.support.upstream import FakeUpstream, answer, json_answer, stream

if TYPE_CHECKING:
    from tests.support.refusals import Server
    from tests.support.upstream import Seen, Step

Json = dict[str, Any]

PATCH: Final = '*** Begin Patch\n*** Add File: a.txt\n+hello "you" \N{GRINNING FACE}\n*** End Patch'
ECHOED: Final = (
    "model",
    "tools",
    "tool_choice",
    "reasoning",
    "text",
    "instructions",
    "metadata",
    "background",
)
_MOST_CALLS: Final = 4
_PIECE: Final = 7
_ARGUMENTS: Final[dict[str, Json]] = {
    "tool_search": {"query": "q"},
    "shell": {"commands": ["ls"], "timeout_ms": 5},
    "local_shell": {"command": ["ls"]},
    "apply_patch": {"type": "create_file", "path": "a.txt", "diff": "+hi"},
}
"""What the tools are called with that a client runs itself."""


class RefusingUpstream(FakeUpstream):
    """vLLM of one release, on one path.

    :param server: says what is refused; None refuses nothing.
    :param version: what ``GET /version`` says, or its whole body; None: 404, as a gateway.
    """

    def __init__(self, server: Server | None, *, version: str | bytes | None = None) -> None:
        super().__init__()
        self.server = server
        self.version = version
        self.stored: dict[str, tuple[list[Json], Json]] = {}

    @property
    def posts(self) -> list[Seen]:
        """The posts that arrived, in order."""
        return [seen for seen in self.requests if seen.method == "POST"]

    def arrived(self, seen: Seen) -> tuple[Step, ...]:
        """Return what was scripted, if anything was."""
        if self._answers and seen.target != b"/version":
            return super().arrived(seen)
        self.requests.append(seen)
        self._arrivals.put_nowait(seen)
        return ()

    def script(self, seen: Seen, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """Return what was scripted, else what the request deserves."""
        if steps:
            return steps
        path, _, query = seen.target.decode().partition("?")
        if path == "/version":
            if self.version is None:
                return json_answer({}, status=404)
            said = (
                self.version
                if isinstance(self.version, bytes)
                else b'{"version":"%b"}' % self.version.encode()
            )
            return answer(said)
        if seen.method == "GET" and path.startswith("/v1/responses/"):
            return self._stored(path.rpartition("/")[2], query)
        body: Json = json.loads(seen.body)
        status, why = (200, "") if self.server is None else self.server.answer(body)
        if self.server is not None and status != 200:
            return json_answer(json.loads(self.server.refusal(status, why)), status=status)
        events, final = answered(body, seen.body, is_old=self.server is not None and not self.server.new)
        if body.get("background"):
            self.stored[final["id"]] = (events, final)
        return stream(*_frames(events)) if body.get("stream") else json_answer(final)

    def _stored(self, id_: str, query: str) -> tuple[Step, ...]:
        if id_ not in self.stored:
            return json_answer({"error": {"message": "not found"}}, status=404)
        events, final = self.stored[id_]
        return stream(*_frames(events)) if "stream=" in query else json_answer(final)


def answered(body: Json, raw: bytes, *, is_old: bool) -> tuple[list[Json], Json]:
    """Return the events of the answer to a request, and its final object.

    :param is_old: stream the call of a custom tool as that of a function, as releases up to 0.31 do.
    """
    digest = hashlib.sha256(raw).hexdigest()[:16]
    echo: Json = {name: body[name] for name in ECHOED if name in body}
    choice = body.get("tool_choice", "auto")
    echo.update(tools=body.get("tools") or [], tool_choice=choice, id=f"resp_{digest}")
    opening = response(**echo)
    items = [reasoning(0, "I ", "think.", id_=f"rs_{digest}"), message(1, "Hel", "lo.", id_=f"msg_{digest}")]
    items += [_called(tool, index, is_old=is_old) for index, tool in enumerate(_callable(body), 2)]
    events = [
        {"type": "response.created", "response": opening},
        {"type": "response.in_progress", "response": opening},
        *(event for life, _ in items for event in life),
    ]
    final = {**opening, "status": "completed", "output": [done for _, done in items]}
    events.append({"type": "response.completed", "response": final})
    return [{"sequence_number": number, **event} for number, event in enumerate(events)], final


def _callable(body: Json) -> list[Json]:
    tools = body.get("tools") or []
    return [tool for tool in tools if tool.get("type") in ("function", "custom")][-_MOST_CALLS:]


def _called(tool: Json, index: int, *, is_old: bool) -> tuple[list[Json], Json]:
    """Return the events and the done item of a call of a tool."""
    name = tool["name"]
    if tool["type"] == "custom" and not is_old:
        return custom_call(index, *in_pieces(PATCH), name=name)
    parameters = tool.get("parameters") or {}
    arguments: Json = _ARGUMENTS.get(name, {"number": 1})
    if tool["type"] == "custom" or list(parameters.get("properties") or {}) == ["input"]:
        arguments = {"input": PATCH}
    return call(index, *in_pieces(json.dumps(arguments)), name=name)


def in_pieces(text: str) -> list[str]:
    """Return a text as a model gives it: a few characters at a time."""
    return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]


def _frames(events: list[Json]) -> list[bytes]:
    return [wire([event], done=False) for event in events]
