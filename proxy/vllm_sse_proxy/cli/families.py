"""Which family's stream a command is given, recognised by its content, and the request that it answers."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vllm_sse_proxy.cli.usage import READ_BYTES, UsageError
from vllm_sse_proxy.families.recognition import Family, StreamRecogniser

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator
    from io import BufferedReader


def add_family(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--family",
        choices=[family.value for family in Family],
        help="protocol of the stream (default: recognised by its content)",
    )
    parser.add_argument(
        "--request",
        metavar="FILE",
        help="JSON body of the request that the stream answers: its tools, choices and options decide what must come",
    )


def read_request(path: str | None) -> dict[str, Any] | None:
    """Return the request in a file; None without one.

    :raises UsageError: it cannot be read, or is not a JSON object.
    """
    if path is None:
        return None
    try:
        body = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except ValueError:
        raise UsageError(f"{path}: is not JSON") from None
    if not isinstance(body, dict):
        raise UsageError(f"{path}: is not a JSON object")
    return body


def recognised(source: BufferedReader, name: str | None) -> tuple[Family, Iterator[bytes]]:
    """Return the family of a stream, and all of its chunks, as they come.

    :param name: the family, if it is known.
    """
    # read1 returns what is there, so that a live stream is read event by event.
    chunks = iter(lambda: source.read1(READ_BYTES), b"")
    if name is not None:
        return Family(name), chunks
    recogniser = StreamRecogniser()
    read: list[bytes] = []
    for chunk in chunks:
        read.append(chunk)
        if recogniser.feed(chunk) is not None or recogniser.gave_up:
            break
    return recogniser.finish() or Family.RESPONSES, chain(read, chunks)
