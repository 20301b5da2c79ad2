"""Bytes that upstream should never send: each has a counted outcome, and memory stays bounded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.labs.faults.answers import HEAD, LAST_CHUNK, chunk
from tests.labs.faults.judge import gained, judge_count, judge_error, judge_stream
from tests.labs.faults.process import MIB, ProxyProcess
from tests.labs.faults.report import Row
from tests.labs.faults.upstream_faults import next_id, post
from tests.support.http import Answer, RawClient
from tests.support.local_server import LocalServer
from tests.support.whole_stream import (
    AT,
    BODY,
    COMPLETED,
    DELTA,
    DONE,
    ITEM_DONE,
    PART_DONE,
    TEXT_DONE,
    WHOLE,
    event,
    response,
)
from vllm_sse_proxy.settings import CoreSettings, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MEMORY_BYTES = 12 * int(settings_of(CoreSettings)["max_text_bytes"].default)
"""Most that one stream may add: its text, and the closing events that repeat it, as objects, as JSON and in one write."""

PIECE_BYTES = 256 * 1024
LIMIT_SECONDS = 300

BEGUN = WHOLE[: WHOLE.index(DELTA)]
REST = WHOLE[WHOLE.index(DELTA) :]
FINAL = (TEXT_DONE, PART_DONE, ITEM_DONE, COMPLETED, DONE)


@dataclass(frozen=True)
class Case:
    """One attack.

    :ivar what: what upstream sends between the beginning of an answer and its rest.
    :ivar body: makes the pieces of the body; they are never in memory all at once.
    :ivar typed: what comes out can be read by the `openai` types' own parser, that refuses some legal JSON.
    :ivar harmless: the stream has to end as if they had not been there.
    """

    what: str
    body: tuple[Iterable[bytes], ...]
    harmless: bool = False
    typed: bool = True


class Repeated:
    """A piece, many times over, in sends of a fair size; can be iterated again."""

    def __init__(self, piece: bytes, times: int) -> None:
        self._piece = piece
        self._times = times

    def __iter__(self) -> Iterator[bytes]:
        together = max(1, PIECE_BYTES // len(self._piece))
        for start in range(0, self._times, together):
            yield self._piece * min(together, self._times - start)


def data(text: bytes) -> bytes:
    """Return a frame with any data."""
    return b"data: " + text + b"\n\n"


def deltas(inner: bytes) -> bytes:
    """Return a delta whose JSON holds something odd beside its text."""
    return event("response.output_text.delta", sequence_number=4, **AT, delta="Hi.", logprobs=[]).replace(
        b'"logprobs":[]', b'"logprobs":[],' + inner
    )


_X = b"x" * (PIECE_BYTES - 1)
_MANY = 1_000_000

CASES = (
    Case("an event of 100 MB in one line", ((*BEGUN, b"data: "), Repeated(_X, 400), (b"\n\n", *REST))),
    Case("a line of 200 MB that never ends", (BEGUN, Repeated(_X, 800))),
    Case("an event of 100 MB in short lines", (BEGUN, Repeated(b"data: " + b"x" * 58 + b"\n", 1_600_000))),
    Case("a comment of 100 MB", ((*BEGUN, b": "), Repeated(_X, 400), (b"\n\n", *REST))),
    Case("a field nobody knows, of 100 MB", ((*BEGUN, b"x"), Repeated(_X, 400), (b"\n\n", *REST))),
    Case("a million comments", (BEGUN, Repeated(b": ping\n\n", _MANY), REST), harmless=True),
    Case("a million empty lines", (BEGUN, Repeated(b"\n", _MANY), REST), harmless=True),
    Case("a million empty objects", (BEGUN, Repeated(data(b"{}"), _MANY), REST)),
    Case("a million deltas of one letter", (BEGUN, Repeated(DELTA.replace(b"Hi.", b"x"), _MANY), FINAL)),
    Case("80 MB of text in deltas", (BEGUN, Repeated(DELTA.replace(b"Hi.", b"x" * 8000), 10_000), REST)),
    Case(
        "100,000 items that are never closed",
        (
            BEGUN,
            [
                event(
                    "response.output_item.added",
                    sequence_number=n,
                    output_index=n,
                    item={
                        "id": f"msg_{n}",
                        "type": "message",
                        "role": "assistant",
                        "status": "in_progress",
                        "content": [],
                    },
                )
                for n in range(1, 100_000)
            ],
        ),
    ),
    Case("JSON 100,000 levels deep", (BEGUN, (data(b"[" * 100_000 + b"]" * 100_000),), REST)),
    Case(
        "objects 900 levels deep in a delta",
        (BEGUN, (deltas(b'"x":' + b'{"a":' * 900 + b"1" + b"}" * 900),), REST[1:]),
    ),
    Case("an integer of 5,000 digits in a delta", (BEGUN, (deltas(b'"x":' + b"9" * 5_000),), REST[1:])),
    Case(
        "an output_index of 30 digits",
        (BEGUN, (DELTA.replace(b'"output_index":0', b'"output_index":' + b"9" * 30),), REST),
    ),
    Case("1e999 and NaN in a delta", (BEGUN, (deltas(b'"x":1e999,"y":NaN'),), REST)),
    Case(
        "a key twice in a delta",
        (BEGUN, (DELTA.replace(b'"delta":"Hi."', b'"delta":"lost","delta":"Hi."'),), REST[1:]),
        harmless=True,
    ),
    Case(
        "a lone surrogate in a delta",
        (BEGUN, (DELTA.replace(b"Hi.", b"\\ud800Hi."),), REST[1:]),
        typed=False,
    ),
    Case("NUL in a delta, escaped", (BEGUN, (DELTA.replace(b"Hi.", b"\\u0000Hi."),), REST[1:])),
    Case("NUL in a delta, as a byte", (BEGUN, (DELTA.replace(b"Hi.", b"\x00Hi."),), REST[1:])),
    Case("NUL between events", (BEGUN, (b"\x00\x00\n\n",), REST)),
    Case("invalid UTF-8 in a delta", (BEGUN, (DELTA.replace(b"Hi.", b"\xff\xfe\xc3(Hi."),), REST[1:])),
    Case(
        "a terminal event without a response, lines ended by CR",
        (BEGUN, (b'event: x\rdata: {"type":"response.completed"}\r\n\n',), REST),
    ),
    Case("a megabyte of random bytes", (BEGUN, (bytes(range(1, 256)) * 4096,), REST)),
    Case(
        "an end that claims another response",
        (
            BEGUN,
            REST[:-2],
            (
                event(
                    "response.completed", sequence_number=8, response={**response("completed"), "id": "evil"}
                ),
            ),
        ),
    ),
    Case("a second stream behind [DONE]", (WHOLE, WHOLE), harmless=True),
    Case("a gigabyte of headers", ()),
    Case(
        "chunks of one byte, 100,000 of them", (BEGUN, (b"", *[b":"] * 100_000, b"\n\n"), REST), harmless=True
    ),
)


class HostileUpstream(LocalServer):
    """Answers every request with the case's bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.case = CASES[0]
        self.sent = 0
        self.stopped = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send the case's bytes, and wait until the peer leaves."""
        self.sent, self.stopped = 0, False
        try:
            await reader.readuntil(BODY)
            for piece in self._wire():
                writer.write(piece)
                self.sent += len(piece)
                await writer.drain()
            await reader.read()
        finally:
            self.stopped = True

    def _wire(self) -> Iterator[bytes]:
        if not self.case.body:
            yield HEAD[:-2]
            yield from Repeated(b"X-Filler: " + b"x" * 1000 + b"\r\n", _MANY)
            return
        yield HEAD
        for part in self.case.body:
            for piece in part:
                if piece:
                    yield chunk(piece)
        yield LAST_CHUNK


