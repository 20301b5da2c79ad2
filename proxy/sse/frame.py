"""What a decoder hands out: one dispatched event, or one comment."""

from dataclasses import dataclass


@dataclass(slots=True)
class Frame:
    """One event of a stream, or one comment line.

    Not frozen: a frozen dataclass takes three times as long to construct, and there is one per token.

    Attributes:
        event: the last `event:` field, None when there was none or it was empty.
        data: the `data:` fields joined with LF, as the bytes they came in; not decoded, so not even known to be UTF-8.
        comment: for a comment line the bytes after its colon, less one leading space; None for an event.

    """

    event: str | None
    data: bytes
    comment: bytes | None = None
