"""What the requests of the Responses API share: beside what made them pass, the items that were emitted.

A client that stores nothing itself only names them in its next request.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses.requests import (
    ItemMemory,
    ResponsesPlanner,
    misread_in,
    owner_of,
    references,
)
from vllm_sse_proxy.server.credentials import CLIENT_CREDENTIALS
from vllm_sse_proxy.server.repairing import RequestRepairs

if TYPE_CHECKING:
    from typing import Self

    from vllm_sse_proxy.families.requests import Facts, Key
    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.server.headers import RawHeaders
    from vllm_sse_proxy.server.upstream import Upstream
    from vllm_sse_proxy.settings import ServerSettings

_CREDENTIALS: Final = tuple(name.lower().encode() for name in CLIENT_CREDENTIALS)
"""Headers that say whose a request is: the client's own, not what upstream gets instead."""


@dataclass(eq=False)
class ResponsesRepairs(RequestRepairs):
    """What the requests of one process share.

    :ivar items: what was emitted, for clients that only name it in their next request.
    """

    items: ItemMemory = field(init=False)

    @classmethod
    def of(cls, settings: ServerSettings, upstream: Upstream) -> Self:
        """Make them from the settings."""
        planner = ResponsesPlanner(disabled=settings.disable_repairs, enabled=settings.enable_repairs)
        return cls(settings, upstream, planner)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.items = ItemMemory(max_bytes=self.settings.item_memory_bytes)

    def keep(self, exchange: Exchange, items: list[Any]) -> None:
        """Keep items that were emitted to a client."""
        if not items:
            return
        owner = _owner(exchange.raw_headers)
        now = asyncio.get_running_loop().time()
        for item in items:
            self.items.keep(owner, item, now)

    def known_facts(self, key: Key, request: dict[str, Any], exchange: Exchange) -> Facts:
        """Return what is known, and with it the items that a request only names, as far as they are known."""
        facts = super().known_facts(key, request, exchange)
        ids = references(request)
        if not ids:
            return facts
        found = self.items.find(_owner(exchange.raw_headers), ids, asyncio.get_running_loop().time())
        return replace(facts, items=found)

    def misread_in(self, request: dict[str, Any], facts: Facts) -> frozenset[str]:
        """Return the names of what upstream misreads in a request that it has accepted."""
        return misread_in(request, facts)


def _owner(raw_headers: RawHeaders) -> bytes:
    """Return the digest of a client's credential."""
    found = [value for wanted in _CREDENTIALS for name, value in raw_headers if name.lower() == wanted]
    return owner_of(b"\n".join(found))