async def attacks(cases: Iterable[Case] = CASES) -> list[Row]:
    """Do every case, each against a proxy of its own, so that its memory is its own."""
    rows = []
    async with HostileUpstream() as upstream:
        for case in cases:
            upstream.case = case
            async with ProxyProcess(upstream.url) as proxy:
                rows.append(await _attack(case, proxy, upstream))
    return rows


async def _attack(case: Case, proxy: ProxyProcess, upstream: HostileUpstream) -> Row:
    wrong: list[str] = []
    start = proxy.resident()
    before = await proxy.metrics()
    request_id = next_id()
    loop = asyncio.get_running_loop()
    began = loop.time()
    client = await RawClient.connect(proxy.port, limit=2**20)
    try:
        await client.send(post(request_id))
        answer = await _whole(client)
        line = await proxy.request_line(request_id, seconds=30)
    except (TimeoutError, asyncio.IncompleteReadError) as error:
        return Row("bytes", case.what, "", "nothing", [f"no answer: {error!r}"])
    finally:
        client.leave()
    took = loop.time() - began
    grown = proxy.peak() - start
    after = await proxy.metrics()
    if answer.status == 200:
        wrong += judge_stream(answer, deep=case.typed and len(answer.body) < MIB)
        wrong += judge_count(answer, str(line["ending"]))
    else:
        wrong += judge_error(answer)
    ending = str(line["ending"])
    shown = ending if answer.status == 200 else f"HTTP {answer.status} {ending}"
    if case.harmless and (answer.status != 200 or ending != "completed"):
        wrong.append("the stream should have completed")
    if grown > MEMORY_BYTES:
        wrong.append(f"memory grew by {grown / MIB:.0f} MiB")
    counted = gained(before, after, "streams_total") or gained(before, after, "upstream_failures_total")
    if sum(counted.values()) != 1:
        wrong.append(f"counted: {counted}")
    if line["ending"] == "internal_error" or any(logged.get("level") == "error" for logged in proxy.lines):
        wrong.append("an error in the proxy's log")
    figure = f"memory +{grown / MIB:.0f} MiB, {took:.1f} s, {upstream.sent / MIB:.1f} MiB taken from upstream"
    return Row("bytes", case.what, "", f"`{shown}`", wrong, figure)


async def _whole(client: RawClient) -> Answer:
    """Read an answer that may be long and slow."""
    async with asyncio.timeout(LIMIT_SECONDS):
        head = await client.reader.readuntil(b"\r\n\r\n")
        lines = head.rstrip(b"\r\n").split(b"\r\n")
        pairs = (line.partition(b":") for line in lines[1:])
        answer = Answer(
            lines[0],
            [(name.decode(), value.strip().decode()) for name, _, value in pairs],
            b"",
            complete=False,
        )
        if answer.value("Transfer-Encoding") != "chunked":
            answer.body = await client.reader.readexactly(int(answer.value("Content-Length") or 0))
            answer.complete = True
            return answer
        pieces = []
        try:
            while size := int(await client.reader.readuntil(b"\r\n"), 16):
                pieces.append(await client.reader.readexactly(size))
                await client.reader.readexactly(2)
            answer.complete = True
        except asyncio.IncompleteReadError:
            pass
        answer.body = b"".join(pieces)
        return answer
