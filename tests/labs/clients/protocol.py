"""What the suites of chat completions and of messages share: how scenarios are made of perfect conversations."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.labs.clients.scenarios import Scenario
from tests.support.upstream import Chunk, Cut, End, Head, Step, Wait
from vllm_sse_proxy import BodyEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.labs.clients.scenarios import Row
    from tests.support.goldens import Golden
    from tests.support.streams import Json

Turn = list[dict[str, Any]]

_STEPS: dict[BodyEnd, Step] = {
    BodyEnd.EOF: End(),
    BodyEnd.CUT: Cut(),
    BodyEnd.IDLE_TIMEOUT: Wait(asyncio.Event()),
}


def multi_line(data: bytes) -> bytes:
    """Return a stream with the JSON of every event on several lines, as the format allows."""
    return data.replace(b', "', b',\ndata: "')


@dataclass(frozen=True)
class Protocol:
    """How one protocol's scenarios are made.

    :ivar perfect: its conversations by name: the turns of each.
    :ivar steps_of: how a turn is sent.
    :ivar tools: the functions that the client offers.
    :ivar saying_why: names of the rows in which upstream says why it fails.
    """

    perfect: Mapping[str, Sequence[Turn]]
    steps_of: Callable[[Turn], tuple[Step, ...]]
    tools: Sequence[Json]
    saying_why: frozenset[str]

    def framed(self, framings: Iterable[tuple[str, Callable[[Turn], tuple[Step, ...]]]]) -> list[Scenario]:
        """Return the perfect streams in other frames: each framing's name, and how it sends a turn."""
        return [
            Scenario(name, on, on, [*map(script, self.perfect[on])], tools=self.tools)
            for name, script in framings
            for on in ("text", "tools")
        ]

    def damaged(self, row: Row, name: str, reference: str) -> Scenario:
        """Return a conversation whose first turn is damaged.

        :raises ValueError: the damage does nothing to it.
        """
        turns = [row.damage(deepcopy(self.perfect[name][0])), *self.perfect[name][1:]]
        if turns == self.perfect[name]:
            raise ValueError(f"{row.name} does nothing to {name}")
        return Scenario(row.name, name, reference, [*map(self.steps_of, turns)], tools=self.tools)

    def failed(
        self, name: str, on: str, reference: str, script: Callable[[Turn], tuple[Step, ...]]
    ) -> Scenario:
        """Return a conversation whose first turn fails."""
        first, *rest = self.perfect[on]
        return Scenario(
            name, on, reference, [script(first), *map(self.steps_of, rest)],
            stalls=name == "silence", tools=self.tools, says_why=name in self.saying_why,
        )  # fmt: skip

    def alone(self, name: str, reference: str, steps: tuple[Step, ...]) -> Scenario:
        """Return an answer that belongs to no conversation."""
        return Scenario(name, "text", reference, [steps], tools=self.tools, says_why=name in self.saying_why)

    def recorded(self, golden: Golden, answer: Turn, tools: Sequence[Json] | None = None) -> Scenario:
        """Return a golden's stream, and a perfect answer to the output of its tools."""
        return Scenario(
            "recorded", golden.name, f"golden {golden.name}",
            [(Head(), Chunk(golden.upstream), _STEPS[golden.end]), self.steps_of(answer)],
            stalls=golden.end is BodyEnd.IDLE_TIMEOUT, tools=self.tools if tools is None else tools,
        )  # fmt: skip
