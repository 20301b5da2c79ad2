"""An upstream that replays one scenario at a time, and remembers what was posted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from tests.labs.clients.conversations import REPORT
from tests.support.upstream import FakeUpstream, json_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.upstream import Seen, Step

PATHS = frozenset({b"/v1/responses", b"/v1/chat/completions", b"/v1/messages"})
NOT_HERE = {
    "error": {"message": "There is nothing here.", "type": "not_found", "code": "not_found", "param": None}
}
WHOLE_MESSAGE = {
    "id": "msg_9", "type": "message", "role": "assistant", "model": "tiny", "stop_reason": "end_turn",
    "stop_sequence": None, "content": [{"type": "text", "text": "".join(REPORT)}],
    "usage": {"input_tokens": 11, "output_tokens": 7},
}  # fmt: skip
"""The answer to whoever asks for a message that is not streamed, as Claude Code does when a stream has failed."""


class ReplayingUpstream(FakeUpstream):
    """Answers what the clients post in the current run, as often as it is posted; everything else is not found.

    A run has a key, which the client sends as its API key: what a client of an earlier run still sends is not counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.posts: list[dict[str, Any]] = []
        self._key = ""
        self._turns: Sequence[tuple[Step, ...]] = ()

    def play(self, key: str, turns: Sequence[tuple[Step, ...]]) -> None:
        """Begin a run: these answers, and nothing posted yet."""
        self._key, self._turns, self.posts = key, turns, []

    def script(self, seen: Seen, steps: tuple[Step, ...]) -> tuple[Step, ...]:  # noqa: ARG002 - nothing is scripted ahead
        """Answer by what was posted: the second turn goes to those who bring the tool's output."""
        is_post = seen.method == "POST" and seen.target.split(b"?")[0] in PATHS
        keys = (seen.value("Authorization"), seen.value("x-api-key"))
        if not is_post or not {f"Bearer {self._key}", self._key} & set(keys):
            return json_answer(NOT_HERE, status=404, reason="Not Found")
        body = orjson.loads(seen.body)
        self.posts.append(body)
        if seen.target.startswith(b"/v1/messages") and not body.get("stream"):
            return json_answer(WHOLE_MESSAGE)
        return self._turns[min(int(brings_output(body)), len(self._turns) - 1)]


def brings_output(body: dict[str, Any]) -> bool:
    """Return whether the output of a tool is in what was posted: to the Responses API, as chat or as messages."""
    posted = body.get("input", body.get("messages"))
    items = [item for item in posted if isinstance(item, dict)] if isinstance(posted, list) else []
    blocks = [block for item in items if isinstance(item.get("content"), list) for block in item["content"]]
    return any(
        item.get("role") == "tool" or str(item.get("type")).endswith(("_call_output", "tool_result"))
        for item in (*items, *blocks)
    )
