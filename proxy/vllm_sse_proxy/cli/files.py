"""Streams in files: the input and the output of a command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from vllm_sse_proxy.cli.usage import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from contextlib import ExitStack
    from io import BufferedReader


def add_input(parser: ArgumentParser) -> None:
    """Declare the argument for the input."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="stream to read (default: standard input)")


def open_input(path: str | None, files: ExitStack) -> BufferedReader:
    """Open the file to read; standard input without one.

    :raises UsageError: it cannot be read.
    """
    if path is None or path == "-":
        return cast("BufferedReader", sys.stdin.buffer)
    try:
        return files.enter_context(Path(path).open("rb"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None


def open_output(path: str | None, source: str | None, files: ExitStack) -> IO[bytes]:
    """Open the file to write; standard output without one.

    :param source: path of the input.
    :raises UsageError: it cannot be written, or is the input.
    """
    if path is None or path == "-":
        return sys.stdout.buffer
    try:
        if source is not None and Path(path).exists() and Path(path).samefile(source):
            raise UsageError(f"{path}: is the input, which would be lost before it is read")
        return files.enter_context(Path(path).open("wb"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
