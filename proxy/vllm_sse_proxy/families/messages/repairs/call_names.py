"""Names of functions: control tokens behind them (C21), ``query_dataset<|channel|>commentary``, and halves of them (C49).

The parsers are those of chat completions. What stands before a token is the name, if the request has such a tool. If the token
limit falls into a name, its call comes all the same, and clients run what they take for a tool, with nothing. A call with
the beginning of a tool's name and without any input, in a message that ends with ``max_tokens``, is left out: its start waits
for what follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.events import IDLE, delta_of, delta_type
from vllm_sse_proxy.families.messages.request import schemas_of
from vllm_sse_proxy.families.messages.results import reason_of
from vllm_sse_proxy.families.texts.function_names import clean_name, may_be_half
from vllm_sse_proxy.stream.repair import HOLD, PASS, Repair, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.messages.view import MessageView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event


class CallNames(Repair):
    """Cut what does not belong to a name, and leave out a call that was cut in it."""

    __slots__ = ("_tools",)

    name: ClassVar = "call_names"
    summary: ClassVar = "the name of a tool ends where a control token begins; half a name is not called"
    fixes: ClassVar = ("C21", "C49")
    handles: ClassVar = None

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._tools = schemas_of(context)

    def repair(self, event: Event, view: MessageView) -> Sequence[Event] | Verdict | None:  # noqa: ARG002 - a name is wrong in itself
        """Return the start of a call with the name alone; hold one whose name no tool has."""
        if self.held:
            return PASS if event.type in IDLE else self._decide(event)
        if event.type != grammar.BLOCK_START:
            return None
        content = event.body.get("content_block")
        if type(content) is not dict:
            return None
        name = content.get("name")
        if content.get("type") != grammar.TOOL_USE or type(name) is not str or not name:
            return None
        clean = clean_name(name, self._tools)
        if clean != name:
            return [event.having(content_block={**content, "name": clean})]
        return HOLD if not content.get("input") and may_be_half(name, self._tools) else None

    def _decide(self, event: Event) -> Sequence[Event] | Verdict | None:
        if event.type == grammar.BLOCK_STOP:
            return HOLD
        if event.type == grammar.BLOCK_DELTA and delta_type(event) == grammar.INPUT_DELTA:
            return None if delta_of(event).get("partial_json") else HOLD
        if event.type != grammar.MESSAGE_DELTA or reason_of(event) != grammar.MAX_TOKENS:
            return None
        self.take()
        return [event]
