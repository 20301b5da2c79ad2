"""How a response stands, asked of upstream itself: the only way to tell a dead or cancelled producer from a slow one.

vLLM ends the stream of a background response at its terminal event only. A producer that dies or is cancelled tells none, and
the stream stays open and silent for ever; but ``GET /v1/responses/{id}`` knows. What it proves is told as the terminal event
that upstream should have sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from vllm_sse_proxy.server.stored import UnreadableError
from vllm_sse_proxy.sse import encode_event

if TYPE_CHECKING:
    from vllm_sse_proxy.server.stored import StoredResponses

# The statuses that a response never leaves again.
_OVER: Final = frozenset({"completed", "incomplete", "failed", "cancelled"})

# Ends whatever part of a frame upstream fell silent in, so that it cannot become a part of ours.
_FRAME_END: Final = b"\n\n"


class Verdict(NamedTuple):
    """A response is over, whatever its stream says."""

    status: str
    """``completed``, ``incomplete``, ``failed`` or ``cancelled``."""
    frame: bytes
    """The terminal event for the normalizer, which gives it the type that its status proves."""


class StatusProbe:
    """Asks how the response of one stream stands.

    :param stored: reads responses in the name of the client that the stream goes to.
    :param response_id: the response's id if the client named it: upstream knows it by that.
    :param max_bytes: limit for the event that is made of an answer.
    :ivar regular: ask whenever the stream is silent, not only when the response was cancelled through this process.
    """

    __slots__ = ("_max_bytes", "_response_id", "_stored", "regular")

    def __init__(
        self, stored: StoredResponses, *, response_id: str | None, max_bytes: int, regular: bool
    ) -> None:
        self._stored = stored
        self._response_id = response_id
        self._max_bytes = max_bytes
        self.regular = regular

    def id_of(self, streamed: str | None) -> str | None:
        """Return the response's id; ``streamed`` is what the stream says, None if it has said nothing yet."""
        return streamed if self._response_id is None else self._response_id

    async def ask(self, response_id: str) -> Verdict | None:
        """Ask; None if the response is not over.

        :raises RefusedError: the connection was refused.
        :raises UnreadableError: there is no answer, or it says nothing of the kind.
        """
        return self._judge(await self._stored.read(response_id))

    def _judge(self, document: dict[str, Any]) -> Verdict | None:
        status = document.get("status")
        if not isinstance(status, str):
            raise UnreadableError("the answer is no response object")
        if status not in _OVER:
            return None
        event = orjson.dumps({"type": "response.completed", "response": document})
        frame = _FRAME_END + encode_event("response.completed", event)
        if len(frame) > self._max_bytes:
            raise UnreadableError("the answer is too large")
        return Verdict(status, frame)
