"""An upstream whose answers take their time: an event now and then, and any number of them at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

from tests.labs.faults.answers import HEAD, LAST_CHUNK, LONG_BEGINNING, chunk, delta
from tests.support.local_server import LocalServer
from tests.support.whole_stream import DONE, event, message, response

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_REQUEST_BYTES = 2**20

_SMALL = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{"object":"list"}'


def closing(text: str) -> tuple[bytes, ...]:
    """Return the events that end the message begun by ``LONG_BEGINNING``."""
    part = {"type": "output_text", "text": text, "annotations": []}
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    item = message("completed", part)
    return (
        event("response.output_text.done", sequence_number=0, **at, text=text, logprobs=[]),
        event("response.content_part.done", sequence_number=0, **at, part=part),
        event("response.output_item.done", sequence_number=0, output_index=0, item=item),
        event("response.completed", sequence_number=0, response=response("completed", item)),
        DONE,
    )


Frames = tuple[bytes, ...]
Said = Callable[[list[str]], tuple[Frames, Frames, Frames]]
"""How words are streamed: the frames ahead of them, one for each of them, and those that end the stream."""


def response_of(words: list[str]) -> tuple[Frames, Frames, Frames]:
    """Return the frames of a response that says these words."""
    deltas = tuple(delta(4 + number, word) for number, word in enumerate(words))
    return LONG_BEGINNING, deltas, closing("".join(words))


def repeating(stream: bytes, word: bytes) -> Said:
    """Return how a stream of any family says more: its frame with this word comes again for each of theirs.

    :param stream: a whole one, in which one frame has the word.
    """
    frames = tuple(frame + b"\n\n" for frame in stream.split(b"\n\n") if frame)
    at = next(number for number, frame in enumerate(frames) if word in frame)

    def said(words: list[str]) -> tuple[Frames, Frames, Frames]:
        deltas = tuple(frames[at].replace(word, one.encode()) for one in words)
        return frames[:at], deltas, frames[at + 1 :]

    return said


class PacedUpstream(LocalServer):
    """Answers every POST with a stream, everything else with a small JSON object; a context manager.

    :param deltas: how many deltas a stream has, at least and at most.
    :param gap_seconds: the pause before each, at most; it is chosen at random.
    :param others: what is answered on other paths than that of responses.
    """

    def __init__(
        self,
        *,
        deltas: tuple[int, int],
        gap_seconds: float,
        seed: int = 0,
        others: Mapping[str, Said] = MappingProxyType({}),
    ) -> None:
        super().__init__(backlog=1024)
        self._others = {path.encode(): said for path, said in others.items()}
        self._deltas = deltas
        self._gap = gap_seconds
        self._random = random.Random(seed)  # noqa: S311 - a load, no secret
        self.served = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests, the streams among them at their pace, until the peer leaves."""
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
            await reader.readexactly(min(length, MOST_REQUEST_BYTES))
            if head.startswith(b"POST"):
                # What is heard while the answer goes out: only that the peer leaves.
                leaving = asyncio.create_task(reader.read(1))
                said = self._others.get(head.split(b" ")[1], response_of)
                answering = asyncio.create_task(self._answer(writer, said))
                await asyncio.wait({leaving, answering}, return_when=asyncio.FIRST_COMPLETED)
                whole = answering.done() and answering.exception() is None
                answering.cancel()
                leaving.cancel()
                await asyncio.gather(answering, leaving, return_exceptions=True)
                if not whole:
                    return
                self.served += 1
            else:
                writer.write(_SMALL)

    async def _answer(self, writer: asyncio.StreamWriter, said: Said) -> None:
        words = [f"word{number} " for number in range(self._random.randint(*self._deltas))]
        beginning, deltas, ending = said(words)
        writer.write(HEAD + b"".join(map(chunk, beginning)))
        for frame in deltas:
            await asyncio.sleep(self._random.random() * self._gap)
            writer.write(chunk(frame))
            await writer.drain()
        writer.write(b"".join(map(chunk, ending)) + LAST_CHUNK)
        await writer.drain()
