"""A request on its way into the application: its body read once, replayed for every call, and the client's leaving."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vllm_sse_proxy.asgi.protocol import DISCONNECT, REQUEST, Message

if TYPE_CHECKING:
    from vllm_sse_proxy.asgi.protocol import Receive


class Incoming:
    """The client's side of a request.

    :ivar body: what was read of its body.
    :ivar is_whole: whether that is all of it.
    :ivar is_gone: whether the client has left.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._stop = asyncio.Event()
        self.body = b""
        self.is_whole = False
        self.is_gone = False

    async def read(self, limit_bytes: int) -> None:
        """Read the body, or its beginning if it is larger than that."""
        pieces = []
        size = 0
        while not self.is_whole and not self.is_gone and size <= limit_bytes:
            message = await self._receive()
            if message["type"] == DISCONNECT:
                self.is_gone = True
            else:
                piece = message.get("body", b"")
                pieces.append(piece)
                size += len(piece)
                self.is_whole = not message.get("more_body", False)
        self.body = b"".join(pieces)

    def stop(self) -> None:
        """Let the application believe that the client has left: nothing that it sends is of use any more."""
        self._stop.set()

    def replay(self, body: bytes) -> Receive:
        """Return what the application receives, with this body.

        :param body: all of it, or its beginning if it was not read whole.
        """
        begun = [] if self.is_gone else [{"type": REQUEST, "body": body, "more_body": not self.is_whole}]

        async def receive() -> Message:
            return begun.pop() if begun else await self._next()

        return receive

    async def pass_on(self) -> Message:
        """Receive what the client sends, unread."""
        return await self._next()

    async def _next(self) -> Message:
        """Wait for the client's next message, or for the order to stop."""
        if self.is_gone or self._stop.is_set():
            return {"type": DISCONNECT}
        received = asyncio.ensure_future(self._receive())
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({received, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not received.done():
                return {"type": DISCONNECT}
            message = received.result()
        finally:
            received.cancel()
            stopped.cancel()
        if message["type"] == DISCONNECT:
            self.is_gone = True
        return message
