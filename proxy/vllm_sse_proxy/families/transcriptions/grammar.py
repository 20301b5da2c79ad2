"""The protocol of streamed transcriptions as tables: OpenAI's events, and vLLM's own chunks.

Sources: for the events ``TranscriptionStreamEvent`` of openai 3.57, to which
``tests/families/transcriptions/test_grammar.py`` pins them; for the chunks ``speech_to_text`` of vLLM 0.10 to 0.33. vLLM
serves translations in the same chunks; OpenAI does not stream them.
"""

from __future__ import annotations

from typing import Final

DELTA: Final = "transcript.text.delta"
DONE_EVENT: Final = "transcript.text.done"
SEGMENT: Final = "transcript.text.segment"

STRINGS: Final = {DELTA: ("delta",), DONE_EVENT: ("text",), SEGMENT: ("id", "speaker", "text")}
"""Members of the events that are strings."""
NUMBERS: Final = {DELTA: (), DONE_EVENT: (), SEGMENT: ("start", "end")}
"""Members that are numbers: seconds."""

TRANSCRIPTION_CHUNK: Final = "transcription.chunk"
TRANSLATION_CHUNK: Final = "translation.chunk"
CHUNK_OBJECTS: Final = frozenset({TRANSCRIPTION_CHUNK, TRANSLATION_CHUNK})

FINISH_REASONS: Final = frozenset({"stop", "length"})
"""Of vLLM's chunks."""

TOKEN_COUNTS: Final = ("input_tokens", "output_tokens", "total_tokens")
