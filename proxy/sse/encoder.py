"""Frames as bytes: LF line ends, one blank line, whatever arrives in an order that every measured client accepts.

Whatever the decoder dispatched can be encoded and decodes to the same frame again. Names and data come from a server that
is not trusted, so no value may begin a line of its own.
"""

from functools import lru_cache

_EVENT = b"event: %b\ndata: %b\n\n"
_DATA = b"data: %b\n\n"
_COMMENT = b": %b\n\n"


def encode_event(event: str, data: bytes) -> bytes:
    r"""Return the frame of a named event.

    A name that cannot stand on a line (it holds CR or LF) is left out: the payload says its type too. `data` should
    be one line, since some clients read no more; LF inside it goes out as several `data:` lines. It holds no CR.
    """
    if "\n" in event or "\r" in event:
        return encode_data(data)
    return _EVENT % (_name(event), _one_field_a_line(data))


def encode_data(data: bytes) -> bytes:
    """Return the frame of an event without a name, as `data: [DONE]` is one. `data` as for `encode_event`."""
    return _DATA % _one_field_a_line(data)


def encode_comment(text: bytes) -> bytes:
    """Return a comment line with a blank line after it. `text` holds no line end."""
    return _COMMENT % text


@lru_cache(maxsize=256)
def _name(event: str) -> bytes:
    return event.encode("utf-8", "replace")


def _one_field_a_line(data: bytes) -> bytes:
    return data.replace(b"\n", b"\ndata: ") if b"\n" in data else data
