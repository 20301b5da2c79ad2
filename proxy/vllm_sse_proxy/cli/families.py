"""Which family a stream on the command line is of: its first payloads say so, while it still comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm_sse_proxy.cli.usage import READ_BYTES
from vllm_sse_proxy.families import FAMILIES, RESPONSES
from vllm_sse_proxy.families.recognition import FamilyRecogniser
from vllm_sse_proxy.sse import FrameDecoder, FrameTooLargeError

if TYPE_CHECKING:
    from io import BufferedReader

    from vllm_sse_proxy.stream.family import Family


def read_family(source: BufferedReader, max_frame_bytes: int) -> tuple[Family, bytes]:
    """Read the beginning of a stream until it says what it is; return its family and what was read.

    A stream that does not say what it is counts as one of Responses.
    """
    recogniser = FamilyRecogniser()
    decoder = FrameDecoder(max_frame_bytes=max_frame_bytes)
    begun = []
    try:
        while chunk := source.read1(READ_BYTES):
            begun.append(chunk)
            for frame in decoder.read(chunk):
                if frame.comment is None and recogniser.feed(frame.event, frame.data) is not None:
                    return _named(recogniser), b"".join(begun)
        rest = decoder.finish()
        if rest is not None:
            recogniser.feed(rest.event, rest.data)
    except FrameTooLargeError:
        pass  # the repairs will say so
    return _named(recogniser), b"".join(begun)


def _named(recogniser: FamilyRecogniser) -> Family:
    return next((family for family in FAMILIES if family.name == recogniser.likely), RESPONSES)
