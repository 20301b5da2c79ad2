"""Which family a stream belongs to, by its content: for `check` and `repair` on standard input, and for `/invocations`.

A path may mislead (`/invocations` serves chat, completions and more), but the first payload does not: each family has a mark
that no other has. Comments, pings and payloads other than JSON bear no mark. An error may come first, and nothing after it;
then its form decides, as far as it can: OpenAI's own error is the same in chat, completions and audio, and counts as chat.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import orjson

from vllm_sse_proxy.sse import FrameDecoder, FrameTooLargeError

MOST_BYTES: Final = 1 << 20
"""How much of a stream is read to find out its family: the first event says it."""


class Family(StrEnum):
    """The families of streams, by the names that settings, metrics and packages use."""

    RESPONSES = "responses"
    CHAT = "chat"
    COMPLETIONS = "completions"
    MESSAGES = "messages"
    TRANSCRIPTIONS = "transcriptions"


_BY_OBJECT: Final = {
    "chat.completion.chunk": Family.CHAT,
    "text_completion": Family.COMPLETIONS,
    "transcription.chunk": Family.TRANSCRIPTIONS,
    "translation.chunk": Family.TRANSCRIPTIONS,
}
_BY_TYPE: Final = {
    "message_start": Family.MESSAGES,
    "content_block_start": Family.MESSAGES,
    "content_block_delta": Family.MESSAGES,
    "content_block_stop": Family.MESSAGES,
    "message_delta": Family.MESSAGES,
    "message_stop": Family.MESSAGES,
}
_BY_PREFIX: Final = (("response.", Family.RESPONSES), ("transcript.", Family.TRANSCRIPTIONS))
_MESSAGES_ERROR: Final = frozenset({"type", "message"})
"""All that Anthropic's error object has; those of Responses have a code and a param, beside it or in it."""


def family_of_payload(payload: object) -> Family | None:
    """Return the family whose mark a decoded payload bears, None if it bears none. An error bears none."""
    if not isinstance(payload, dict):
        return None
    object_, type_ = payload.get("object"), payload.get("type")
    if isinstance(object_, str) and object_ in _BY_OBJECT:
        return _BY_OBJECT[object_]
    if isinstance(type_, str):
        if type_ in _BY_TYPE:
            return _BY_TYPE[type_]
        for prefix, family in _BY_PREFIX:
            if type_.startswith(prefix):
                return family
    return _family_of_choices(payload.get("choices"))


def family_of_error(payload: object, event_name: str | None = None) -> Family | None:
    """Return the family that an error most likely belongs to, None if the payload is not an error.

    :param event_name: of the `event:` line, which only Responses and messages have.
    """
    if not isinstance(payload, dict):
        return None
    error = payload.get("error")
    if payload.get("type") == "error":
        is_bare = (
            isinstance(error, dict) and error.keys() <= _MESSAGES_ERROR and "sequence_number" not in payload
        )
        return Family.MESSAGES if is_bare else Family.RESPONSES
    if error is None and payload.get("object") != "error":
        return None
    return Family.CHAT if event_name is None else Family.RESPONSES


def _family_of_choices(choices: Any) -> Family | None:
    """Return the family of a chunk without its `object`, by its first choice."""
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict):
        return None
    if "delta" in first:
        return Family.CHAT if "index" in first else Family.TRANSCRIPTIONS
    return Family.COMPLETIONS if "text" in first else None


class FamilyRecogniser:
    """Finds the family of one stream: ``feed`` it the events until one bears a mark, or ask ``likely`` at the end."""

    __slots__ = ("_family", "_likely")

    def __init__(self) -> None:
        self._family: Family | None = None
        self._likely: Family | None = None

    def feed(self, event_name: str | None, data: bytes) -> Family | None:
        """Take the next event; return the family as soon as it is certain. Never raises."""
        if self._family is None:
            payload = _decoded(data)
            self._family = family_of_payload(payload)
            if self._likely is None:
                self._likely = family_of_error(payload, event_name)
        return self._family

    @property
    def certain(self) -> Family | None:
        """The family that is certain, None while there is none."""
        return self._family

    @property
    def likely(self) -> Family | None:
        """The family that is certain, else the likely one by an error that came, else None."""
        return self._family or self._likely


class StreamRecogniser:
    """Finds the family of a body that comes in chunks: ``feed`` it until it returns a family, or has given up.

    :ivar gave_up: nothing in as many bytes as it reads at most bore a mark.
    """

    __slots__ = ("_decoder", "_most_bytes", "_read_bytes", "_recogniser", "gave_up")

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._decoder = FrameDecoder(max_frame_bytes=most_bytes)
        self._recogniser = FamilyRecogniser()
        self._read_bytes = 0
        self.gave_up = False

    def feed(self, chunk: bytes) -> Family | None:
        """Take the next chunk; return the family once it is certain. Never raises."""
        if self.gave_up:
            return None
        self._read_bytes += len(chunk)
        try:
            for frame in self._decoder.feed(chunk):
                if frame.comment is None and self._recogniser.feed(frame.event, frame.data) is not None:
                    break
        except FrameTooLargeError:
            self.gave_up = True
            self._decoder = FrameDecoder()  # which holds nothing
        self.gave_up = self.gave_up or self._read_bytes > self._most_bytes
        return self._recogniser.certain

    def finish(self) -> Family | None:
        """Return the family that is certain, or else likely, of a body that is over, or of which no more is read."""
        begun = self._decoder.finish()
        if begun is not None:
            self._recogniser.feed(begun.event, begun.data)
        return self._recogniser.likely


def family_of_stream(stream: bytes) -> Family | None:
    """Return the family of a whole body or of its beginning, None if nothing in it says. Never raises."""
    recogniser = StreamRecogniser(len(stream) + 1)
    recogniser.feed(stream)
    return recogniser.finish()


def _decoded(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except ValueError:
        return None
