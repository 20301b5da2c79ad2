"""Requests of ``/v1/messages``: what the shell does for them beyond repairing their streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from vllm_sse_proxy.families.messages.requests import MessagesPlanner, has_budget, misread_in
from vllm_sse_proxy.server.handling import FamilyHandler, StreamRequest
from vllm_sse_proxy.server.repairing import RepairingRequest, RequestPosts, RequestRepairs
from vllm_sse_proxy.settings import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multidict import CIMultiDict

    from vllm_sse_proxy.families.requests import Facts
    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.stream.normalizer import StreamNormalizer


class MessagesRepairs(RequestRepairs):
    """What the requests of one process share."""

    def misread_in(self, request: dict[str, Any], facts: Facts) -> frozenset[str]:
        """Return the names of what upstream misreads in a request that it has accepted."""
        return misread_in(request, facts)


@dataclass(eq=False)
class MessagesHandler(FamilyHandler):
    """Handles the requests of Anthropic's protocol. In observe mode they are forwarded as they are.

    :ivar repairs: what the repairs of all requests share.
    """

    repairs: RequestRepairs = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        planner = MessagesPlanner(
            disabled=self.settings.disable_repairs, enabled=self.settings.enable_repairs
        )
        self.repairs = MessagesRepairs(self.settings, self.upstream, planner)

    def begin(
        self, exchange: Exchange, target: str, resource: str, headers: Callable[[], CIMultiDict[str]]
    ) -> StreamRequest:
        """Begin to handle a request."""
        if self.settings.mode is Mode.OBSERVE:
            return super().begin(exchange, target, resource, headers)
        return MessagesRequest(
            self, exchange, target, resource, RequestPosts(self.repairs, exchange, headers)
        )

    def note_unreachable(self) -> None:
        """Take note that upstream could not be connected to."""
        self.repairs.note_unreachable()


@dataclass(eq=False)
class MessagesRequest(RepairingRequest):
    """A request for a message, or for a count of its tokens."""

    _has_budget: bool = False

    async def take_body(self, body: bytes, document: Mapping[str, Any] | None) -> bytes:
        """Return the body for upstream, and take note of whether it asks for a budget of thinking."""
        taken = await super().take_body(body, document)
        sent = document if taken is body else orjson.loads(taken)
        self._has_budget = sent is not None and has_budget(sent)
        return taken

    def note_end(self, normalizer: StreamNormalizer) -> None:
        """Learn from a stream that was nothing but a 400: no budgets, very likely, which no refusal would have shown."""
        failure = normalizer.failure
        if self._has_budget and failure is not None and failure.status == HTTPStatus.BAD_REQUEST:
            self.posts.note_no_budgets()
