"""What all commands share: the program's name, and a command line that cannot be carried out."""

from __future__ import annotations

from typing import Final

PROGRAM: Final = "vllm-sse-proxy"

READ_BYTES: Final = 64 * 1024
"""Largest piece of an input that is read at once."""


class UsageError(Exception):
    """The command cannot be carried out as it was given; ``lines`` say why."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
