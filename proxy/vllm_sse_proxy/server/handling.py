"""What the shell does for the requests of a family: the general case, and what a family with more to do may override."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from vllm_sse_proxy.settings import KeepAlive
from vllm_sse_proxy.sse import encode_comment
from vllm_sse_proxy.stream.normalizer import StreamNormalizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multidict import CIMultiDict

    from vllm_sse_proxy.server.body import UpstreamBody
    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.server.upstream import Upstream
    from vllm_sse_proxy.settings import ServerSettings
    from vllm_sse_proxy.stream.context import RequestContext
    from vllm_sse_proxy.stream.family import Family
    from vllm_sse_proxy.stream.plan import Plan

Rewrite = Callable[[bytes], bytes]
"""Returns what the client gets instead of a whole answer; the same object if that is the answer itself. In observe mode it is
called for its counts only, once the client has the answer."""

_KEEP_ALIVE_COMMENT: Final = encode_comment(b"keep-alive")


class Poller(Protocol):
    """Finds out from upstream, beside one stream, whether its response is over. A context for as long as the stream lasts.

    :ivar asked_at: loop time at which upstream was last asked; minus infinity: never.
    """

    asked_at: float

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def poll(self) -> None:
        """Ask upstream, unless it is being asked: the stream was silent for the polling time."""

    async def last_frame(self) -> bytes | None:
        """Return the terminal event that upstream should have sent; None if nothing proves that the response is over.

        Call it when upstream's body is over: it may ask upstream first.
        """

    def stop(self) -> None:
        """Give up a poll that is on its way."""


@dataclass(eq=False)
class FamilyHandler:
    """Handles the requests of one family.

    :ivar upstream: for requests of the handler's own.
    :ivar plan: what all streams of the family share.
    """

    family: Family
    settings: ServerSettings
    upstream: Upstream
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        self.plan = self.settings.plan(self.family)

    def begin(
        self,
        exchange: Exchange,
        target: str,
        resource: str,
        headers: Callable[[], CIMultiDict[str]],  # noqa: ARG002 - for handlers with requests of their own
    ) -> StreamRequest:
        """Begin to handle a request.

        :param target: the request target.
        :param resource: the id in its path; "" without one.
        :param headers: makes the client's own end-to-end headers, as they are forwarded.
        """
        return StreamRequest(self, exchange, target, resource)

    def note_success(self, method: str, path: str) -> None:
        """Take note that upstream answered a request, of any route, with 200."""

    def note_unreachable(self) -> None:
        """Take note that upstream could not be connected to."""

    def lacks_websocket(self, path: str, status: int) -> bool:  # noqa: ARG002 - most families have none anywhere
        """Return whether this status, the answer to the wish for a WebSocket, means that there is none at this path."""
        return False

    def rewrite(
        self,
        exchange: Exchange,  # noqa: ARG002 - most families rewrite nothing
    ) -> Rewrite | None:
        """Return what rewrites the JSON answer to a request that cannot be answered by a stream; None for nearly all."""
        return None


@dataclass(eq=False)
class StreamRequest:
    """One request that may be answered by a stream of the family.

    :ivar target: the request target for upstream.
    :ivar context: what the repairs may know about it.
    """

    handler: FamilyHandler
    exchange: Exchange
    target: str
    resource: str
    context: RequestContext = field(init=False)

    def __post_init__(self) -> None:
        self.context = self.handler.family.context(self.resource, None)

    async def take_body(self, body: bytes, document: Mapping[str, Any] | None) -> bytes:
        """Take note of what the request asks for, and return the body for upstream.

        :param document: the body as JSON; None if it is not an object.
        """
        self.context = self.handler.family.context(self.resource, document)
        return body

    def settled(self) -> StreamRequest | None:
        """Return the request as its body has shown it to be; None if no stream of a known family can answer it.

        Call it once the body was taken, or could not be read.
        """
        return self

    def may_be_refused(self, status: int) -> bool:  # noqa: ARG002 - see after_refusal
        """Return whether an answer with this status may be a refusal after which the request is sent again."""
        return False

    def after_refusal(self, status: int, refusal: bytes) -> bytes | None:  # noqa: ARG002 - most families repair no requests
        """Return the body that is sent instead of a refused one; None if the request is not sent again.

        :param refusal: the body of the refusal.
        """
        return None

    def settle(self, status: int) -> int:  # noqa: ARG002 - as above
        """Take note that the request is not sent again; return which of upstream's answers the client gets, counted from 0.

        :param status: the last answer's.
        """
        return 0

    def rewrite(self) -> Rewrite | None:
        """Return what rewrites an answer that is JSON; None if nothing does."""
        return None

    def note_end(self, normalizer: StreamNormalizer) -> None:
        """Take note that the answer's stream is over."""

    def normalizer(self) -> StreamNormalizer:
        """Make the normalizer of the answer's stream."""
        return StreamNormalizer(self.handler.plan, self.context)

    def poller(self, body: UpstreamBody, normalizer: StreamNormalizer) -> Poller | None:  # noqa: ARG002 - see Poller
        """Return a status poller for the answer's stream; None if polling it is of no use, or disabled."""
        return None

    def keepalive(self, normalizer: StreamNormalizer) -> bytes:
        """Return what keeps the stream alive while it is silent."""
        wants_event = self.handler.settings.keepalive is KeepAlive.EVENT
        return (wants_event and self.handler.family.keepalive(normalizer.next_number)) or _KEEP_ALIVE_COMMENT
