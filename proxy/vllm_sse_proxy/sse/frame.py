"""What a decoder hands out: one dispatched event, one comment, or text that is neither."""


class Frame:
    """One event of a stream, one comment line, or stray text.

    A plain class, because there is one per token: a dataclass takes longer to construct, three times as long if frozen.

    Attributes:
        event: the last `event:` field, None when there was none or it was empty.
        data: the `data:` fields joined with LF, as the bytes they came in; not decoded, so not even known to be UTF-8.
        comment: for a comment line the bytes after its colon, less one leading space; None for an event.
        stray: the lines of the event that look like JSON and belong to no field, joined with LF; None if there are none.
            Without any `data:` field the standard knows no event here, and `data` is empty.
        block: the frame as it came, without its blank line, if it is exactly what servers send: one `event: ` line at most
            and one `data: ` line, each ended by LF. None for any other.

    """

    __slots__ = ("block", "comment", "data", "event", "stray")

    def __init__(
        self,
        event: str | None,
        data: bytes,
        comment: bytes | None = None,
        stray: bytes | None = None,
        block: bytes | None = None,
    ) -> None:
        """Take what the fields held."""
        self.block = block
        self.event = event
        self.data = data
        self.comment = comment
        self.stray = stray

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        return (
            self.event == other.event
            and self.data == other.data
            and self.comment == other.comment
            and self.stray == other.stray
        )

    __hash__ = None  # type: ignore[assignment]  # its attributes may be set

    def __repr__(self) -> str:
        stray = "" if self.stray is None else f", {self.stray!r}"
        return f"Frame({self.event!r}, {self.data!r}, {self.comment!r}{stray})"
