"""The family of ``/v1/audio/transcriptions`` and ``/v1/audio/translations``, as the engine knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.chunks import SHARED_TYPES, TEXT, UNFINISHED, ChunkFamily, ChunkWriter
from vllm_sse_proxy.families.transcriptions.chunks import kind_of
from vllm_sse_proxy.families.transcriptions.complete import TranscriptionsCompleter
from vllm_sse_proxy.families.transcriptions.grammar import DELTA, STRINGS
from vllm_sse_proxy.families.transcriptions.repairs import READ
from vllm_sse_proxy.families.transcriptions.settings import TranscriptionsSettings
from vllm_sse_proxy.families.transcriptions.view import TranscriptionsView
from vllm_sse_proxy.stream.correction import Correction, Station
from vllm_sse_proxy.stream.family import Endpoint

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body
    from vllm_sse_proxy.stream.exit import Exit, Writer
    from vllm_sse_proxy.stream.repair import Repair
    from vllm_sse_proxy.stream.settings import StreamSettings
    from vllm_sse_proxy.stream.stations import Completer
    from vllm_sse_proxy.stream.view import View


class Transcriptions(ChunkFamily):
    """``POST /v1/audio/transcriptions`` and ``POST /v1/audio/translations``."""

    name = "transcriptions"
    endpoints: tuple[Endpoint, ...] = (
        Endpoint("transcriptions", "POST", "/v1/audio/transcriptions", has_json_body=False),
        Endpoint("translations", "POST", "/v1/audio/translations", has_json_body=False),
    )
    settings: type[StreamSettings] = TranscriptionsSettings
    repairs: tuple[type[Repair], ...] = READ
    corrections: tuple[Correction, ...] = (
        Correction(
            UNFINISHED,
            "a transcript without its end ends with an error; a whole one with `[DONE]`",
            ("T05",),
            Station.COMPLETE,
        ),
    )
    deltas = frozenset({TEXT, DELTA})
    types = SHARED_TYPES | frozenset(STRINGS)

    def kind_of(self, body: Body) -> str:
        """Return the type of a chunk."""
        return kind_of(body)

    def view(self) -> View:
        """Return the view of a client that has been sent nothing."""
        return TranscriptionsView()

    def completer(self, context: StreamContext, view: View, exit_: Exit) -> Completer:
        """Return the third station."""
        assert isinstance(view, TranscriptionsView)  # noqa: S101 - it is this family's own
        return TranscriptionsCompleter(context, view, exit_)

    def writer(self, context: StreamContext, view: View) -> Writer:  # noqa: ARG002 - it needs nothing
        """Return the last station."""
        return ChunkWriter()


TRANSCRIPTIONS: Final = Transcriptions()
