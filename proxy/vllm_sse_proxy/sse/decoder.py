r"""Bytes of an event stream, however they were cut, to frames (WHATWG HTML, 9.2.5 and 9.2.6).

    stream = [ bom ] *event      event = *( comment / field ) end-of-line      end-of-line = CRLF / LF / CR

Rules:

- A frame is handed out with the byte that ends its blank line. A CR at the end of a chunk ends its line there and then;
  if the next chunk begins with LF, that LF belonged to the CR.
- No bytes whatever raise anything but `FrameTooLargeError`.
- What comes out does not depend on how the input was cut, the error included.
- `id`, `retry` and unknown fields are ignored; a frame without a `data` field dispatches nothing.
- A comment is handed out where it stood, so a comment inside a frame comes before that frame.

Two liberties are taken where the standard would lose what a server meant (issue 12):

- A BOM before a field name or a comment does not belong to it. The standard removes one at the head of the body only.
- Lines that look like JSON and belong to no field are handed out with their frame as `Frame.stray`: the rest of JSON that was
  written over several lines behind one `data:`, or an error object that was written into the body without any.

How it works. CRLF and CR become LF first (`bytes.replace` runs at memory speed and leaves a chunk without CR alone), so the
rest knows one line end. `split(b"\n\n")` then cuts at blank lines: of two LF in a row the second is a blank line, whatever
went before, so each block is some lines followed by a blank one. A block that is exactly what servers send, one `event: `
and one `data: ` line or one comment, becomes a frame by two slices; any other is read line by line.

Time is linear: only an unfinished line is kept as bytes, a chunk is searched for LF before it is joined to that line, and so
each byte is looked at when it arrives and once more when its line ends, never again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NoReturn

from vllm_sse_proxy.sse.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

_BOM: Final = b"\xef\xbb\xbf"
_MARKS: Final = re.compile(b"(?:%b)+" % _BOM)
_CR: Final = 13
_LF: Final = 10
"""As numbers: Python looks for a byte at once, and for bytes in bytes only after it has raised and caught an error."""
_EVENT: Final = b"event: "
_DATA: Final = b"data: "
_COLON: Final = b":"
_COLON_AND_SPACE: Final = b": "
_STARTS_OF_JSON: Final = (b"{", b"[")
_STARTS_OF_JSON_LINES: Final = (b" ", b"\t", b'"', b"{", b"}", b"[", b"]")
"""How lines begin over which JSON was spread. No field that a server means as one begins so."""

#: A frame holds one event of JSON. vLLM's largest is the final object, that repeats request and output: some MiB at most.
DEFAULT_MAX_FRAME_BYTES: Final = 8 * 1024 * 1024


class FrameTooLargeError(Exception):
    """The stream holds a frame or line longer than the limit; the decoder has dropped it and reads no further.

    Attributes:
        limit: the limit, in bytes.
        frames: what the failed `feed` had decoded before the oversized frame; `read` has handed that out itself.

    """

    def __init__(self, limit: int) -> None:
        """Keep the limit for the caller, who has to say why the stream ends."""
        super().__init__(f"an event of the stream is larger than {limit} bytes")
        self.limit = limit
        self.frames: list[Frame] = []


class FrameDecoder:
    """Decode one stream: `read` (or `feed`) every chunk, then `finish`.

    Chunks that `split` takes apart need not be read.

    `max_frame_bytes` bounds everything that is held between two calls: the `data` and `event` lines of the frame that
    has begun, and the line that has. Without it a server that never sends a line end would fill the memory.
    """

    __slots__ = (
        "_after_cr",
        "_after_stray",
        "_data",
        "_event",
        "_failed",
        "_held",
        "_lead",
        "_limit",
        "_partial",
        "_stray",
    )

    def __init__(self, *, max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES) -> None:
        """Begin before the first byte of a stream."""
        self._limit = max_frame_bytes
        self._lead: bytes | None = b""  # what may still become a BOM; None once that is decided
        self._after_cr = False  # the last chunk ended in CR
        self._partial = bytearray()  # the line that has begun
        self._event: bytes | None = None  # fields of the frame that has begun
        self._data: list[bytes] = []
        self._stray: list[bytes] = []  # its lines that look like JSON and belong to no field
        self._after_stray = (
            False  # the last block had nothing but such lines: JSON with blank lines in it may go on
        )
        self._held = 0  # bytes of the lines that all of these came in
        self._failed = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames and comments that `chunk` completes, in order.

        Raises `FrameTooLargeError`, and after that again on every call.
        """
        frames: list[Frame] = []
        try:
            for frame in self.read(chunk):
                frames.append(frame)  # noqa: PERF402 - once compiled, extend() keeps none of them if the last step raises
        except FrameTooLargeError as error:
            error.frames = frames
            raise
        return frames

    def read(self, chunk: bytes) -> Iterator[Frame]:
        """Yield what `feed` returns, one by one. Take all of it before the next call, or make none."""
        if self._failed:
            raise FrameTooLargeError(self._limit)
        plain = self._lead is None and not self._after_cr and _CR not in chunk
        text = chunk if plain else self._normalise(chunk)
        if self._partial:
            if _LF not in text:
                self._keep(text)
                return
            text = b"".join((self._partial, text))
            self._partial.clear()
        blocks = text.split(b"\n\n")
        tail = blocks.pop()
        if blocks:
            yield from self._read_blocks(blocks)
        if tail:
            lines = tail.split(b"\n")
            unfinished = lines.pop()
            for line in lines:
                if (comment := self._read_line(line)) is not None:
                    yield comment
            self._keep(unfinished)

    def begins_with(self, chunk: bytes) -> bool:
        """Return whether a frame begins with a chunk, and is not too long: nothing else has begun before it."""
        return (
            self._lead is None
            and self._held == 0
            and not self._partial
            and not self._after_cr
            and not self._failed
            and len(chunk) <= self._limit
        )

    def split(self, chunk: bytes) -> list[bytes] | None:
        """Return the blocks of a chunk that is nothing but whole ones: their lines, without the blank line behind them.

        Each of them is for `parse`, unless the caller can do with it as it is. Any other chunk must be `read`: None.
        """
        if self._lead == b"" and chunk and not chunk.startswith(_BOM[:1]):
            self._lead = None
        if not self.begins_with(chunk) or not chunk.endswith(b"\n\n") or _CR in chunk:
            return None
        return chunk[:-2].split(b"\n\n")

    def plain(self, chunk: bytes) -> Frame | None:
        """Return the frame of a chunk that is exactly what servers send for one event; None for any other.

        The chunk must be one that a frame begins with.
        """
        is_whole = chunk.endswith(b"\n\n") and _CR not in chunk
        return _read_plain(chunk[:-2]) if is_whole else None

    def parse(self, block: bytes) -> list[Frame]:
        """Return the frame and the comments of a block that `split` returned."""
        plain = _read_plain(block)
        if plain is not None:
            return [plain]
        read = [self._read_line(line) for line in (*block.split(b"\n"), b"")]
        return [frame for frame in read if frame is not None]

    def finish(self) -> Frame | None:
        """Take the end of the stream. Return the frame that had begun, with the fields that came of it, or None.

        The standard discards it. Only its data shows whether it is complete but for the blank line.
        """
        begun = bool(self._lead or self._partial or self._data or self._stray or self._event is not None)
        if self._partial:
            self._read_line(bytes(self._partial))
        frame = self._frame() if begun else None
        self._lead = None
        self._drop()
        return frame

    def _normalise(self, chunk: bytes) -> bytes:
        """Return the chunk without a BOM at the stream's head and with LF as the only line end."""
        if self._lead is not None:
            chunk = self._lead + chunk
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._lead = chunk
                return b""
            self._lead = None
            chunk = chunk.removeprefix(_BOM)
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if _CR in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _read_blocks(self, blocks: list[bytes]) -> Iterator[Frame]:
        """Read blocks of lines, each followed by a blank line."""
        fresh = self._held == 0
        for block in blocks:
            if fresh and len(block) <= self._limit and (frame := _read_plain(block)) is not None:
                yield frame
                continue
            for line in block.split(b"\n"):
                if (frame := self._read_line(line)) is not None:
                    yield frame
            if (frame := self._dispatch()) is not None:
                yield frame
            fresh = True

    def _read_line(self, line: bytes) -> Frame | None:
        """Read one whole line. Return what it completes: a comment, or, if the line is empty, the frame that had begun."""
        if not line:
            return self._dispatch()
        if self._held + len(line) > self._limit:
            self._fail()
        name, value = _field(line)
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value
        elif not name:
            return Frame(None, b"", value)  # not held, so not counted
        elif line.startswith(_BOM):
            marked = _MARKS.sub(b"", line, 1)
            return self._read_line(marked) if marked else None
        elif line.startswith(
            _STARTS_OF_JSON_LINES if self._data or self._stray or self._after_stray else _STARTS_OF_JSON
        ):
            self._stray.append(line)
        else:
            return None
        self._held += len(line) + 1
        return None

    def _dispatch(self) -> Frame | None:
        """Return the frame that has begun, if it has data or stray text, and begin the next."""
        frame = self._frame() if self._data or self._stray else None
        if frame is not None:
            self._after_stray = not self._data
        self._drop_frame()
        return frame

    def _frame(self) -> Frame:
        event = self._event.decode("utf-8", "replace") if self._event else None
        stray = b"\n".join(self._stray) if self._stray else None
        return Frame(event, b"\n".join(self._data), None, stray)

    def _keep(self, text: bytes) -> None:
        """Keep the beginning of a line until its rest arrives."""
        self._partial += text
        if self._partial and self._held + len(self._partial) > self._limit:
            self._fail()

    def _fail(self) -> NoReturn:
        self._drop()
        self._failed = True
        raise FrameTooLargeError(self._limit)

    def _drop(self) -> None:
        self._partial.clear()
        self._drop_frame()

    def _drop_frame(self) -> None:
        self._event = None
        self._data = []
        self._stray = []
        self._held = 0


def _read_plain(block: bytes) -> Frame | None:
    """Return the frame of a block that is exactly what servers send; None for any other."""
    # By `partition`, which costs a third of `find`.
    if block.startswith(_EVENT):
        line, _, rest = block.partition(b"\n")
        if rest.startswith(_DATA) and _LF not in rest:
            return Frame(line[7:].decode("utf-8", "replace") or None, rest[6:], block=block)
    elif block.startswith(_DATA) and _LF not in block:
        return Frame(None, block[6:], block=block)
    elif block.startswith(_COLON) and _LF not in block:
        return Frame(None, b"", block[2 if block.startswith(_COLON_AND_SPACE) else 1 :])
    return None


def _field(line: bytes) -> tuple[bytes, bytes]:
    """Return name and value of a line; large values are copied once."""
    colon = line.find(b":")
    if colon < 0:
        return line, b""
    return line[:colon], line[colon + (2 if line.startswith(b" ", colon + 1) else 1) :]
