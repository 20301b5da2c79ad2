"""What holds for any bytes: kept apart from atheris, so that the default tests can hold the same on a few of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.judging import violations
from vllm_sse_proxy import BodyEnd, Ending, Plan, RequestContext, StreamNormalizer, build_plan
from vllm_sse_proxy.families import FAMILIES, RESPONSES
from vllm_sse_proxy.sse import FrameDecoder, FrameTooLargeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.sse import Frame

MAX_FRAME_BYTES = 2_000
MAX_TEXT_BYTES = 2_000
"""Small, so that the limits are met."""

PLANS = (
    build_plan(strict=True, max_frame_bytes=MAX_FRAME_BYTES, max_text_bytes=MAX_TEXT_BYTES),
    build_plan(strict=True, max_frame_bytes=2**20, max_text_bytes=2**20),
)
"""``strict``: a repair that raises is an error here, and not only counted."""

FAMILY_PLANS = {
    family.name: (
        Plan.of(family, strict=True, max_frame_bytes=MAX_FRAME_BYTES, max_text_bytes=MAX_TEXT_BYTES),
        Plan.of(family, strict=True, max_frame_bytes=2**20, max_text_bytes=2**20),
    )
    for family in FAMILIES
    if family is not RESPONSES
}
"""The same for each other family; that of Responses is held to more (:func:`check_normalizer`)."""

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


def run(data: bytes, places: Sequence[int], end: BodyEnd, plan: Plan) -> tuple[bytes, StreamNormalizer]:
    """Repair a stream in pieces, and hold what holds in every family: it ends, once, and does not grow without bound."""
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
    return made, normalizer


def check_family(data: bytes, places: Sequence[int], end: BodyEnd, plan: Plan) -> None:
    """Hold for any family that cuts do not matter, and that what left stays as it is when it comes again.

    The judges of the other families are not asked: they know what a model should say, and these bytes are not a model's.
    """
    made, normalizer = run(data, places, end, plan)
    assert made == run(data, [], end, plan)[0], "what leaves depends on the cuts"
    if normalizer.ending is Ending.CLIENT_GONE:
        return
    again, second = run(made, [], BodyEnd.EOF, plan)
    assert normalizer.limit or again == made, f"repaired twice: {second.tally.repairs}"
    parts = made.split(b"\n\n")
    assert parts[-1] == b"", "it ends in the middle of a frame"
    for part in parts:
        for line in part.split(b"\n"):
            if line.startswith(b"data: ") and line != b"data: [DONE]":
                json.loads(line[6:])


def check_normalizer(data: bytes, places: Sequence[int], end: BodyEnd, plan: Plan) -> None:
    """Hold that any bytes make a stream that conforms, is numbered densely, and has one end, which comes last."""
    made, normalizer = run(data, places, end, plan)
    if end is BodyEnd.CLIENT_GONE and normalizer.ending is Ending.CLIENT_GONE:
        return
    wrong = violations(made)
    assert not wrong, wrong[0]
    events = [json.loads(line[6:]) for line in made.split(b"\n") if line.startswith(b"data: {")]
    numbers = [event["sequence_number"] for event in events]
    assert numbers == list(range(len(numbers))), "the numbers have gaps"
    assert [event["type"] in TERMINALS for event in events].count(True) == 1, "not one terminal event"
    assert made.endswith(b"data: [DONE]\n\n")
    assert made.split(b"\n").count(b"data: [DONE]") == 1, "a comment may hold it too"
