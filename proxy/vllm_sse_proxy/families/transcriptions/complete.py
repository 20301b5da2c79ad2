"""The third station: an event leaves in vLLM's own form or in OpenAI's, and what has no end gets an error.

vLLM cuts long audio into pieces of 30 seconds, finishes each, and says nowhere how many there are (T03). So only ``[DONE]``
behind the end of a piece shows that a transcript is whole.

With ``transcripts = openai`` each chunk that has words leaves as ``transcript.text.delta``, the ends of pieces are left out,
and ``transcript.text.done`` sums up at the end (T01, T04). What OpenAI has no word for, such as a piece that hit the token
limit, its clients do not see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.chunks import CHUNK, ERROR, SHARED_TYPES, TEXT, ChunkCompleter, choice_of
from vllm_sse_proxy.families.transcriptions.chunks import text_of
from vllm_sse_proxy.families.transcriptions.grammar import DELTA, DONE_EVENT
from vllm_sse_proxy.families.transcriptions.settings import Transcripts
from vllm_sse_proxy.stream.event import END, Event

if TYPE_CHECKING:
    from vllm_sse_proxy.families.transcriptions.view import TranscriptionsView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body
    from vllm_sse_proxy.stream.exit import Exit

_CHUNKS: Final = SHARED_TYPES - {ERROR}


class TranscriptionsCompleter(ChunkCompleter):
    """One stream's third station."""

    def __init__(self, context: StreamContext, view: TranscriptionsView, exit_: Exit) -> None:
        super().__init__(context, view, exit_)
        self._seen = view
        self._translates = context.settings.transcripts is Transcripts.OPENAI
        self._is_finished = False
        """whether the last piece of audio is, of a stream that leaves in the other form"""
        self._usage: Any = None

    def complete(self, event: Event) -> None:
        """Emit an event, in the form that is wanted; for END, an error if the transcript is not whole."""
        if event.type is END:
            self._end_all(event)
        elif self._translates and event.type in _CHUNKS:
            self._translate(event)
        else:
            super().complete(event)

    def _translate(self, event: Event) -> None:
        """Emit the words of a chunk, and take note of what else it says."""
        usage = event.body.get("usage")
        if type(usage) is dict:
            self._usage = usage
        choice = choice_of(event)
        if event.type == CHUNK or not choice:
            self._exit.tally.events_dropped += 1
            return
        self._is_finished = choice.get("finish_reason") is not None
        text = text_of(choice)
        if not text and event.type != TEXT:
            self._exit.tally.events_dropped += 1
        else:
            self._exit.emit(Event(DELTA, {"type": DELTA, "delta": text}))

    def _end_all(self, event: Event) -> None:
        """End the stream: a transcript is whole if the last piece is finished, and upstream said ``[DONE]``."""
        if event.body.get("said_done") is True:
            if self._is_finished:
                self._exit.emit(self._done_event())
            elif self._seen.is_finished:
                self._seen.conclude()
        super().complete(event)

    def _done_event(self) -> Event:
        body: Body = {"type": DONE_EVENT, "text": self._seen.transcript.text}
        usage = _tokens_of(self._usage)
        if usage is not None:
            body["usage"] = usage
        return Event(DONE_EVENT, body, inserted=True)


def _tokens_of(usage: Any) -> Body | None:
    """Return the counts of a usage object by OpenAI's names for transcriptions; None if it has none."""
    if type(usage) is not dict:
        return None
    given, made = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(given) is not int or given < 0:
        return None
    made = made if type(made) is int and made >= 0 else 0
    return {"type": "tokens", "input_tokens": given, "output_tokens": made, "total_tokens": given + made}
