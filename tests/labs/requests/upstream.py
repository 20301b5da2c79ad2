"""An upstream that refuses requests as vLLM does, and otherwise plays an agent's model: one call, and then words."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from tests.support.refusing import ECHOED, RefusingUpstream, in_pieces
from tests.support.streams import call, message, reasoning, response, wire
from tests.support.upstream import json_answer, stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.refusals import Server
    from tests.support.upstream import Seen, Step

Json = dict[str, Any]

_USAGE: Final[Json] = {
    "input_tokens": 1,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 1,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 2,
}


class AgentUpstream(RefusingUpstream):
    """vLLM with a model that makes given calls, as soon as it has the tools, one in a turn.

    :param calls: names of tools, or how they end, and the arguments.
    :ivar statuses: of all answers to posts.
    """

    def __init__(self, server: Server, calls: Mapping[str, Json]) -> None:
        super().__init__(server, version=f"{server.release}.0")
        self.calls = calls
        self.statuses: list[int] = []

    def script(self, seen: Seen, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """Refuse, or call the next tool, or say what the last one has answered."""
        if seen.method != "POST" or self.server is None:
            return super().script(seen, steps)
        body: Json = json.loads(seen.body)
        status, why = self.server.answer(body)
        self.statuses.append(status)
        if status != 200:
            return json_answer(json.loads(self.server.refusal(status, why)), status=status)
        digest = hashlib.sha256(seen.body).hexdigest()[:12]
        lives = [reasoning(0, "I ", "think.", id_=f"rs_{digest}"), self._next(body, digest)]
        echo: Json = {name: body[name] for name in ECHOED if name in body}
        echo.update(id=f"resp_{digest}", usage=_USAGE, tools=body.get("tools") or [])
        opening = response(**echo)
        final = {**opening, "status": "completed", "output": [done for _, done in lives]}
        events: list[Json] = [
            {"type": "response.created", "response": opening},
            {"type": "response.in_progress", "response": opening},
            *(event for life, _ in lives for event in life),
            {"type": "response.completed", "response": final},
        ]
        numbered = [{"sequence_number": number, **event} for number, event in enumerate(events)]
        return stream(wire(numbered, done=False)) if body.get("stream") else json_answer(final)

    def _next(self, body: Json, digest: str) -> tuple[list[Json], Json]:
        items = body["input"] if isinstance(body["input"], list) else []
        outputs = [item for item in items if str(item.get("type")).endswith("_output")]
        done = len([item for item in outputs if item["type"] == "function_call_output"])
        names = [tool.get("name") or "" for tool in body.get("tools") or []]
        wanted = list(self.calls)[done] if done < len(self.calls) else None
        name = next((name for name in names if wanted is not None and name.endswith(wanted)), None)
        if wanted is None or name is None:
            said = json.dumps(outputs[-1]["output"]) if outputs else "Nothing was called."
            return message(1, "Done. ", said, id_=f"msg_{digest}")
        spelled = json.dumps(self.calls[wanted])
        events, item = call(1, *in_pieces(spelled), id_=f"fc_{digest}", name=name)
        own = {"call_id": f"call_{digest}"}
        return [
            {**event, "item": {**event["item"], **own}} if "item" in event else event for event in events
        ], {**item, **own}
