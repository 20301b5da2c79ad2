"""Requests of ``/v1/responses``: what the shell does for them beyond repairing their streams."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import orjson

from vllm_sse_proxy.families.responses.answers import answer_plan
from vllm_sse_proxy.families.responses.view import ClientView
from vllm_sse_proxy.server.handling import FamilyHandler, StreamRequest
from vllm_sse_proxy.server.repairing import RepairingRequest, RequestPosts
from vllm_sse_proxy.server.responses.call_ids import answered_response, with_stored_ids
from vllm_sse_proxy.server.responses.json_answers import answered, items_of
from vllm_sse_proxy.server.responses.polling import StatusPoller
from vllm_sse_proxy.server.responses.repairing import ResponsesRepairs
from vllm_sse_proxy.server.responses.resume import Resume, parse_resume
from vllm_sse_proxy.server.responses.stored import StoredResponses, UnreadableError
from vllm_sse_proxy.server.routes import normal_path, prefix_of
from vllm_sse_proxy.settings import Mode
from vllm_sse_proxy.stream.normalizer import StreamNormalizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multidict import CIMultiDict

    from vllm_sse_proxy.server.body import UpstreamBody
    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.server.handling import Rewrite
    from vllm_sse_proxy.stream.context import RequestContext
    from vllm_sse_proxy.stream.plan import Plan

_NO_WEBSOCKET: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
_READ: Final = re.compile(r"/v1/responses/([^/]+)\Z")
_CANCEL: Final = re.compile(r"/v1/responses/([^/]+)/cancel\Z")
_OWN_SEGMENTS: Final = 2  # those of /v1/responses


@dataclass(eq=False)
class ResponsesHandler(FamilyHandler):
    """Handles the requests of the Responses family. In observe mode they are forwarded as they are.

    :ivar pollers: those of all open streams.
    :ivar repairs: what the repairs of all requests share.
    :ivar answer_plan: what is repaired in answers that do not stream.
    """

    pollers: set[StatusPoller] = field(default_factory=set)
    repairs: ResponsesRepairs = field(init=False)
    answer_plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.repairs = ResponsesRepairs.of(self.settings, self.upstream)
        self.answer_plan = answer_plan(self.plan)

    def begin(
        self,
        exchange: Exchange,
        target: str,
        resource: str,
        headers: Callable[[], CIMultiDict[str]],
    ) -> StreamRequest:
        """Begin to handle a request."""
        if self.settings.mode is Mode.OBSERVE:
            return ObservedRequest(self, exchange, target, resource)
        resume = parse_resume(target) if resource else Resume(target, None)
        stored = StoredResponses(
            self.upstream,
            headers,
            timeout_seconds=self.settings.first_byte_timeout_seconds,
            max_bytes=self.settings.max_frame_bytes,
            prefix=prefix_of(target.partition("?")[0], _OWN_SEGMENTS + bool(resource)),
        )
        return ResponsesRequest(
            self,
            exchange,
            resume.target,
            resource,
            RequestPosts(self.repairs, exchange, headers),
            stored,
            self.pollers,
            resume.starting_after,
        )

    def note_success(self, method: str, path: str) -> None:
        """Have every open stream polled whose response was just cancelled: it would never end."""
        response_id = cancelled_id(method, path)
        if response_id is not None:
            for poller in self.pollers:
                poller.note_cancel(response_id)

    def note_unreachable(self) -> None:
        """Take note that upstream could not be connected to."""
        self.repairs.note_unreachable()

    def lacks_websocket(self, path: str, status: int) -> bool:
        """Return whether vLLM has no WebSocket for responses: it answers 403, and Codex falls back at once on 426 only."""
        return self.settings.mode is not Mode.OBSERVE and _is_responses(path) and status in _NO_WEBSOCKET

    def rewrite(self, exchange: Exchange) -> Rewrite | None:
        """Return what rewrites the answer to a request for a stored response, or for its end."""
        method, path = exchange.method, exchange.path
        found = _READ.search(normal_path(path)) if method == "GET" else None
        id_ = cancelled_id(method, path) if found is None else unquote(found[1])
        if id_ is None:
            return None
        return partial(self._rewritten, exchange=exchange, context=self.family.context(id_, None))

    def _rewritten(
        self,
        answer: bytes,
        *,
        exchange: Exchange,
        context: RequestContext,
    ) -> bytes:
        made = answered(answer, self.answer_plan, context, exchange)
        if self.settings.mode is not Mode.OBSERVE and self.settings.item_memory_bytes > 0:
            self.repairs.keep(exchange, items_of(made))
        return made


@dataclass(eq=False)
class ObservedRequest(StreamRequest):
    """A request in observe mode: its answer is looked at, and nothing else is done."""

    handler: ResponsesHandler

    def rewrite(self) -> Rewrite | None:
        """Return what counts the repairs that a JSON answer needs."""
        return partial(answered, plan=self.handler.answer_plan, context=self.context, exchange=self.exchange)


@dataclass(eq=False)
class ResponsesRequest(RepairingRequest):
    """A request for a new response, or for the stream of one that is stored: the latter has an id as its ``resource``.

    :ivar handler: the family's own.
    :ivar stored: reads stored responses in the name of the client.
    :ivar pollers: see :class:`ResponsesHandler`.
    :ivar starting_after: the last number that the client has seen; None: it wants the whole stream.
    """

    handler: ResponsesHandler
    stored: StoredResponses
    pollers: set[StatusPoller]
    starting_after: int | None

    async def take_body(self, body: bytes, document: Mapping[str, Any] | None) -> bytes:
        """Return the body for upstream: with the call_ids that it has stored, and repaired where no refusal will come."""
        self.context = self.handler.family.context(self.resource, document)
        if document is None:
            return body
        translated = await self._translated(body, document)
        request = dict(document) if translated is body else orjson.loads(translated)
        return await self.posts.first(translated, request)

    async def _translated(self, body: bytes, document: Mapping[str, Any]) -> bytes:
        """Return the body with the call_ids that upstream has stored, if it answers calls of a stored response."""
        response_id = answered_response(document)
        if response_id is None:
            return body
        try:
            stored = await self.stored.read(response_id)
        except UnreadableError:
            return body  # upstream's answer will show the client what is wrong
        translated = with_stored_ids(body, document, stored)
        if translated == body:
            return body
        self.exchange.metrics.requests_translated.inc()
        return translated

    def settle(self, status: int) -> int:
        """Take note that the request is not sent again; return which of upstream's answers the client gets."""
        settled = super().settle(status)
        if self.posts.conversion:
            self.context = replace(self.context, conversion=self.posts.conversion)
        return settled

    def rewrite(self) -> Rewrite | None:
        """Return what repairs a JSON answer, and keeps its items."""
        return self._rewritten

    def note_end(self, normalizer: StreamNormalizer) -> None:
        """Keep the items that the client was sent whole."""
        view = normalizer.view
        if self._keeps_items() and isinstance(view, ClientView):
            items = [item.item for item in view.items if item.closed]
            self.handler.repairs.keep(self.exchange, items)

    def _rewritten(self, answer: bytes) -> bytes:
        made = answered(answer, self.handler.answer_plan, self.context, self.exchange)
        if self._keeps_items():
            self.handler.repairs.keep(self.exchange, items_of(made))
        return made

    def _keeps_items(self) -> bool:
        """Return whether the client may name the items of the answer later: not if it wants nothing stored."""
        is_wanted = self.context.body is None or self.context.body.get("store") is not False
        return is_wanted and self.handler.settings.item_memory_bytes > 0

    def normalizer(self) -> StreamNormalizer:
        """Make the normalizer of the answer's stream; of a resumed one it emits the rest only."""
        return StreamNormalizer(self.handler.plan, self.context, starting_after=self.starting_after)

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
    found = _CANCEL.search(normal_path(path)) if method == "POST" else None
    return None if found is None else found[1]


def _is_responses(path: str) -> bool:
    """Return whether a path is that of all responses, behind whatever prefix."""
    return normal_path(path).endswith("/v1/responses")
