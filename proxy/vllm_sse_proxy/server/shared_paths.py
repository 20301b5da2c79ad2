"""Paths that several families share: the request's body says which of them it is meant for.

vLLM's ``/invocations`` (the one path of Amazon SageMaker) tries the request's body as a chat completion, then as a completion,
then as requests that no stream answers. So do these classes, with the families in their order. What is in no family passes
through, and so does a request whose body could not be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vllm_sse_proxy.server.handling import FamilyHandler, StreamRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multidict import CIMultiDict

    from vllm_sse_proxy.server.exchange import Exchange

Candidates = tuple[tuple[tuple[str, ...], FamilyHandler], ...]
"""Members of a body, one of which shows that the request is meant for a family, and the family's handler; in order."""


@dataclass(eq=False)
class SharedPathHandler(FamilyHandler):
    """Handles the requests of one path. Before their body is read they count as requests of the first family.

    :ivar candidates: the families.
    """

    candidates: Candidates = ()

    @classmethod
    def of(cls, candidates: Candidates) -> SharedPathHandler:
        """Make the handler of a path."""
        first = candidates[0][1]
        return cls(first.family, first.settings, first.upstream, candidates)

    def begin(
        self, exchange: Exchange, target: str, resource: str, headers: Callable[[], CIMultiDict[str]]
    ) -> StreamRequest:
        """Begin to handle a request."""
        return SharedPathRequest(self, exchange, target, resource, headers, self.candidates)


@dataclass(eq=False)
class SharedPathRequest(StreamRequest):
    """A request that turns into one of a family's when its body is read.

    :ivar headers: makes the client's own end-to-end headers, as they are forwarded.
    :ivar candidates: the families.
    """

    headers: Callable[[], CIMultiDict[str]]
    candidates: Candidates
    _settled: StreamRequest | None = None

    async def take_body(self, body: bytes, document: Mapping[str, Any] | None) -> bytes:
        """Find the family that the body is meant for, and let its handler take the body."""
        for members, handler in self.candidates:
            if document is not None and not document.keys().isdisjoint(members):
                self._settled = handler.begin(self.exchange, self.target, self.resource, self.headers)
                return await self._settled.take_body(body, document)
        return body

    def settled(self) -> StreamRequest | None:
        """Return the request of the family that was found; None if none was."""
        return self._settled
