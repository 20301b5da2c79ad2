"""A vLLM that was recorded: it answers every request with what a real release sent, plain or as a stream.

The suites ask what they like; the answers are always the same two of a release, one with a tool call and one without. What is
measured is the form of the answers, and that is vLLM's own. A plain JSON answer is the object of the stream's terminal event:
vLLM makes both in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from tests.labs import ROOT
from tests.support.recordings import Recording, load
from tests.support.replay import bodies
from tests.support.upstream import Chunk, End, FakeUpstream, Head, json_answer

if TYPE_CHECKING:
    from tests.support.upstream import Seen, Step

RECORDINGS = ROOT / "tests" / "recordings"
MODEL = "tiny"


@dataclass(frozen=True)
class Server:
    """A recorded server: a release with a model and its settings.

    :ivar answer: the recording of an answer; ``call``: of an answer with a tool call.
    """

    release: str
    kind: str
    answer: str
    call: str

    @property
    def name(self) -> str:
        return f"{self.release} {self.kind}"

    def recording(self, *, tools: bool) -> Recording:
        """Return the recording that answers a request with or without tools."""
        return load(RECORDINGS / f"vllm-{self.release}" / f"{self.call if tools else self.answer}.sse")


SERVERS: tuple[Server, ...] = (
    Server("0.12.0", "simple", "ds-r-emoji", "ds-r-weather2"),
    Server("0.12.0", "harmony", "gptoss-r-hello", "gptoss-r-items"),
    Server("0.17.0", "simple", "ds-r-texttool", "ds-r-weather2"),
    Server("0.17.0", "simple, 8 tokens a step", "si8ds-r-thinkempty", "si8ds-r-weather2"),
    Server("0.17.0", "harmony", "gptoss-r-thinkempty", "gptoss-r-texttool"),
    Server("0.17.0", "harmony, 8 tokens a step", "si8gptoss-r-nothink-kw", "si8gptoss-r-texttool"),
    Server("0.20.2", "simple", "ds-r-texttool", "ds-r-texttool"),
    Server("0.24.0", "simple", "qwen3-r-texttool", "qwen3-r-texttool"),
    Server("0.24.0", "harmony", "gptoss-r-weather", "gptoss-r-weather"),
    Server("0.32.0", "simple", "plain-r-hello", "ds-r-weather2"),
    Server("0.32.0", "harmony", "gptoss-r-after-disconnect", "gptoss-r-weather2"),
)
"""Each release that was recorded: models that vLLM parses itself ("simple"), and gpt-oss ("harmony")."""


class RecordedUpstream(FakeUpstream):
    """Answers `POST /v1/responses` as the chosen server did; lists one model; has nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.server = SERVERS[0]

    def script(self, seen: Seen, steps: tuple[Step, ...]) -> tuple[Step, ...]:  # noqa: ARG002 - nothing is scripted ahead
        """Answer by what was asked."""
        match seen.method, seen.target.split(b"?")[0]:
            case "GET", b"/v1/models":
                return json_answer({"object": "list", "data": [{"id": MODEL, "object": "model"}]})
            case "POST", b"/v1/responses":
                return self._respond(seen.body)
        return json_answer({"detail": "Not Found"}, status=404, reason="Not Found")

    def _respond(self, posted: bytes) -> tuple[Step, ...]:
        try:
            body: Any = orjson.loads(posted)
        except ValueError:
            body = None
        if not isinstance(body, dict) or not isinstance(body.get("input"), str | list):
            return json_answer(
                _refusal("input: Input should be a string or a list"), status=400, reason="Bad Request"
            )
        if body.get("model") not in (MODEL, None):  # vLLM takes any request without a model for its own
            return json_answer(_refusal("The model does not exist."), status=404, reason="Not Found")
        recording = self.server.recording(tools=bool(body.get("tools")))
        if body.get("stream"):
            return (
                Head(),
                *(Chunk(frame + b"\n\n") for frame in recording.body.split(b"\n\n") if frame),
                End(),
            )
        return json_answer(list(bodies(recording.body))[-1]["response"])


def _refusal(message: str) -> dict[str, Any]:
    """Return an error as vLLM's own handler words it."""
    return {"error": {"message": message, "type": "Bad Request", "param": None, "code": 400}}
