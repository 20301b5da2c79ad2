"""Server-Sent Events framing without I/O: bytes in, frames out, and back.

Knows nothing of what the frames carry. Needs only the standard library.
"""

from vllm_sse_proxy.sse.decoder import FrameDecoder, FrameTooLargeError
from vllm_sse_proxy.sse.encoder import encode_comment, encode_data, encode_event, event_pieces
from vllm_sse_proxy.sse.frame import Frame

__all__ = [
    "Frame",
    "FrameDecoder",
    "FrameTooLargeError",
    "encode_comment",
    "encode_data",
    "encode_event",
    "event_pieces",
]
