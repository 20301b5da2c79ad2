"""Recordings that were damaged at random, and what the core makes of them: `python -m tests.support.mutations NUMBER SEED`.

Prints a line for each, so that two cores can be compared: the compiled one and its own sources.
"""

from __future__ import annotations

import hashlib
import random
import re
import sys
from typing import TYPE_CHECKING, Any

from tests.support.goldens import RECORDINGS
from vllm_sse_proxy import BodyEnd, Dialect, Reasoning, RequestContext, StreamNormalizer, build_plan
from vllm_sse_proxy.stream import CORE

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUES = [b"null", b"1", b"-1", b"true", b'"x"', b"{}", b"[]", b'{"content":"We"}', b'["a",1]', b"1e999", b'"\\ud800"', b'""',
          b"12345678901234567890"]  # fmt: skip
"""What takes the place of a member's value."""
REQUESTS: list[dict[str, Any] | None] = [
    None,
    {"model": "m", "store": False, "temperature": "hot", "tools": [{"type": "function", "name": "f"}]},
]
ENDS = (BodyEnd.EOF, BodyEnd.CUT, BodyEnd.RESET, BodyEnd.SHUTDOWN)
CHUNK_BYTES = (1, 7, 100, 1000, 100_000)
LONGEST_BYTES = 60_000
_MEMBER = re.compile(rb'"(\w+)":("(?:[^"\\]|\\.)*"|-?\d+|null|true|false|\[\]|\{\})')


def damaged(stream: bytes, draw: random.Random) -> bytes:
    """Lose, double, swap, cut or garble some frames, or give members other values."""
    frames = stream.split(b"\n\n")
    for _ in range(draw.randrange(1, 5)):
        at = draw.randrange(len(frames))
        match draw.randrange(8):
            case 0 if len(frames) > 1:
                del frames[at]
            case 1:
                frames.insert(at, frames[at])
            case 2:
                other = draw.randrange(len(frames))
                frames[at], frames[other] = frames[other], frames[at]
            case 3:
                frames[at] = frames[at][: draw.randrange(len(frames[at]) + 1)]
            case 4 if frames[at]:
                garbled = bytearray(frames[at])
                garbled[draw.randrange(len(garbled))] = draw.randrange(256)
                frames[at] = bytes(garbled)
            case _:
                members = list(_MEMBER.finditer(frames[at]))
                if members:
                    start, end = draw.choice(members).span(2)
                    frames[at] = frames[at][:start] + draw.choice(VALUES) + frames[at][end:]
    return b"\n\n".join(frames)


def made(number: int, seed: int) -> Iterator[str]:
    """Yield what becomes of so many damaged recordings, a line for each."""
    draw = random.Random(seed)  # noqa: S311 - the same damage each time is what is wanted
    plans = [
        build_plan(dialect=dialect, reasoning=reasoning) for dialect in Dialect for reasoning in Reasoning
    ]
    files = sorted(RECORDINGS.rglob("upstream.sse"))
    streams = [file.read_bytes() for file in files if file.stat().st_size <= LONGEST_BYTES]
    for _ in range(number):
        stream = damaged(draw.choice(streams), draw)
        normalizer = StreamNormalizer(
            draw.choice(plans), RequestContext(seed="s", body=draw.choice(REQUESTS))
        )
        told, at = hashlib.sha256(), 0
        while at < len(stream):
            size = draw.choice(CHUNK_BYTES)
            told.update(normalizer.feed(stream[at : at + size]))
            at += size
        told.update(normalizer.finish(draw.choice(ENDS)))
        yield f"{told.hexdigest()} {normalizer.ending} {normalizer.tally}"


if __name__ == "__main__":
    print(CORE)  # noqa: T201 - a command line prints
    for line in made(int(sys.argv[1]), int(sys.argv[2])):
        print(line)  # noqa: T201 - as above
