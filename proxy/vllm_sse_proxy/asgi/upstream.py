"""The application as an upstream: what the handlers of the families ask beside a client's request is asked by calling it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.asgi.protocol import BODY, DISCONNECT, REQUEST, START, Message, encoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.asgi.protocol import Application, Scope

current: Final[ContextVar[Scope]] = ContextVar("current")
"""The scope of the request in whose name the application is asked."""

_OF_THE_ROUTE: Final = ("path_params", "endpoint", "route", "router")
"""What a router has left in a scope, about another path."""


class AppAnswer:
    """A whole answer of the application, with as much of aiohttp's response as the handlers use.

    :ivar content: reads the body: itself.
    """

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.content = self
        self._body = body

    async def read(self, size: int) -> bytes:
        """Return at most so much of the body."""
        piece, self._body = self._body[:size], self._body[size:]
        return piece

    async def readany(self) -> bytes:
        """Return all that is left of the body."""
        return await self.read(len(self._body))

    def close(self) -> None:
        """Let go of the body."""
        self._body = b""


class AppUpstream:
    """Sends requests to the application itself, as :class:`~vllm_sse_proxy.server.upstream.Upstream` does over the network."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> AppAnswer:
        """Send a request, and return the answer.

        :raises OSError: the application did not answer, or raised.
        """
        path, _, query = target.partition("?")
        scope = {name: value for name, value in current.get().items() if name not in _OF_THE_ROUTE}
        scope |= {
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": encoded(headers),
        }
        status = 0
        pieces: list[bytes] = []
        waiting = [{"type": REQUEST, "body": body or b"", "more_body": False}]

        async def receive() -> Message:
            return waiting.pop() if waiting else {"type": DISCONNECT}

        async def take(message: Message) -> None:
            nonlocal status
            if message["type"] == START:
                status = message["status"]
            elif message["type"] == BODY:
                pieces.append(message.get("body", b""))

        try:
            await self._app(scope, receive, take)
        except Exception as error:
            raise OSError(f"the application raised {type(error).__name__}") from error
        if not status:
            raise OSError("the application did not answer")
        return AppAnswer(status, b"".join(pieces))
