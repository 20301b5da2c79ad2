"""One server, the proxy before it, and taps that show what crosses: between the two, and before either for the clients.

requests → server                      "direct", what users have without the proxy
requests → proxy → behind → server     "proxied"
clients → before_server → server       the same two ways for real clients, whose posts are counted
clients → before_proxy → proxy → …
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from tests.labs.live.wire import Answer, Crossing, Tap, exchange
from tests.support.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.labs.live.server import Server, Way

DIRECT_SILENCE_SECONDS = 8
"""After so much silence a stream without the proxy counts as one that never ends; the next event comes within milliseconds."""
SETTINGS = ("--idle-timeout-seconds", "10", "--status-poll-seconds", "2")
"""The proxy's: less patience than by default, so that a run does not wait for ten minutes where vLLM has died."""
PROXIED_SILENCE_SECONDS = 40
"""Longer than all that the proxy waits for."""


class Setup:
    """Everything that a scenario needs; a context manager.

    :param url: of a vLLM server that is up.
    :param server: its process; None if somebody else runs it, who does not want it killed.
    :param model: what a server of somebody else calls its model; None if it has the names of this suite.
    """

    def __init__(self, url: str, way: Way, *, server: Server | None = None, model: str | None = None) -> None:
        self.way = way
        self.server = server
        self.behind = Tap(url)
        self.before_server = Tap(url, model=model)
        self._url = url
        self._model = model
        self._stack = AsyncExitStack()
        self._proxy_url = ""

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.behind)
        proxy = await self._stack.enter_async_context(Serving(self.behind.url, *SETTINGS))
        self._proxy_url = proxy.url
        self.before_proxy = await self._stack.enter_async_context(Tap(proxy.url, model=self._model))
        await self._stack.enter_async_context(self.before_server)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def server_url(self) -> str:
        return self._url

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        proxied: bool,
        silence_seconds: float = 0,
        leave: Callable[[bytes], bool] | None = None,
    ) -> Answer:
        """Send a request either way; see :func:`tests.labs.live.wire.exchange`."""
        url = self._proxy_url if proxied else self._url
        patience = silence_seconds or (PROXIED_SILENCE_SECONDS if proxied else DIRECT_SILENCE_SECONDS)
        return await exchange(url, method, path, self._named(body), silence_seconds=patience, leave=leave)

    async def post(
        self,
        body: dict[str, Any],
        *,
        proxied: bool,
        path: str = "/v1/responses",
        leave: Callable[[bytes], bool] | None = None,
    ) -> Answer:
        """Post a request; without a path, one for a response."""
        return await self.ask("POST", path, body, proxied=proxied, leave=leave)

    async def both(
        self, body: dict[str, Any], *, path: str = "/v1/responses"
    ) -> tuple[Answer, Answer, Answer]:
        """Post it either way: return the direct answer, what the proxy got, and what the proxy made of it."""
        direct = await self.post(body, proxied=False, path=path)
        self.behind.forget()
        emitted = await self.post(body, proxied=True, path=path)
        crossed: list[Crossing] = self.behind.posts(path)
        return direct, crossed[-1].answer if crossed else Answer(), emitted

    def _named(self, body: Any) -> Any:
        wanted = self._model is not None and isinstance(body, dict) and body.get("model") == "tiny"
        return {**body, "model": self._model} if wanted else body
