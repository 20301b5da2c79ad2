"""A text that grows and is not kept: nobody reads it again."""

from __future__ import annotations

from vllm_sse_proxy.stream.view import TextView


class PassingText(TextView):
    """A text of which nothing is remembered but its last delta, and what is blank.

    :ivar is_blank: whether it is nothing but white space.
    :ivar is_line_blank: whether its last line is.
    """

    __slots__ = ("is_blank", "is_line_blank")

    def __init__(self) -> None:
        super().__init__()
        self.is_blank = True
        self.is_line_blank = True

    def grow(self, piece: str) -> None:
        """Take note of a piece that was emitted."""
        self.last = piece
        if self.is_blank and not piece.isspace():
            self.is_blank = False
        line_end = piece.rfind("\n")
        if line_end >= 0:
            self.is_line_blank = line_end + 1 == len(piece) or piece[line_end + 1 :].isspace()
        elif self.is_line_blank:
            self.is_line_blank = piece.isspace()
