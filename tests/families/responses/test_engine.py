"""The walk through the repairs, and the one exit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from tests.support.compiled import python_core
from tests.support.repairing import opened, repaired, terminal
from tests.support.streams import events_of, message, reasoning
from vllm_sse_proxy.families.responses import REPAIRS, Dialect, Plan, Repair, RepairEngine, RequestContext
from vllm_sse_proxy.families.responses.engine import Tally
from vllm_sse_proxy.families.responses.events import END, OPAQUE, Event, invented, parse_event
from vllm_sse_proxy.families.responses.moved import HOLD, Moved
from vllm_sse_proxy.families.responses.repairs.base import Phase, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView


def repair(name: str, mend: Any, *types: str) -> type[Repair]:
    """Return a repair of these types (of all without any) that does what `mend` does."""

    class Made(Repair):
        handles: ClassVar[frozenset[str] | None] = frozenset(types) or None
        phase: ClassVar[Phase] = Phase.SHAPE

        def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
            result: Sequence[Event] | None = mend(event, view)
            return result

    Made.name = name
    return Made


def engine(*repairs: type[Repair], starting_after: int | None = None, **settings: Any) -> RepairEngine:
    return RepairEngine(
        Plan(Settings(strict=True, **settings), repairs), RequestContext(), starting_after=starting_after
    )


def sent(made: RepairEngine, *names: str) -> list[str]:
    """Send events of these types; return the types of what comes out."""
    for name in names:
        made.process(Event(name, {"type": name}))
    return [event["type"] for event in events_of(made.take())]


class TestPlan:
    def test_it_holds_all_repairs_in_order(self) -> None:
        plan = Plan.build()
        assert plan.repair_names == tuple(each.name for each in REPAIRS)
        assert list(plan.repairs) == [each for each in REPAIRS if each.wanted(plan.settings)]

    def test_it_leaves_out_what_is_disabled(self) -> None:
        plan = Plan.build(disabled=["done_items"])
        assert "done_items" not in {each.name for each in plan.repairs}
        assert "done_items" in plan.repair_names

    def test_an_unknown_name_is_refused_and_the_nearest_one_named(self) -> None:
        with pytest.raises(
            ValueError,
            match="repair 'done_item' is not known; the nearest one that can be switched off is 'done_items'",
        ):
            Plan.build(disabled=["done_item"])
        with pytest.raises(ValueError, match="the nearest one that can be switched off is"):
            Plan.build(disabled=["€"])

    def test_a_repair_that_others_need_cannot_be_switched_off(self) -> None:
        needed = [each for each in REPAIRS if each.needed]
        assert {each.name for each in needed} == set(Plan.repair_names) - set(Plan.optional_names)
        for each in needed:
            with pytest.raises(
                ValueError, match=f"'{each.name}' cannot be switched off: {each.needed}; the nearest"
            ):
                Plan.build(disabled=[each.name])

    def test_only_the_repairs_of_a_type_are_asked(self) -> None:
        plan = Plan(Settings(), [repair("a", None, "x"), repair("b", None), repair("c", None, "y")])
        assert plan.positions("x") == (0, 1)
        assert plan.positions("z") == (1,)
        assert plan.positions(END) == (1,)

    def test_the_types_that_an_upstream_invents_are_not_remembered(self) -> None:
        plan = Plan.build()
        for number in range(3):
            plan.positions(f"vendor:{number}")
        plan.positions("response.created")
        assert list(plan._positions) == ["response.created"]


class TestWalk:
    @python_core
    def test_a_replacement_goes_to_the_later_repairs_only(self) -> None:
        seen: list[tuple[str, str]] = []

        def noting(name: str, result: Any) -> Any:
            def mend(event: Event, _view: ClientView) -> Any:
                seen.append((name, event.type))
                return result(event)

            return mend

        made = engine(
            repair("a", noting("a", lambda _: None)),
            repair("b", noting("b", lambda event: [invented("new"), event])),
            repair("c", noting("c", lambda _: None)),
        )
        assert sent(made, "x") == ["new", "x"]
        assert seen == [("a", "x"), ("b", "x"), ("c", "new"), ("c", "x")]
        assert made.tally.repairs == {"b": 1}
        assert made.tally.events_synthesised == 1

    @python_core
    def test_it_goes_depth_first(self) -> None:
        made = engine(
            repair("a", lambda event, _: [event, event.renamed("y")], "x"),
            repair("b", lambda event, _: [event, event.renamed("z")], "x"),
        )
        assert sent(made, "x") == ["x", "z", "y"]

    @python_core
    def test_a_dropped_event_is_counted(self) -> None:
        made = engine(repair("a", lambda _event, _view: []))
        assert sent(made, "x", END) == []
        assert (made.tally.events_in, made.tally.events_dropped, made.tally.repairs) == (1, 1, {"a": 2})

    @python_core
    def test_what_only_moves_is_no_repair(self) -> None:
        made = engine(
            repair("a", lambda event, _: Moved((invented("new"), event)), "x"),
            repair("b", lambda *_: HOLD, "y"),
        )
        assert sent(made, "x", "y") == ["new", "x"]
        assert made.tally.repairs == {}

    @python_core
    def test_a_repair_that_raises_is_left_out_for_that_event_and_counted(self) -> None:
        def broken(_event: Event, _view: ClientView) -> None:
            raise KeyError("item")

        def lenient(*repairs: type[Repair]) -> RepairEngine:
            return RepairEngine(Plan(Settings(), repairs), RequestContext())

        made = lenient(repair("a", broken), repair("b", lambda event, _: [event.having(b=1)]))
        made.process(parse_event(b'{"type":"x"}'))
        made.process(parse_event(b'{"type":"x"}'))
        assert [event["b"] for event in events_of(made.take())] == [1, 1]
        assert made.tally.repair_failures == {"a": 2}
        with pytest.raises(KeyError):
            engine(repair("a", broken)).process(Event("x", {"type": "x"}))


class TestExit:
    def test_numbers_have_no_gap(self) -> None:
        made = engine()
        for number in (0, 7, None, True):
            made.process(Event("x", {"type": "x", "sequence_number": number}))
        assert [event["sequence_number"] for event in events_of(made.take())] == [0, 1, 2, 3]
        assert made.tally.events_renumbered == 3
        assert made.view.next_number == 4

    def test_a_right_number_leaves_the_bytes_alone(self) -> None:
        made = engine()
        data = b'{ "sequence_number" : 0 , "type":"x"}'
        made.process(parse_event(data))
        assert made.take() == b"event: x\ndata: " + data + b"\n\n"

    def test_an_opaque_payload_has_no_number_and_no_name(self) -> None:
        made = engine()
        assert sent(made, "x") == ["x"]
        made.process(Event(OPAQUE, {}, b"text"))
        assert made.take() == b"data: text\n\n"
        assert made.view.next_number == 1
        made.process(Event(OPAQUE, {}, b"text", name="its.line"))
        assert made.take() == b"event: its.line\ndata: text\n\n"

    def test_a_heartbeat_of_openais_own_repeats_the_last_number(self) -> None:
        made = engine()
        for name in ("keepalive", "x", "keepalive", "keepalive", "y"):  # the first has nothing to repeat
            made.process(Event(name, {"type": name}))
        assert [event["sequence_number"] for event in events_of(made.take())] == [0, 0, 0, 1]

    def test_the_end_is_never_told(self) -> None:
        made = engine()
        assert sent(made, END) == []
        assert made.tally.events_in == 0

    def test_only_what_comes_after_the_given_number_is_written(self) -> None:
        made = engine(starting_after=1)
        made.comment(b"early")
        assert sent(made, "a", "b", "c", "d") == ["c", "d"]
        made.comment(b"late")
        assert made.take() == b": late\n\n"
        assert made.tally.events_out == 4
        assert made.tally.comments == 2

    def test_nothing_to_take_is_no_bytes(self) -> None:
        made = engine()
        assert made.take() == b""
        made.sentinel()
        assert made.take() == b"data: [DONE]\n\n"
        assert made.take() == b""

    def test_a_tally_begins_at_zero(self) -> None:
        assert Tally() == Tally(0, 0, 0, 0, 0, 0, 0, 0, {}, {})


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


@pytest.mark.parametrize("index", [False, 0.0])
def test_an_index_that_only_equals_the_right_one_ends_the_streak(index: object) -> None:
    events, item = message(0, "a", "b", "c")
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    deltas[1]["content_index"] = index  # JSON's false and 0.0 equal 0, and no client reads them as one
    told = repaired([*opened(*events), terminal(item)])
    indexes = told.values("output_text.delta", "content_index")
    assert [(type(told_index), told_index) for told_index in indexes] == [(int, 0)] * len(deltas)
