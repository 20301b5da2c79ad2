"""Streams in files: the input and the output of a command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from vllm_sse_proxy.cli.usage import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from contextlib import ExitStack
    from io import BufferedReader


UPSTREAM_FILE: Final = "upstream.sse"
"""The stream, in the folder of a recording."""


def add_input(parser: ArgumentParser) -> None:
    """Declare the argument for the input."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="stream to read, or the folder of a recording (default: standard input)",
    )


def recording_of(path: str | None) -> Path | None:
    """Return the folder of a recording; None for a file, or standard input."""
    return None if path is None or not Path(path).is_dir() else Path(path)


def open_input(path: str | None, files: ExitStack) -> BufferedReader:
    """Open the file to read; standard input without one.

    :raises UsageError: it cannot be read.
    """
    if path is None or path == "-":
        return cast("BufferedReader", sys.stdin.buffer)
    folder = recording_of(path)
    if folder is not None and not (folder / UPSTREAM_FILE).exists():
        raise UsageError(f"{path}: is a folder without {UPSTREAM_FILE}, so not a recording{_inside(folder)}")
    try:
        return files.enter_context((Path(path) if folder is None else folder / UPSTREAM_FILE).open("rb"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None


def _inside(folder: Path) -> str:
    """Return a hint at a recording in a folder of recordings; empty if there is none."""
    found = min((each.parent for each in folder.glob(f"*/{UPSTREAM_FILE}")), default=None)
    return "" if found is None else f"; there are recordings in it, such as {found}"


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
