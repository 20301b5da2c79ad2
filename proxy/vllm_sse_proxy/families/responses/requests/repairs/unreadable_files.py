"""Files that nobody here can read.

What :mod:`text_files` leaves (PDFs, ids of uploaded files, URLs) becomes a note that there was a file, so that a session with
one in its history goes on. A proxy that reads PDFs or fetches URLs is another product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.requests.members import type_of
from vllm_sse_proxy.families.responses.requests.base import PartRepair
from vllm_sse_proxy.families.responses.requests.parts import file_note

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body


class UnreadableFiles(PartRepair):
    """Put a note in the place of a file."""

    __slots__ = ()

    name: ClassVar = "unreadable_files"
    summary: ClassVar = "an `input_file` that is not text becomes a note that there was one"
    lossless: ClassVar = False
    answers_500: ClassVar = True

    def part(self, part: Body, facts: Facts) -> Body | None:  # noqa: ARG002 - every release
        """Return the note for a file."""
        return file_note(part) if type_of(part) == "input_file" else None
