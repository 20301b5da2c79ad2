"""Streams recorded from vLLM as loads: each is given again by upstream, byte for byte, flat out and live.

The synthetic streams of `measure.py` are long, and alike from delta to delta. A recorded stream is what vLLM sends: short,
with openings, calls and endings, and broken as its release breaks it. What a stream costs once is a good part of what its
events cost here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench.contenders import NGINX, PASSTHROUGH, PROXY
from bench.machine import ANSWERS
from bench.measure import SECONDS, Load
from bench.streams import MODEL, RECORDINGS, Answer, asking_for, on_the_wire
from tests.support.recordings import load
from vllm_sse_proxy import BodyEnd

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.recordings import Recording


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded stream.

    :ivar what: how vLLM made it, for people.
    :ivar file: the recording below tests/recordings, without its ending.
    """

    what: str
    file: str

    @property
    def path(self) -> Path:
        """The recording."""
        return RECORDINGS / f"{self.file}.sse"


RECORDED: Final = {
    "0.12": Recorded("0.12, simple path", "vllm-0.12.0/ds-r-weather2"),
    "0.12-harmony": Recorded("0.12, harmony", "vllm-0.12.0/gptoss-r-weather2"),
    "0.17": Recorded("0.17, simple path", "vllm-0.17.0/ds-r-weather2"),
    "0.17-harmony": Recorded("0.17, harmony", "vllm-0.17.0/gptoss-r-texttool"),
    "0.24": Recorded("0.24, simple path", "vllm-0.24.0/qwen3-r-texttool"),
    "0.24-harmony": Recorded("0.24, harmony", "vllm-0.24.0/gptoss-r-weather"),
    "0.32": Recorded("0.32, simple path", "vllm-0.32.0/ds-r-weather2"),
    "0.32-harmony": Recorded("0.32, harmony", "vllm-0.32.0/gptoss-r-texttool"),
    "0.32-steps": Recorded("0.32, several tokens a step", "vllm-0.32.0/si8ds-r-weather2"),
    "0.32-chat": Recorded("0.32, chat completion", "families/0.32.0/ds-c-n2-tools"),
    "0.32-messages": Recorded("0.32, message", "families/0.32.0/ds-m-texttool"),
}
"""By the name of its loads."""

ONLY: Final = (NGINX, PASSTHROUGH, PROXY)
KINDS: Final = {"burst": f"-c 16 -n 1000000 -t {SECONDS}", "live": "-c 100 -n 200 -s 200 -t 10"}
"""Options of the load generator: streams that come at once, and streams of an event every 20 ms."""
LIVE_MS: Final = 20

_FIRST_NUMBER: Final = 10_000
"""Number of the first answer, above those that `make bench-peers` lays out."""


def loads() -> dict[str, Load]:
    """Lay the recorded streams out for upstream, and return the loads that ask for them."""
    made: dict[str, Load] = {}
    for number, (name, one) in enumerate(RECORDED.items(), start=_FIRST_NUMBER):
        recording = load(one.path)
        answer = Answer(recording.status, recording.body, recording.known_end is BodyEnd.EOF)
        (ANSWERS / str(number)).write_bytes(on_the_wire(answer))
        specs = {"burst": f"file-ok-{number}", "live": f"live-ok-{number}-{LIVE_MS}"}
        for kind, options in KINDS.items():
            made[f"{kind}-{name}"] = Load(
                f"{one.what}, {kind}",
                specs[kind],
                options,
                path=recording.path,
                only=ONLY,
                body=_asking_for(recording, specs[kind]),
            )
    return made


def _asking_for(recording: Recording, spec: str) -> dict[str, Any]:
    """Return the recorded request with a word by which upstream knows which answer is wanted."""
    request = recording.request or {}
    if "messages" in request:
        marked = [{"role": "user", "content": f"spec={spec}"}, *request["messages"]]
        return {**request, "model": MODEL, "messages": marked, "stream": True}
    return asking_for(request, spec)


def worst(results: Mapping[str, Any], kind: str, to: str) -> tuple[str, float] | None:
    """Return the recording whose events cost the proxy most, as a multiple of another contender's, and that multiple."""
    runs = results.get("recordings", {}).get("runs", {})
    ratios = [
        (one.what, runs.get(f"{kind}-{name}", {}).get(PROXY, {}).get("to", {}).get(to, {}).get("cpu_us"))
        for name, one in RECORDED.items()
    ]
    return max((pair for pair in ratios if pair[1] is not None), key=lambda pair: pair[1], default=None)
