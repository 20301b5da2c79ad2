"""What the shell does for the requests of a family: the general case, and what a family with more to do may override."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from vllm_sse_proxy.config import KeepAlive
from vllm_sse_proxy.sse import encode_comment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multidict import CIMultiDict

    from vllm_sse_proxy.config import ServerSettings
    from vllm_sse_proxy.families import Family, StreamNormalizer
    from vllm_sse_proxy.server.body import UpstreamBody
    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.server.upstream import Upstream

_KEEP_ALIVE_COMMENT: Final = encode_comment(b"keep-alive")


class Poller(Protocol):
    """Finds out from upstream, beside one stream, whether its response is over. A context for as long as the stream lasts.

    :ivar asked_at: loop time at which upstream was last asked; minus infinity: never.
    """

    asked_at: float

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def poll(self) -> None:
        """Ask upstream now, unless it is being asked: the stream was silent for the polling time."""

    async def last_frame(self) -> bytes | None:
        """Return the terminal event that upstream should have sent; None if nothing proves that the response is over.

        Upstream's body is over. It is asked now if it was not, and its stream does not explain itself.
        """

    def stop(self) -> None:
        """Wait for no answer any more."""


class FamilyHandler:
    """Handles the requests of one family.

    :param upstream: for requests of the handler's own.
    """

    def __init__(self, family: Family, settings: ServerSettings, upstream: Upstream) -> None:
        self.family = family
        self.plan = settings.plan(family)
        self.settings = settings
        self.upstream = upstream

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


class StreamRequest:
    """One request that may be answered by a stream of the family.

    :ivar target: the request target for upstream.
    :ivar context: what the repairs may know about it.
    """

    def __init__(self, handler: FamilyHandler, exchange: Exchange, target: str, resource: str) -> None:
        self._handler = handler
        self._exchange = exchange
        self._resource = resource
        self.target = target
        self.context = handler.family.context(resource, None)

    async def take_body(self, body: bytes, document: Mapping[str, Any] | None) -> bytes:
        """Take note of what the request asks for, and return the body for upstream.

        :param document: the body as JSON; None if it is not an object.
        """
        self.context = self._handler.family.context(self._resource, document)
        return body

    def keepalive(self, normalizer: StreamNormalizer) -> bytes:
        """Return what keeps the stream alive while it is silent."""
        handler = self._handler
        event = (
            handler.family.keepalive(normalizer) if handler.settings.keepalive is KeepAlive.EVENT else None
        )
        return event or _KEEP_ALIVE_COMMENT

    def normalizer(self) -> StreamNormalizer:
        """Make the normalizer of the answer's stream."""
        return self._handler.family.normalizer(self._handler.plan, self.context)

    def poller(self, body: UpstreamBody, normalizer: StreamNormalizer) -> Poller | None:  # noqa: ARG002 - see Poller
        """Return a status poller for the answer's stream; None if polling it is of no use, or disabled."""
        return None
