"""The answer that upstream gives in the suite, byte by byte, and the phases of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

from tests.support.whole_stream import (
    ADDED,
    AT,
    COMPLETED,
    CREATED,
    DELTA,
    DONE,
    ITEM_DONE,
    PART,
    STARTED,
    WHOLE,
    event,
)

HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
)
LAST_CHUNK: Final = b"0\r\n\r\n"
TERMINALS: Final = ("response.completed", "response.incomplete", "response.failed")


def chunk(data: bytes) -> bytes:
    """Frame a piece of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass(frozen=True, slots=True)
class Script:
    """An answer as it stands on the wire, each frame of the body in a chunk of its own.

    :ivar ends: offset in ``wire`` at which the data of each frame ends (its blank line included).
    """

    frames: tuple[bytes, ...]
    wire: bytes
    ends: tuple[int, ...]

    @classmethod
    def of(cls, frames: tuple[bytes, ...]) -> Script:
        """Put frames on the wire."""
        wire, ends = HEAD, []
        for frame in frames:
            wire += chunk(frame)
            ends.append(len(wire) - 2)
        return cls(frames, wire + LAST_CHUNK, tuple(ends))

    def within(self, frame: bytes) -> int:
        """Return an offset in the middle of a frame's data."""
        return self.after(frame) - len(frame) // 2

    def after(self, frame: bytes) -> int:
        """Return the offset behind a frame's chunk."""
        return self.ends[self.frames.index(frame)] + 2

    def ended(self, at: int) -> Script:
        """Return an answer whose body ends cleanly where this one's has come to after so many bytes."""
        whole = self.whole(at)
        rest = self.frames[len(whole) :]
        if not rest or at <= self.ends[len(whole)] - len(rest[0]):
            return Script.of(whole)
        return Script.of((*whole, rest[0][: at - self.ends[len(whole)]]))

    def whole(self, sent: int) -> tuple[bytes, ...]:
        """Return the frames that are whole in the first ``sent`` bytes."""
        return tuple(frame for frame, end in zip(self.frames, self.ends, strict=True) if end <= sent)

    def readable(self, sent: int) -> tuple[bytes, ...]:
        """Return the frames that lack nothing, or only the blank line behind them."""
        return self.whole(sent + 2)


PLAIN: Final = Script.of(WHOLE)

PHASES: Final[dict[str, int]] = {
    "before head": 0,
    "in head": len(HEAD) // 2,
    "before first event": len(HEAD),
    "in first event": PLAIN.within(CREATED),
    "between events": PLAIN.after(PART),
    "in event": PLAIN.within(DELTA),
    "before terminal": PLAIN.after(ITEM_DONE),
    "in terminal": PLAIN.within(COMPLETED),
    "before [DONE]": PLAIN.after(COMPLETED),
    "after [DONE]": PLAIN.after(DONE),
}
"""Where in the answer something may happen, as bytes that came before it."""

LONG_BEGINNING: Final = (CREATED, STARTED, ADDED, PART)


def delta(number: int, text: str) -> bytes:
    """Return one delta of the message of :mod:`tests.support.whole_stream`."""
    return event("response.output_text.delta", sequence_number=number, **AT, delta=text, logprobs=[])


def deltas_of(body: bytes) -> str:
    """Return the text of a stream's deltas."""
    texts = []
    for frame in body.split(b"\n\n"):
        data = frame.partition(b"data: ")[2]
        if b"output_text.delta" in data:
            texts.append(orjson.loads(data)["delta"])
    return "".join(texts)
