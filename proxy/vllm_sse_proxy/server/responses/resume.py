"""Resuming a stream: ``GET /v1/responses/{id}?stream=true&starting_after=N`` (docs/adr/0005-resume-by-whole-replay.md)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from vllm_sse_proxy.server.routes import query_pairs

_INTEGER: Final = re.compile(
    r"-?[0-9]{1,18}"
)  # more digits cannot be a position in a stream: vLLM refuses them


class Resume(NamedTuple):
    """A request for the rest of a stream, as it is sent to upstream.

    :ivar target: the request target without ``starting_after``: upstream's numbers are not ours, so the whole stream is
        requested.
    :ivar starting_after: the last number that the client has seen; None: it wants the whole stream.
    """

    target: str
    starting_after: int | None


def parse_resume(target: str) -> Resume:
    """Remove ``starting_after`` from a target; every other byte of it stays.

    A value that is not an integer stays too, for vLLM to refuse.
    """
    path, mark, query = target.partition("?")
    numbers = [value for name, value in query_pairs(query) if name == "starting_after"]
    if not numbers or not all(_INTEGER.fullmatch(number) for number in numbers):
        return Resume(target, None)
    rest = "&".join(
        part for part in query.split("&") if unquote_plus(part.partition("=")[0]) != "starting_after"
    )
    # FastAPI takes the last of several, too.
    return Resume(path + mark + rest if rest else path, int(numbers[-1]))
