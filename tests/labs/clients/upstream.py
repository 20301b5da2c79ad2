"""An upstream that replays one scenario at a time, and remembers what was posted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from tests.support.upstream import FakeUpstream, json_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.upstream import Seen, Step

NOT_HERE = {
    "error": {"message": "There is nothing here.", "type": "not_found", "code": "not_found", "param": None}
}


class ReplayingUpstream(FakeUpstream):
    """Answers POST /v1/responses of the current run, as often as it is posted; everything else is not found.

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
        is_post = seen.method == "POST" and seen.target.split(b"?")[0] == b"/v1/responses"
        if not is_post or seen.value("Authorization") != f"Bearer {self._key}":
            return json_answer(NOT_HERE, status=404, reason="Not Found")
        body = orjson.loads(seen.body)
        self.posts.append(body)
        brings_output = any(
            isinstance(item, dict) and str(item.get("type")).endswith("_call_output")
            for item in (body["input"] if isinstance(body["input"], list) else [])
        )
        return self._turns[min(int(brings_output), len(self._turns) - 1)]
