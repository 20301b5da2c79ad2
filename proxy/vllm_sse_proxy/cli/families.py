"""Which family's stream a command is given, recognised by its content, and the request that it answers."""

from __future__ import annotations

import json
import tomllib
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.cli.files import recording_of
from vllm_sse_proxy.cli.usage import READ_BYTES, UsageError
from vllm_sse_proxy.families.recognition import Family, StreamRecogniser
from vllm_sse_proxy.sse import FrameDecoder, FrameTooLargeError
from vllm_sse_proxy.stream.ending import BodyEnd

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator
    from io import BufferedReader


HTTP_HEAD: Final = b"HTTP/"
"""How the head of an answer begins, which `curl -i` puts before a stream."""

REQUEST_FILE: Final = "request.json"
ORIGIN_FILE: Final = "origin.toml"
EXCHANGE_FILE: Final = "exchange.json"
"""The request, how upstream's body ended, and everything else, in the folder of a recording."""


def end_of(source: str | None) -> BodyEnd:
    """Return how upstream's body ended: as its recording says, else as it should.

    :raises UsageError: the recording says something else.
    """
    folder = recording_of(source)
    origin = None if folder is None else folder / ORIGIN_FILE
    if origin is None or not origin.exists():
        return BodyEnd.EOF
    try:
        return BodyEnd(tomllib.loads(origin.read_text("utf-8")).get("end", BodyEnd.EOF))
    except (OSError, ValueError) as error:  # TOML's and UTF-8's errors are ValueErrors
        raise UsageError(f"{origin}: {error}") from None


def expects_done(source: str | None) -> bool:
    """Return whether a stream must end with ``[DONE]``: a proxy that records reads no further than the terminal event."""
    folder = recording_of(source)
    try:
        exchange = {} if folder is None else json.loads((folder / EXCHANGE_FILE).read_bytes())
    except (OSError, ValueError):
        return True
    return not isinstance(exchange, dict) or exchange.get("is_read_to_its_end") is not False


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


def read_request(path: str | None, source: str | None = None) -> dict[str, Any] | None:
    """Return the request in a file; without one that of the recording that is read, None if there is none.

    :param source: path of the stream, or of the recording's folder.
    :raises UsageError: it cannot be read, or is not a JSON object.
    """
    folder = recording_of(source)
    if path is None and folder is not None and (folder / REQUEST_FILE).exists():
        path = str(folder / REQUEST_FILE)
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


def recognised(source: BufferedReader, name: str | None) -> tuple[Family | None, Iterator[bytes]]:
    """Return the family of a stream, None if nothing in it says which, and all of its chunks, as they come.

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
    return recogniser.finish(), chain(read, chunks)


def kind_of(stream: bytes) -> str:
    """Return what bytes are that bear no mark of a family."""
    begins = stream.lstrip()
    if not begins:
        return "empty"
    if begins.startswith(HTTP_HEAD):
        return "an HTTP answer with its head: leave out the head (curl without -i)"
    if begins[:1] == b"<":
        return "a page of HTML or XML"
    try:
        json.loads(stream)
    except ValueError:
        pass
    else:
        return "one JSON document: an answer that is not streamed, or an error"
    try:
        count = sum(
            frame.comment is None and bool(frame.data) for frame in FrameDecoder().feed(stream + b"\n\n")
        )
    except FrameTooLargeError:
        return "something without the events of a stream"
    if count == 0:
        return "text without a single event: no line begins with data:"
    return f"a stream of something else: none of its {count} events bears the mark of a family"
