"""Requests of ``/v1/responses``: what the shell does for them beyond repairing their streams."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from vllm_sse_proxy.config import Mode
from vllm_sse_proxy.server.handling import FamilyHandler, StreamRequest
from vllm_sse_proxy.server.responses.call_ids import answered_response, with_stored_ids
from vllm_sse_proxy.server.responses.polling import StatusPoller
from vllm_sse_proxy.server.responses.resume import Resume, parse_resume
from vllm_sse_proxy.server.responses.stored import StoredResponses, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multidict import CIMultiDict

    from vllm_sse_proxy.families import StreamNormalizer
    from vllm_sse_proxy.server.body import UpstreamBody
    from vllm_sse_proxy.server.exchange import Exchange

_CANCEL: Final = re.compile(r"/v1/responses/([^/]+)/cancel")


@dataclass(eq=False)
class ResponsesHandler(FamilyHandler):
    """Handles the requests of the Responses family. In observe mode they are forwarded as they are.

    :ivar pollers: those of all open streams.
    """

    pollers: set[StatusPoller] = field(default_factory=set)

    def begin(
        self,
        exchange: Exchange,
        target: str,
        resource: str,
        headers: Callable[[], CIMultiDict[str]],
    ) -> StreamRequest:
        """Begin to handle a request."""
        if self.settings.mode is Mode.OBSERVE:
            return super().begin(exchange, target, resource, headers)
        resume = parse_resume(target) if resource else Resume(target, None)
        stored = StoredResponses(
            self.upstream,
            headers,
            timeout_seconds=self.settings.first_byte_timeout_seconds,
            max_bytes=self.settings.max_frame_bytes,
        )
        return ResponsesRequest(
            self, exchange, resume.target, resource, stored, self.pollers, resume.starting_after
        )

    def note_success(self, method: str, path: str) -> None:
        """Have every open stream polled whose response was just cancelled: it would never end."""
        response_id = cancelled_id(method, path)
        if response_id is not None:
            for poller in self.pollers:
                poller.note_cancel(response_id)


@dataclass(eq=False)
class ResponsesRequest(StreamRequest):
    """A request for a new response, or for the stream of one that is stored: the latter has an id as its ``resource``.

    :ivar stored: reads stored responses in the name of the client.
    :ivar pollers: see :class:`ResponsesHandler`.
    :ivar starting_after: the last number that the client has seen; None: it wants the whole stream.
    """

    stored: StoredResponses
    pollers: set[StatusPoller]
    starting_after: int | None

    async def take_body(self, body: bytes, document: Mapping[str, Any] | None) -> bytes:
        """Return the body with the call_ids that upstream has stored, if it answers calls of a stored response."""
        await super().take_body(body, document)
        response_id = answered_response(document)
        if document is None or response_id is None:
            return body
        try:
            stored = await self.stored.read(response_id)
        except UnreadableError:
            return body  # upstream's answer will show the client what is wrong
        translated = with_stored_ids(body, document, stored)
        if translated != body:
            self.exchange.metrics.requests_translated.inc()
        return translated

    def normalizer(self) -> StreamNormalizer:
        """Make the normalizer of the answer's stream; of a resumed one it emits the rest only."""
        make = self.handler.family.normalizer
        return make(self.handler.plan, self.context, starting_after=self.starting_after)

    def poller(self, body: UpstreamBody, normalizer: StreamNormalizer) -> StatusPoller | None:
        """Return a status poller for the answer's stream, or None if polling is disabled."""
        if not self.handler.settings.status_poll_seconds:
            return None
        asked_for = self.context.body or {}
        return StatusPoller(
            self.exchange,
            body,
            normalizer,
            self.stored,
            siblings=self.pollers,
            named_id=self.resource,
            regular=bool(self.resource) or asked_for.get("background") is True,
        )


def cancelled_id(method: str, path: str) -> str | None:
    """Return the id of the response that a request cancels; None if it is another request."""
    found = _CANCEL.fullmatch(unquote(path)) if method == "POST" else None
    return None if found is None else found[1]
