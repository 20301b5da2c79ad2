"""What holds for any bytes: kept apart from atheris, so that the default tests can hold the same on a few of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.judging import violations
from vllm_sse_proxy.families.responses import BodyEnd, Plan, RequestContext, StreamNormalizer
from vllm_sse_proxy.sse import FrameDecoder, FrameTooLargeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.sse import Frame

MAX_FRAME_BYTES = 2_000
MAX_TEXT_BYTES = 2_000
"""Small, so that the limits are met."""

PLANS = (
    Plan.build(strict=True, max_frame_bytes=MAX_FRAME_BYTES, max_text_bytes=MAX_TEXT_BYTES),
    Plan.build(strict=True, max_frame_bytes=2**20, max_text_bytes=2**20),
)
"""``strict``: a repair that raises is an error here, and not only counted."""

TERMINALS = ("response.completed", "response.incomplete", "response.failed")

ENDS = tuple(BodyEnd)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut bytes at some places, each taken modulo their length."""
    at = sorted({place % (len(data) + 1) for place in places})
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


def decoded(pieces: Sequence[bytes]) -> tuple[list[Frame], bool]:
    """Decode pieces; return the frames and whether one was too large."""
    decoder = FrameDecoder(max_frame_bytes=MAX_FRAME_BYTES)
    frames: list[Frame] = []
    try:
        for piece in pieces:
            frames += decoder.feed(piece)
    except FrameTooLargeError as error:
        return frames + error.frames, True
    decoder.finish()
    return frames, False


def check_decoder(data: bytes, places: Sequence[int]) -> None:
    """Hold that decoding raises nothing else, and that it does not matter how the bytes were cut."""
    whole, too_large = decoded([data])
    assert decoded(cut(data, places)) == (whole, too_large), "what came out depends on the cuts"
    assert decoded([data[at : at + 1] for at in range(len(data))]) == (whole, too_large), (
        "byte by byte differs"
    )
    for frame in whole:
        assert len(frame.data) <= MAX_FRAME_BYTES
        assert b"\r" not in frame.data


def check_normalizer(data: bytes, places: Sequence[int], end: BodyEnd, plan: Plan) -> None:
    """Hold that any bytes make a stream that conforms, is numbered densely, and has one end, which comes last."""
    normalizer = StreamNormalizer(plan, RequestContext())
    made = b""
    for piece in cut(data, places):
        made += normalizer.feed(piece)
        assert len(made) < 100 * (len(data) + 10_000), "it grows without bound"
    made += normalizer.finish(end)
    assert normalizer.ended
    assert normalizer.ending is not None
    assert normalizer.feed(b"data: {}\n\n") + normalizer.finish(BodyEnd.EOF) == b"", (
        "it says something after its end"
    )
    if end is BodyEnd.CLIENT_GONE and normalizer.ending.value == "client_gone":
        return
    wrong = violations(made)
    assert not wrong, wrong[0]
    events = [json.loads(line[6:]) for line in made.split(b"\n") if line.startswith(b"data: {")]
    numbers = [event["sequence_number"] for event in events]
    assert numbers == list(range(len(numbers))), "the numbers have gaps"
    assert [event["type"] in TERMINALS for event in events].count(True) == 1, "not one terminal event"
    assert made.endswith(b"data: [DONE]\n\n")
    assert made.split(b"\n").count(b"data: [DONE]") == 1, "a comment may hold it too"
