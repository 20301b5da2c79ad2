"""The name of reasoning (C06): ``reasoning_content`` up to 0.15, ``reasoning`` from 0.11.1 on.

Neither is OpenAI's. Most clients that show reasoning read either name, some of them one only, and none that was looked at
shows both. So by default it leaves under both names; the setting ``chat_reasoning`` chooses one, or upstream's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.chat.chunks import delta_of, with_delta
from vllm_sse_proxy.families.chat.grammar import REASONING_NAMES
from vllm_sse_proxy.families.chat.settings import ChatReasoning, ChatSettings
from vllm_sse_proxy.families.chunks import CHOICE, FINISH, TEXT, choice_of
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import ChatView
    from vllm_sse_proxy.stream.event import Event

_NAMES = {
    ChatReasoning.BOTH: REASONING_NAMES,
    ChatReasoning.REASONING: ("reasoning",),
    ChatReasoning.REASONING_CONTENT: ("reasoning_content",),
}


class ReasoningNames(Repair):
    """Emit reasoning by the names that are wanted."""

    __slots__ = ()

    name: ClassVar = "reasoning_names"
    summary: ClassVar = "reasoning has both of its names, or the one that the setting `chat_reasoning` says"
    fixes: ClassVar = ("C06",)
    handles: ClassVar = frozenset({TEXT, CHOICE, FINISH})

    @classmethod
    def wanted(cls, settings: ChatSettings) -> bool:
        """Return whether upstream's names are to be changed."""
        return settings.chat_reasoning is not ChatReasoning.UPSTREAM

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | None:  # noqa: ARG002 - it is wrong in itself
        """Return the chunk with reasoning by the wanted names."""
        delta = delta_of(choice_of(event))
        new, old = (delta.get(name) for name in REASONING_NAMES)
        if (new is None and old is None) or (new and old and new != old):
            return None  # there is none, or two, which nobody knows how to join
        text = new or old or ""
        names = _NAMES[self.context.settings.chat_reasoning]
        if all(delta.get(name) == (text if name in names else None) for name in REASONING_NAMES):
            return None
        named = {name: value for name, value in delta.items() if name not in REASONING_NAMES}
        named |= dict.fromkeys(names, text)
        return [with_delta(event, named)]
