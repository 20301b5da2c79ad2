"""Goldens of repaired requests: what the client sent, what upstream was sent, what it streamed, and what the client gets.

A folder of `tests/requests/answers` has `origin.toml` (which captured request, which server, which repairs), `sent.json`
(the body that the server accepted), `upstream.sse` and `client.sse`. The request before is the captured one.
`python -m tests.support.answers` writes all but `origin.toml` again: read it before you commit it.
"""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.support.refusals import SERVERS, Server
from tests.support.refusing import answered
from tests.support.replay import normalize
from tests.support.requests import ITEMS, captured, sent_to
from tests.support.streams import wire
from vllm_sse_proxy import BodyEnd, RequestContext
from vllm_sse_proxy.families.requests import Facts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vllm_sse_proxy.families.requests import Post

FOLDER: Final = Path(__file__).parents[1] / "requests" / "answers"


@dataclass(frozen=True)
class AnswerGolden:
    """One request, and its answer.

    :ivar request: as it was captured; ``repairs``: what must have been done to it.
    """

    name: str
    request: dict[str, Any]
    server: Server
    repairs: list[str]

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    def read(self, file: str) -> bytes:
        return (self.folder / file).read_bytes()

    def post(self) -> Post:
        """Return what the server accepts."""
        status, attempts = sent_to(self.server, self.request, Facts(items=ITEMS))
        assert status == 200
        return attempts.posts[-1]

    def upstream(self) -> bytes:
        """Return what the server streams."""
        post = self.post()
        return wire(answered(json.loads(post.body), post.body, is_old=not self.server.new)[0])

    def client(self, chunks: Iterable[bytes]) -> bytes:
        """Return what the client gets of a stream that comes in these chunks."""
        kept = {name: value for name, value in self.request.items() if name != "input"}
        context = RequestContext(body=kept, conversion=self.post().conversion)
        return normalize(chunks, BodyEnd.EOF, context=context)[0]


def goldens() -> list[AnswerGolden]:
    """Return all of them."""
    bodies = captured()
    found = []
    for path in sorted(FOLDER.glob("*/origin.toml")):
        origin = tomllib.loads(path.read_text("utf-8"))
        server = next(server for server in SERVERS if server.name == origin["server"])
        found.append(AnswerGolden(path.parent.name, bodies[origin["request"]], server, origin["repairs"]))
    return found


def write() -> None:
    """Write what is expected again."""
    for golden in goldens():
        upstream = golden.upstream()
        (golden.folder / "sent.json").write_bytes(golden.post().body + b"\n")
        (golden.folder / "upstream.sse").write_bytes(upstream)
        (golden.folder / "client.sse").write_bytes(golden.client([upstream]))
        sys.stdout.write(f"{golden.folder}: read it before you commit it\n")


if __name__ == "__main__":
    write()
