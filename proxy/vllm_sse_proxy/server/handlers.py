"""Which handler each family has: the one place where those that do more than repair their streams are plugged in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.server.handling import FamilyHandler
from vllm_sse_proxy.server.messages import MessagesHandler
from vllm_sse_proxy.server.responses import ResponsesHandler

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vllm_sse_proxy.server.upstream import Upstream
    from vllm_sse_proxy.settings import ServerSettings
    from vllm_sse_proxy.stream.family import Family

_HANDLERS: Final[dict[str, type[FamilyHandler]]] = {
    "responses": ResponsesHandler,
    "messages": MessagesHandler,
}
"""The families for which the shell does more than repair their streams."""


def handlers_of(
    families: Iterable[Family], settings: ServerSettings, upstream: Upstream
) -> list[FamilyHandler]:
    """Make a handler for each family."""
    return [_HANDLERS.get(family.name, FamilyHandler)(family, settings, upstream) for family in families]
