"""What a decoder hands out: one dispatched event, or one comment."""


class Frame:
    """One event of a stream, or one comment line.

    A plain class, because there is one per token: a dataclass takes longer to construct, three times as long if frozen.

    Attributes:
        event: the last `event:` field, None when there was none or it was empty.
        data: the `data:` fields joined with LF, as the bytes they came in; not decoded, so not even known to be UTF-8.
        comment: for a comment line the bytes after its colon, less one leading space; None for an event.

    """

    __slots__ = ("comment", "data", "event")

    def __init__(self, event: str | None, data: bytes, comment: bytes | None = None) -> None:
        """Take what the fields held."""
        self.event = event
        self.data = data
        self.comment = comment

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        return self.event == other.event and self.data == other.data and self.comment == other.comment

    __hash__ = None  # type: ignore[assignment]  # its attributes may be set

    def __repr__(self) -> str:
        return f"Frame({self.event!r}, {self.data!r}, {self.comment!r})"
