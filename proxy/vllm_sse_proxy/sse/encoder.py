"""Frames as bytes: LF line ends, one blank line, whatever arrives in an order that every measured client accepts.

Whatever the decoder dispatched can be encoded and decodes to the same frame again. Names and data come from a server that
is not trusted, so no value may begin a line of its own.
"""

from typing import Final

_DATA = b"data: %b\n\n"
_COMMENT = b": %b\n\n"
_LF: Final = 10  # as a number, which is found many times faster


def encode_event(event: str, data: bytes) -> bytes:
    """Return the frame of a named event, see `event_pieces`."""
    return b"".join(event_pieces(event, data))


def event_pieces(event: str, data: bytes) -> tuple[bytes, bytes, bytes]:
    r"""Return the frame of a named event in pieces, for those who join many: large data is copied once less.

    A name that cannot stand on a line (it holds CR or LF) is left out: the payload says its type too. `data` should
    be one line, since some clients read no more; LF inside it goes out as several `data:` lines. It holds no CR.
    """
    return _head(event), _one_field_a_line(data), b"\n\n"


def encode_data(data: bytes) -> bytes:
    """Return the frame of an event without a name, as `data: [DONE]` is one. `data` as for `encode_event`."""
    return _DATA % _one_field_a_line(data)


def encode_comment(text: bytes) -> bytes:
    """Return a comment line with a blank line after it. `text` holds no line end.

    Bytes that are not UTF-8 become U+FFFD: a strict reader would stop at them, and no client needs them in a comment.
    """
    return _COMMENT % (text if text.isascii() else text.decode("utf-8", "replace").encode())


def _head(event: str) -> bytes:
    if "\n" in event or "\r" in event:
        return b"data: "
    return b"event: %b\ndata: " % event.encode("utf-8", "replace")


def _one_field_a_line(data: bytes) -> bytes:
    return data.replace(b"\n", b"\ndata: ") if _LF in data else data
