"""Streams recorded from real vLLM servers: the body, the request, and how the connection ended.

A recording is three files: `NAME.sse` (the raw body), `NAME.req.json`, `NAME.meta.json` (status, headers, ending, reads).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_sse_proxy import BodyEnd, RequestContext

_ENDS = {
    "eof": BodyEnd.EOF,
    "eof no-final-chunk": BodyEnd.CUT,
    "timeout": BodyEnd.IDLE_TIMEOUT,
    "timeout no-final-chunk": BodyEnd.IDLE_TIMEOUT,
    "client closed": BodyEnd.CLIENT_GONE,
    "client closed no-final-chunk": BodyEnd.CLIENT_GONE,
}


@dataclass(frozen=True)
class Recording:
    """One recorded exchange."""

    name: str  # "0.32.0/ds-r-weather"
    body: bytes
    method: str
    path: str
    request: dict[str, Any] | None
    status: int
    content_type: str
    end: BodyEnd

    @property
    def release(self) -> str:
        """The vLLM release that was recorded."""
        return self.name.partition("/")[0].removeprefix("vllm-")

    @property
    def is_response_stream(self) -> bool:
        """Whether this is what the normalizer is for: an event stream of /v1/responses."""
        return (
            self.path.startswith("/v1/responses")
            and self.status == 200
            and self.content_type.startswith("text/event-stream")
        )

    @property
    def is_suffix(self) -> bool:
        """Whether this is the rest of a stream (`starting_after`): the proxy asks for the whole instead."""
        return "starting_after=" in self.path

    @property
    def known_end(self) -> BodyEnd:
        """The ending, for a client that stays: where the recorder itself went away, upstream's body is cut."""
        return BodyEnd.CUT if self.end is BodyEnd.CLIENT_GONE else self.end

    def context(self) -> RequestContext:
        """What the proxy knows of the request."""
        seed = "" if self.method == "POST" else self.path.partition("?")[0].rpartition("/")[2]
        return RequestContext(seed=seed, body=self.request if isinstance(self.request, dict) else None)


def load(path: Path) -> Recording:
    """Load one recording by the path of its `.sse` file."""
    meta = json.loads(path.with_suffix(".meta.json").read_bytes())
    request = json.loads(path.with_suffix(".req.json").read_bytes())
    headers = {name.lower(): value for name, value in dict(meta["headers"]).items()}
    return Recording(
        name=f"{path.parent.name}/{path.stem}",
        body=path.read_bytes(),
        method=request["method"],
        path=request["path"],
        request=request["body"],
        status=meta["status"],
        content_type=headers.get("content-type", ""),
        end=_ENDS[meta["end"]],
    )


def load_all(folder: Path) -> list[Recording]:
    """Load every recording below a folder, in order of their names."""
    return [load(path) for path in sorted(folder.rglob("*.sse")) if path.with_suffix(".meta.json").exists()]
