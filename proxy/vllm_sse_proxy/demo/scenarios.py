"""The recordings that the demo ships, and what each of them shows.

A recording is the body of one answer as it was sent (HTTP chunking removed) with the request that caused it. How the
connection ended does not belong to the body, so it stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.demo.protocols import CHAT, MESSAGES, RESPONSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.demo.protocols import Protocol

MODEL_PREFIX: Final = "demo/"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One recorded answer.

    Attributes:
        name: also the file name, and after `demo/` the model to ask for.
        origin: where the bytes come from.
        story: what goes wrong, in a sentence or two.
        cut: the body stopped without its last HTTP chunk, as when the server died.
        protocol: the protocol that it is a stream of.
        focus: where to look: pieces of an event before and of the same event after, shown as they are on the wire.
    """

    name: str
    origin: str
    story: str
    cut: bool = False
    focus: tuple[bytes, bytes] | None = None
    protocol: Protocol = RESPONSES

    @property
    def model(self) -> str:
        """The model name that asks for this recording."""
        return MODEL_PREFIX + self.name

    @property
    def body(self) -> bytes:
        """The recorded answer."""
        return _recording(f"{self.name}.sse")

    @property
    def request(self) -> Mapping[str, Any]:
        """The recorded request, asking for this recording."""
        recorded: dict[str, Any] = orjson.loads(_recording(f"{self.name}.req.json"))["body"]
        return {**recorded, "model": self.model}


def _recording(name: str) -> bytes:
    return files("vllm_sse_proxy.demo").joinpath("recordings", name).read_bytes()


def _recorded(release: str) -> str:
    return f"recorded from vLLM {release}"


SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="dict-delta",
        origin="rebuilt from the published bug reports of a fork of vLLM 0.11 (wire form F01), not recorded",
        story="Where this project began. Reasoning comes as objects under a private event name, a heartbeat takes a "
        "number twice, nothing is closed, and the streamed text stops before the answer does.",
        focus=(b'"delta":{"content":"We"}', b'"delta":"We"'),
    ),
    Scenario(
        name="vllm-0.12.0-tool-call",
        origin=_recorded("0.12.0, gpt-oss"),
        story="A tool call that is announced with the id of the reasoning before it, streamed under a second id and "
        "finished with none; every `done` event carries the next item's output_index.",
    ),
    Scenario(
        name="vllm-0.12.0-reasoning",
        origin=_recorded(
            "0.12.0, DeepSeek R1 parser (the words are noise: a tiny model; the events are genuine)"
        ),
        story="content_index counts the deltas, the answer is announced with the id and index of the reasoning, and "
        "the final output has lost the answer.",
    ),
    Scenario(
        name="vllm-0.17.0-lost-answer",
        origin=_recorded("0.17.0, several tokens per step"),
        story="One step brings the end of the reasoning and the answer together. The answer is never streamed; only "
        "response.completed has it.",
    ),
    Scenario(
        name="vllm-0.17.0-cut-arguments",
        origin=_recorded("0.17.0, gpt-oss, several tokens per step"),
        story="A tool call opens on the index of a reasoning item that is never closed; its arguments stop in the "
        "middle, and every id changes in response.completed.",
    ),
    Scenario(
        name="vllm-0.17.0-crash",
        origin=_recorded("0.17.0, gpt-oss"),
        story="The parser raises in mid-stream: HTTP 200 was sent long ago, so the connection just closes.",
        cut=True,
    ),
    Scenario(
        name="vllm-0.17.0-empty-body",
        origin=_recorded("0.17.0"),
        story="A forced tool call. The first event cannot be built: HTTP 200, text/event-stream, not one byte.",
        cut=True,
    ),
    Scenario(
        name="vllm-0.32.0-max-tokens",
        origin=_recorded("0.32.0, gpt-oss"),
        story="Cut by max_output_tokens, and reported as completed by the event and by the item. That the turn is not "
        "complete is the truth, and afterwards clients say so.",
    ),
    Scenario(
        name="vllm-0.32.0-engine-killed",
        origin=_recorded("0.32.0"),
        story="The engine process is killed while the answer is streaming.",
        cut=True,
    ),
    Scenario(
        name="vllm-0.20.2-chat-cut-call",
        origin=_recorded("0.20.2, /v1/chat/completions, hermes parser, eight tokens per step (a tiny model)"),
        story="A chat completion that max_tokens cuts in the middle of a call, and that says tool_calls all the same: agents "
        "run the call with half of its arguments. Afterwards it says length.",
        protocol=CHAT,
    ),
    Scenario(
        name="vllm-0.17.0-messages-tool",
        origin=_recorded("0.17.0, /v1/messages, llama3 parser (a tiny model)"),
        story="A message of Anthropic's with a call whose stop_reason is end_turn, so that no agent runs the call, and that "
        "has no role.",
        protocol=MESSAGES,
    ),
)


def scenario_for(model: object, text: object, path: str = RESPONSES.path) -> Scenario | None:
    """Return the scenario that a request for a path means: by its `model`, with or without `demo/`, else by its input."""
    scenarios = [scenario for scenario in SCENARIOS if scenario.protocol.path == path]
    for scenario in scenarios:
        if model in (scenario.model, scenario.name):
            return scenario
    for scenario in scenarios:
        if isinstance(text, str) and text.removeprefix(MODEL_PREFIX) == scenario.name:
            return scenario
    return None
