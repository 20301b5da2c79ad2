"""What the client of a transcription stream has been sent: its text, and whether the last piece of audio is finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm_sse_proxy.families.chunks import CUT_REASONS, ChunkView
from vllm_sse_proxy.families.transcriptions.chunks import text_of, words_in
from vllm_sse_proxy.families.transcriptions.grammar import DELTA, DONE_EVENT, SEGMENT
from vllm_sse_proxy.stream.ending import Ending
from vllm_sse_proxy.stream.view import TextView

if TYPE_CHECKING:
    from vllm_sse_proxy.families.chunks import ChoiceView
    from vllm_sse_proxy.stream.event import Body, Event


class TranscriptionsView(ChunkView):
    """What the client of one stream knows.

    :ivar transcript: all of the text.
    :ivar is_finished: whether the last piece of audio is. Another one may follow, until upstream says ``[DONE]``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.transcript = TextView()
        self.is_finished = False
        self._is_cut = False

    @property
    def is_over(self) -> bool:
        """Whether the transcript is whole."""
        return self.outcome in (Ending.COMPLETED, Ending.INCOMPLETE)

    def apply(self, event: Event) -> None:
        """Take note of an event that goes out."""
        if event.type == DELTA:
            self.heard = True
            self.grow(self.transcript, words_in(event) or "")
        elif event.type in (DONE_EVENT, SEGMENT):
            self.heard = True
            if event.type == DONE_EVENT:
                self.outcome = Ending.COMPLETED
        else:
            super().apply(event)

    def apply_content(self, view: ChoiceView, choice: Body) -> None:  # noqa: ARG002 - there is one text
        """Take note of the text of a chunk, and of the end of a piece of audio."""
        text, reason = text_of(choice), choice.get("finish_reason")
        if text:
            self.grow(self.transcript, text)
        self.is_finished = reason is not None
        self._is_cut = self._is_cut or (type(reason) is str and reason in CUT_REASONS)

    def conclude(self) -> None:
        """Take note that the stream is over, and how."""
        self.outcome = Ending.INCOMPLETE if self._is_cut else Ending.COMPLETED

    def text_of(self, event: Event) -> TextView | None:  # noqa: ARG002 - there is one text
        """Return the text that a delta goes on with."""
        return self.transcript

    def words_of(self, event: Event) -> str | None:
        """Return the words of a delta."""
        return words_in(event)
