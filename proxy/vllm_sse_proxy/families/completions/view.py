"""What the client of a completion stream has been sent: its choices, and how long their texts are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.chunks import ChunkView, choice_of, index_of
from vllm_sse_proxy.families.completions.chunks import text_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.chunks import ChoiceView
    from vllm_sse_proxy.stream.event import Body, Event
    from vllm_sse_proxy.stream.view import TextView

TEXT_NAME: Final = "text"


class CompletionsView(ChunkView):
    """What the client of one stream knows."""

    def apply_content(self, view: ChoiceView, choice: Body) -> None:
        """Take note of the text of a choice."""
        text = text_of(choice)
        if text:
            self.grow(view.text(TEXT_NAME), text)

    def text_of(self, event: Event) -> TextView | None:
        """Return the text that a delta goes on with."""
        view = self._choices.get(index_of(choice_of(event)))
        return None if view is None else view.text(TEXT_NAME)

    def words_of(self, event: Event) -> str | None:
        """Return the words of a delta; None where log probabilities count them, with offsets that go on."""
        choice = choice_of(event)
        return None if choice.get("logprobs") is not None else text_of(choice)
