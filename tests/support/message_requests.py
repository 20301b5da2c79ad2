"""Captured requests of Anthropic messages, servers that refuse them as vLLM does, and what the request repairs make of them.

``python -m tests.support.message_requests`` writes `messages-expected.json` again: read it before you commit it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.support.upstream import FakeUpstream, answer, json_answer, stream
from vllm_sse_proxy.families.messages.requests import MessagesPlanner
from vllm_sse_proxy.families.requests import Facts, RequestAttempts, Step

if TYPE_CHECKING:
    from tests.support.upstream import Seen
    from tests.support.upstream import Step as Answered

Json = dict[str, Any]

FOLDER: Final = Path(__file__).parents[1] / "requests"
EXPECTED: Final = FOLDER / "messages-expected.json"
RESULTS: Final = FOLDER / "messages-results.json"
PLANNER: Final = MessagesPlanner()
NEWER_THAN_0_17: Final = frozenset({"redacted_thinking", "tool_reference", "tool_addition", "tool_removal"})
BLOCKS: Final = frozenset({"text", "image", "tool_use", "tool_result", "thinking", *NEWER_THAN_0_17})


def captured() -> dict[str, Json]:
    """Return what was captured, by name: `client`, `path`, `headers` and `body`."""
    folder = FOLDER / "messages"
    return {
        file.relative_to(folder).with_suffix("").as_posix(): json.loads(file.read_text("utf-8"))
        for file in sorted(folder.rglob("*.json"))
    }


def results() -> dict[str, dict[str, int]]:
    """Return the statuses of the captured requests on real servers."""
    made: dict[str, dict[str, int]] = json.loads(RESULTS.read_text("utf-8"))
    return made


@dataclass(frozen=True)
class Server:
    """What a release says to a request, with a model that cannot see.

    :ivar release: as 0.32; ``reads_thinking``: whether it looks at the budget.
    """

    release: str
    blocks: frozenset[str]
    roles: frozenset[str]
    reads_thinking: bool

    @property
    def name(self) -> str:
        return f"{self.release}.0 simple"

    def refusal(self, body: Json) -> str:
        """Return why a request is refused; the empty string if it is not."""
        thinking = body.get("thinking") or {}
        budget = thinking.get("budget_tokens") or 0
        if self.reads_thinking and budget and budget >= body.get("max_tokens", sys.maxsize):
            return "thinking.budget_tokens must be less than max_tokens"
        if any("name" not in tool or "input_schema" not in tool for tool in body.get("tools") or ()):
            return "Field required"
        for message in body["messages"]:
            if message["role"] not in self.roles:
                return "Input should be 'user' or 'assistant'"
            for block in message["content"] if isinstance(message["content"], list) else ():
                if block["type"] not in self.blocks:
                    return "Input should be a valid string"
        return "tiny is not a multimodal model" if _shows_pictures(body) else ""


def _shows_pictures(body: Json) -> bool:
    blocks = [
        block
        for message in body["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
    ]
    inner = [one for block in blocks if isinstance(block.get("content"), list) for one in block["content"]]
    return any(block["type"] == "image" for block in (*blocks, *inner))


SERVERS: Final = (
    Server("0.32", BLOCKS, frozenset({"user", "assistant", "system"}), reads_thinking=True),
    Server("0.17", BLOCKS - NEWER_THAN_0_17, frozenset({"user", "assistant"}), reads_thinking=False),
)


class RefusingMessages(FakeUpstream):
    """vLLM of one release: refuses what it refuses, and answers everything else with a word.

    :ivar instead: what it answers instead, if anything.
    """

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.instead: tuple[Answered, ...] = ()

    @property
    def posts(self) -> list[Json]:
        """The bodies that were posted, in order."""
        return [orjson.loads(seen.body) for seen in self.requests if seen.method == "POST"]

    def arrived(self, seen: Seen) -> tuple[Answered, ...]:
        """Nothing is scripted."""
        self.requests.append(seen)
        return ()

    def script(self, seen: Seen, steps: tuple[Answered, ...]) -> tuple[Answered, ...]:  # noqa: ARG002 - as above
        """Return what the request deserves."""
        if seen.method != "POST":
            return answer(b'{"version":"%b.0"}' % self.server.release.encode())
        if self.instead:
            return self.instead
        body = orjson.loads(seen.body)
        why = self.server.refusal(body)
        if why:
            return json_answer({"error": {"message": why, "type": "Bad Request", "code": 400}}, status=400)
        if seen.target.split(b"?")[0].endswith(b"/count_tokens"):
            return json_answer({"input_tokens": 7})
        return stream(_answered()) if body.get("stream") else json_answer(_MESSAGE)


_MESSAGE: Final[Json] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "tiny", "content": [{"type": "text", "text": "Hi."}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip


def _answered() -> bytes:
    start = {**_MESSAGE, "content": [], "stop_reason": None}
    events: list[Json] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi."}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 1},
        },
        {"type": "message_stop"},
    ]
    return b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), orjson.dumps(one)) for one in events)


def sent_to(server: Server, body: Json) -> tuple[list[Json], tuple[str, ...]]:
    """Return what is posted to a server until it accepts the request, and the repairs of the last post.

    What is not known at first is not known: neither release nor eyes.
    """
    attempts = RequestAttempts(PLANNER, orjson.dumps(body), body, Facts())
    post = attempts.first()
    while (why := server.refusal(orjson.loads(post.body))) and (
        again := attempts.after(400, orjson.dumps({"error": {"message": why}}))
    ) is not None:
        post = again
    return [orjson.loads(one.body) for one in attempts.posts], post.names


def expectations() -> dict[str, Json]:
    """Return what becomes of every captured request that needs repair: by step, the repairs and the members that change."""
    made: dict[str, Json] = {}
    for name, one in captured().items():
        body = one["body"]
        steps: Json = {}
        for step in (Step.FIRST, Step.LOSSLESS, Step.LOSSY):
            repairing = PLANNER.repaired(body, Facts(release=(0, 17), sees_pictures=False), step)
            if repairing.names and repairing.names != tuple(
                steps.get(previous_of(step), {}).get("repairs", ())
            ):
                steps[step.name.lower()] = {
                    "repairs": list(repairing.names),
                    **_changes(body, repairing.body),
                }
        if steps:
            made[name] = steps
    return made


def previous_of(step: Step) -> str:
    """Return the name of the step before."""
    return {Step.LOSSLESS: "first", Step.LOSSY: "lossless"}.get(step, "")


def _changes(before: Json, after: Json) -> Json:
    """Return the members that changed; of lists, what is new in them."""
    made: Json = {}
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, list) and isinstance(new, list):
            made[name] = [one for one in new if one not in old]
        else:
            made[name] = new
    return made


def main() -> None:
    """Write the expectations again."""
    lines = [
        f"  {json.dumps(name)}: {json.dumps(what, ensure_ascii=False)}"
        for name, what in expectations().items()
    ]
    EXPECTED.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
