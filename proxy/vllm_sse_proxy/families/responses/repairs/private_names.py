"""Names that only vLLM, its forks or a gateway use (R24, F01; ``ALIASES`` in ``grammar.py``).

``response.reasoning_part.added`` (vLLM 0.11 to 0.31, #24938) kills openai-node's ``.stream()`` ("Unhandled response
stream event") and every generated client with closed enums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.grammar import TERMINAL_OF_STATUS
from vllm_sse_proxy.families.responses.settings import Dialect, ResponsesSettings
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event


class PrivateNames(Repair):
    """Give an event the protocol's name; drop private notices that carry nothing of the response."""

    __slots__ = ("_knows_names",)

    name: ClassVar = "private_names"
    summary: ClassVar = "private event names become the protocol's; private notices are dropped"
    fixes: ClassVar = ("R24", "F01")
    handles: ClassVar = frozenset({*grammar.ALIASES.values(), *grammar.TERMINAL, *grammar.PRIVATE_NOTICES})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._knows_names = context.settings.dialect is Dialect.OPEN_RESPONSES

    @classmethod
    def wanted(cls, settings: ResponsesSettings) -> bool:
        """Dialect ``upstream`` keeps upstream's names."""
        return settings.dialect is not Dialect.UPSTREAM

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:  # noqa: ARG002 - a name is a name
        """Return the event under the protocol's name."""
        name = event.body["type"]
        if name == event.type:
            return [] if event.type in grammar.PRIVATE_NOTICES else None
        if event.type in grammar.TERMINAL:
            return [_with_status(event, name)]
        if self._knows_names and name == grammar.OPEN_RESPONSES_NAMES.get(event.type):
            return None  # the dialect's own
        return [event.renamed(event.type)]


def _with_status(event: Event, name: str) -> Event:
    """Return a private end under the protocol's name; where its response does not say how it ended, its name does."""
    response = event.body.get("response")
    known: dict[str, Any] = response if isinstance(response, dict) else {}
    status = known.get("status")
    if isinstance(status, str) and status in TERMINAL_OF_STATUS:
        return event.renamed(event.type)
    return event.renamed(event.type, response={**known, "status": name.rpartition(".")[2]})
