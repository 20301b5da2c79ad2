"""The last station: numbers, names and what was emitted before."""

from __future__ import annotations

import pytest

from tests.support.repairing import opened, repaired, terminal
from tests.support.streams import events_of, message, reasoning
from vllm_sse_proxy import Dialect, RequestContext, build_plan
from vllm_sse_proxy.families import RESPONSES
from vllm_sse_proxy.families.responses.events import parse_event
from vllm_sse_proxy.stream.engine import Engine
from vllm_sse_proxy.stream.event import OPAQUE, Event
from vllm_sse_proxy.stream.plan import Plan


def engine(after: int | None = None) -> Engine:
    disabled = ["response_openings"]
    return Engine(build_plan(strict=True, disabled=disabled), RequestContext(), starting_after=after)


def sent(made: Engine, *names: str) -> list[str]:
    """Send events of these types; return the types of what comes out."""
    for name in names:
        made.process(Event(name, {"type": name, "x": name}))
    return [event["type"] for event in events_of(made.exit.take())]


class TestNumbers:
    def test_they_have_no_gap(self) -> None:
        made = engine()
        for number in (0, 7, None, True):
            made.process(Event("x", {"type": "x", "x": 1, "sequence_number": number}))
        assert [event["sequence_number"] for event in events_of(made.exit.take())] == [0, 1, 2, 3]
        assert made.exit.tally.events_renumbered == 3
        assert made.exit.view.next_number == 4

    def test_a_right_number_leaves_the_bytes_alone(self) -> None:
        made = engine()
        data = b'{ "sequence_number" : 0 , "type":"x:y"}'
        made.process(parse_event(data))
        assert made.exit.take() == b"event: x:y\ndata: " + data + b"\n\n"

    @pytest.mark.parametrize(("name", "head"), [(None, b""), ("e", b"event: e\n")])
    def test_an_opaque_payload_has_none(self, name: str | None, head: bytes) -> None:
        plan = Plan.of(RESPONSES, ["response_openings", "opaque_payloads"])  # as nobody can choose it
        made = Engine(plan, RequestContext())
        made.process(Event(OPAQUE, {}, b"text", name=name))
        assert made.exit.take() == head + b"data: text\n\n"
        assert made.exit.view.next_number == 0

    def test_only_what_comes_after_the_given_number_is_written(self) -> None:
        made = engine(after=1)
        made.comment(b"early")
        assert sent(made, "a:", "b:", "c:", "d:") == ["c:", "d:"]
        made.comment(b"late")
        assert made.exit.take() == b": late\n\n"
        assert made.exit.tally.events_out == 4
        assert made.exit.tally.comments == 2


class TestDialects:
    LIFE, DONE = reasoning(0, "Hm")

    def test_open_responses_has_its_own_names_for_reasoning(self) -> None:
        made = repaired(
            opened(*self.LIFE, terminal(self.DONE)), dialect=Dialect.OPEN_RESPONSES, conforming=False
        )
        assert made.body[2:4] == ["reasoning.delta", "reasoning.done"]
        assert b"event: response.reasoning.delta\n" in made.stream
        private = [
            {**event, "type": event["type"].replace("reasoning_text", "reasoning")} for event in self.LIFE
        ]
        assert repaired(
            opened(*private, terminal(self.DONE)), dialect=Dialect.OPEN_RESPONSES, conforming=False
        ).body[2:4] == ["reasoning.delta", "reasoning.done"]

    def test_dialect_upstream_closes_by_the_names_that_upstream_used(self) -> None:
        private = {**self.LIFE[2], "type": "response.reasoning.delta"}
        made = repaired(opened(*self.LIFE[:2], private, terminal(self.DONE)), dialect=Dialect.UPSTREAM)
        assert made.body[2:4] == ["reasoning.delta", "reasoning.done"]
        part = {**self.LIFE[1], "type": "response.reasoning_part.added"}
        made = repaired(
            opened(self.LIFE[0], part, self.LIFE[2], terminal(self.DONE)), dialect=Dialect.UPSTREAM
        )
        assert made.body[1:5] == [
            "reasoning_part.added",
            "reasoning_text.delta",
            "reasoning_text.done",
            "reasoning_part.done",
        ]

    def test_dialect_upstream_keeps_the_protocols_names_too(self) -> None:
        life, done = message(0, "Hi")
        made = repaired(opened(*life[:3], terminal(done)), dialect=Dialect.UPSTREAM)
        assert made.body == [event["type"].removeprefix("response.") for event in [*life, terminal()]]

    def test_a_name_that_is_no_delta_has_no_counterpart(self) -> None:
        made = repaired(
            opened({"type": "response.done", "response": {"id": "resp_1", "status": "completed"}}),
            dialect=Dialect.UPSTREAM,
            conforming=False,
        )
        assert made.body == ["done"]
