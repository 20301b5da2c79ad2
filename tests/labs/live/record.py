"""`python -m tests.labs.live.record FOLDER`: record streams of chat completions and messages from a real vLLM.

One server for each tool parser that the tiny Qwen3 has learned to write for; `VLLM=0.12.0` takes another release. A recording
is three files, as `tests/support/recordings.py` reads them.

    VLLM=0.32.0 python -m tests.labs.live.record tests/recordings/families --parser pythonic --only two-choices
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.labs.clients.installation import InstallationError
from tests.labs.live.dialogues import BY_NAME
from tests.labs.live.endpoints import ANTHROPIC_TOOLS, FUNCTIONS
from tests.labs.live.families import PATHS
from tests.labs.live.run import chosen_vllm
from tests.labs.live.server import Server, Way
from tests.labs.live.streams import MOST_TOKENS
from tests.labs.live.wire import End, exchange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Json = dict[str, Any]

_REASONING = ("--reasoning-parser", "qwen3", "--enable-auto-tool-choice", "--tool-call-parser")
_LETTERS = {"chat": "c", "messages": "a"}


@dataclass(frozen=True)
class Parser:
    """A tool parser, and the dialogue whose answer has calls as it reads them.

    :ivar tag: how the names of its recordings begin.
    """

    name: str
    tag: str
    dialogue: str


PARSERS = (
    Parser("hermes", "hermes", "two-calls"),
    Parser("pythonic", "pythonic", "pythonic-calls"),
    Parser("xlam", "xlam", "listed-calls"),
    Parser("qwen3_coder", "qwen3coder", "marked-up-calls"),
)
ENDS = {End.WHOLE: "eof", End.CUT: "eof no-final-chunk", End.SILENT: "timeout no-final-chunk"}


def requests(parser: Parser) -> Iterator[tuple[str, str, Json]]:
    """Yield family, name and body of what is recorded: what earlier recordings lack."""
    asked = [{"role": "user", "content": BY_NAME[parser.dialogue].user}]
    thought = [{"role": "user", "content": BY_NAME["math"].user}]
    base: Json = {"model": "tiny", "stream": True, "temperature": 0, "max_tokens": MOST_TOKENS}
    chat = {**base, "messages": asked, "tools": FUNCTIONS}
    yield "chat", "calls", chat
    yield "chat", "calls-n2", {**chat, "n": 2, "temperature": 0.3, "seed": 1}
    yield "chat", "calls-cut", {**chat, "max_tokens": 25}
    yield "chat", "calls-logprobs", {**chat, "logprobs": True, "top_logprobs": 1}
    yield (
        "chat",
        "calls-usage",
        {**chat, "stream_options": {"include_usage": True, "continuous_usage_stats": True}},
    )
    yield "chat", "thought-logprobs", {**base, "messages": thought, "logprobs": True, "top_logprobs": 2}
    messages = {**base, "messages": asked, "tools": ANTHROPIC_TOOLS}
    yield "messages", "calls", messages
    yield "messages", "calls-cut", {**messages, "max_tokens": 25}


async def record(parser: Parser, folder: Path, only: Sequence[str]) -> None:
    """Record every request from a server with this parser."""
    vllm = chosen_vllm()
    server = Server(vllm, Way(f"record-{parser.tag}", parser.name, "qwen3", (*_REASONING, parser.name)))
    server.install()
    place = folder / vllm.release
    place.mkdir(parents=True, exist_ok=True)
    async with server:
        for family, name, body in requests(parser):
            if only and not any(re.search(one, name) for one in only):
                continue
            answer = await exchange(server.url, "POST", PATHS[family], body)
            meta = {"status": answer.status, "headers": dict(answer.headers), "end": ENDS[answer.end]}
            stem = f"{parser.tag}-{_LETTERS[family]}-{name}"
            (place / f"{stem}.sse").write_bytes(answer.body)
            posted = {"method": "POST", "path": PATHS[family], "body": body}
            (place / f"{stem}.req.json").write_text(json.dumps(posted, ensure_ascii=False), "utf-8")
            (place / f"{stem}.meta.json").write_text(json.dumps(meta), "utf-8")
            sys.stdout.write(f"{vllm.release}/{stem}: HTTP {answer.status}, {len(answer.body)} bytes\n")
            sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Record; return 2 if a server does not start."""
    parser = argparse.ArgumentParser(prog="python -m tests.labs.live.record", description=__doc__)
    parser.add_argument("folder", type=Path)
    names = [one.name for one in PARSERS]
    parser.add_argument("--parser", action="append", choices=names, help="all without")
    parser.add_argument("--only", action="append", default=[], help="a pattern for names")
    options = parser.parse_args(arguments)
    try:
        for one in PARSERS:
            if one.name in (options.parser or names):
                asyncio.run(record(one, options.folder, options.only))
    except InstallationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
