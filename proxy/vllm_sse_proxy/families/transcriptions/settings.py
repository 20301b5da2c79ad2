"""What steers the repair of transcription streams, the same for every stream of a process."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vllm_sse_proxy.stream.settings import StreamSettings


class Transcripts(StrEnum):
    """The form in which transcriptions are emitted."""

    UPSTREAM = "upstream"
    OPENAI = "openai"


@dataclass(frozen=True, slots=True)
class TranscriptionsSettings(StreamSettings):
    """What steers the repairs of transcription streams."""

    transcripts: Transcripts = Transcripts.UPSTREAM
