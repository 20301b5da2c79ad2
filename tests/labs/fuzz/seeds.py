"""What fuzzing begins with: streams that conform, streams of vLLM, and the words that both are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.labs import ROOT
from tests.support.whole_stream import WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_BYTES = 20_000

FIELDS = (
    b"data: ",
    b"event: ",
    b"id: 1\n",
    b"retry: 1\n",
    b": ping\n\n",
    b"\n\n",
    b"\r\n\r\n",
    b"\r\r",
    b"\xef\xbb\xbf",
    b"data: [DONE]\n\n",
    b"data: {}\n\n",
    b"null",
    b"\\ud800",
    b"\x00",
)


def frames() -> tuple[bytes, ...]:
    """Return whole frames to put together at random: those of a good stream, and those of recordings."""
    found = dict.fromkeys(WHOLE)
    for body in bodies():
        found |= dict.fromkeys(frame + b"\n\n" for frame in body.split(b"\n\n") if frame)
    return tuple(frame for frame in found if len(frame) < LARGEST_BYTES)


def bodies() -> Iterator[bytes]:
    """Give the bodies of the demo's recordings and of the repairs' goldens: every known defect is in one."""
    for folder in (ROOT / "proxy" / "vllm_sse_proxy" / "demo" / "recordings", ROOT / "tests" / "recordings"):
        for path in sorted(folder.rglob("*.sse")):
            body = path.read_bytes()
            if len(body) < LARGEST_BYTES * 5:
                yield body
