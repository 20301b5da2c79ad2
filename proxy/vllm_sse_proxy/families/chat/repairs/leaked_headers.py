"""Headers of gpt-oss that leak into the content when the answer is cut in one, and its end token alone (C40).

Between two messages the model writes a header, ``<|start|>assistant<|channel|>commentary to=functions.lookup``. If the token
limit falls into it, vLLM 0.32 sends what there is of it as content; an answer that is only the end token is sent as that. What
is only such a header was never meant to be read. A header within a text is the model's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.chat.chunks import CHAT_CHOICE_TYPES
from vllm_sse_proxy.families.chat.reasons import reason_of
from vllm_sse_proxy.families.chat.request import ChatRequest
from vllm_sse_proxy.families.chat.texts import content_of, is_silent, keep_behind, release_before, with_texts
from vllm_sse_proxy.families.chunks import FINISH, OVER, TEXT, choice_of, index_of
from vllm_sse_proxy.families.markup import END_TOKENS, is_header
from vllm_sse_proxy.stream.repair import Released, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import ChatView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.repair import Verdict


class LeakedHeaders(Repair):
    """Drop content that is nothing but a header."""

    __slots__ = ("_request", "_waiting")

    name: ClassVar = "leaked_headers"
    summary: ClassVar = "content that is nothing but an end token or a cut header of gpt-oss is dropped"
    fixes: ClassVar = ("C40",)
    handles: ClassVar = CHAT_CHOICE_TYPES | OVER

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._request = ChatRequest.of(context)
        self._waiting: dict[int, list[Event]] = {}
        """choice → the chunks of a header that may be all there is until the finish"""

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | Verdict | None:
        """Hold what may be a header, until it is known whether the choice ends with it."""
        if event.type in OVER:
            return release_before(event, [each for events in self._waiting.values() for each in events])
        text = content_of(event)
        if not self._waiting and not text.startswith("<|"):
            return None
        choice = choice_of(event)
        index = index_of(choice)
        if is_silent(event):
            return keep_behind(event, self._waiting[index]) if index in self._waiting else None
        held = self._waiting.pop(index, None)
        if held is None and not text.startswith("<|"):
            return None
        whole = "".join(map(content_of, held or [])) + text
        is_end = _are_end_tokens(whole)
        may_be = not self._request.keeps_tokens and (is_end or is_header(whole))
        if event.type == FINISH and may_be and (is_end or reason_of(event) == "length"):
            return with_texts(event, [])
        if event.type == TEXT and may_be and view.may_wait(index):
            self._waiting[index] = [*(held or []), event]
            return Released(())
        return None if held is None else Released([*held, event])

    def watches(self, type_: str, view: ChatView) -> str | None:  # noqa: ARG002 - any text may begin so
        """Watch for what headers begin with."""
        if type_ != TEXT:
            return ""
        return None if self._waiting else "<"


def _are_end_tokens(text: str) -> bool:
    """Return whether a text is an end token, or several: a piece that comes again says it again."""
    if len(text) > _LONGEST_END:
        return False
    for token in END_TOKENS:
        text = text.replace(token, "")
    return text == ""


_LONGEST_END: Final = 100
"""Characters of end tokens that are looked at."""
