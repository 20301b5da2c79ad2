"""The walk through the stations, what is held on it, and the one exit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from tests.stream.toy import Toy, ToyView
from tests.support.compiled import python_core
from vllm_sse_proxy import RequestContext, Tally
from vllm_sse_proxy.stream.correction import Correction
from vllm_sse_proxy.stream.engine import COMPLETION, Engine
from vllm_sse_proxy.stream.event import END, OPAQUE, Event
from vllm_sse_proxy.stream.plan import Plan, check_names, corrections_of, names_of
from vllm_sse_proxy.stream.repair import HOLD, PASS, Released, Repair
from vllm_sse_proxy.stream.rewrites import learned, words_in
from vllm_sse_proxy.stream.settings import MAX_HELD_EVENTS
from vllm_sse_proxy.stream.view import TextView, View

if TYPE_CHECKING:
    from collections.abc import Callable

OFF = ["hellos", "byes"]


def repair(name: str, answer: Callable[[Repair, Event], Any], *types: str, **members: Any) -> type[Repair]:
    """Return a repair of these types (of all without any) that answers as `answer` does."""

    class Made(Repair):
        handles: ClassVar[frozenset[str] | None] = frozenset(types) or None
        summary = f"does {name}"
        fixes = ("T00",)

        def repair(self, event: Event, view: Any) -> Any:  # noqa: ARG002 - none of these looks at it
            return answer(self, event)

    Made.name = name
    for member, value in members.items():
        setattr(Made, member, value)
    return Made


def engine(
    *repairs: type[Repair], strict: bool = True, disabled: list[str] = OFF, after: int | None = None
) -> Engine:
    family = Toy()
    family.repairs = repairs
    return Engine(Plan.of(family, disabled, strict=strict), RequestContext(), starting_after=after)


def sent(made: Engine, *kinds: str) -> list[str]:
    """Send events of these types; return the types of what comes out."""
    for kind in kinds:
        made.process(Event(kind, {"kind": kind}))
    return kinds_of(made.exit.take())


def kinds_of(out: bytes) -> list[str]:
    return [
        frame.split(b'"')[-2].decode() if b"{" in frame else frame.decode()
        for frame in out.split(b"\n\n")
        if frame
    ]


class TestPlan:
    FAMILY = Toy()
    FAMILY.repairs = (
        repair("a", lambda *_: None, "x"),
        repair("b", lambda *_: None),
        repair("c", lambda *_: None, "y"),
    )

    def test_all_that_is_corrected_is_listed_in_order(self) -> None:
        assert names_of(self.FAMILY) == ("a", "b", "c", "hellos", "byes")
        assert corrections_of(self.FAMILY)[0] == Correction("a", "does a", ("T00",))

    def test_it_leaves_out_what_is_disabled(self) -> None:
        plan = Plan.of(self.FAMILY, ["b", "hellos", "another family's"], dialect="of another family")
        assert [one.name for one in plan.repairs] == ["a", "c"]
        assert "hellos" in plan.disabled

    def test_it_leaves_out_what_the_settings_do_not_ask_for(self) -> None:
        family = Toy()
        family.repairs = (
            repair("a", lambda *_: None, wanted=classmethod(lambda _, settings: settings.observe)),
        )
        assert Plan.of(family).repairs == ()
        assert Plan.of(family, observe=True).repairs == family.repairs

    def test_only_the_repairs_of_a_type_are_asked(self) -> None:
        plan = Plan.of(self.FAMILY)
        assert plan.positions("x") == (0, 1)
        assert plan.positions("z") == (1,)
        assert plan.positions(END) == (1,)

    def test_only_some_of_the_types_that_an_upstream_invents_are_remembered(self) -> None:
        plan = Plan.of(self.FAMILY)
        for number in range(1000):
            plan.positions(f"vendor:{number}")
        plan.positions("word")
        assert len(plan._positions) < 300
        assert "word" in plan._positions

    def test_a_name_that_cannot_be_switched_off_is_refused_with_one_that_may_have_been_meant(self) -> None:
        family = Toy()
        family.repairs = (
            repair("ids", lambda *_: None, needed="all others go by them"),
            repair("idle", lambda *_: None),
        )
        check_names([family], ["idle", "byes"])
        with pytest.raises(ValueError, match=r"'ids' cannot be switched off: all others go by them$"):
            check_names([family], ["byes", "ids"])
        with pytest.raises(ValueError, match=r"'helo' is not known; did you mean 'hellos'\?$"):
            check_names([family], ["helo"])
        with pytest.raises(ValueError, match=r"'€' is not known$"):
            check_names([family], ["€"])


class TestLearning:
    """What is not sure is not learned."""

    def test_words_that_leave_twice_have_no_place(self) -> None:
        frame, text = b'data: {"word":"Hi"}\n\n', TextView()
        assert learned("word", frame, frame, b'"Hi"', text, b"", ()) is not None
        twice = b'data: {"word":"Hi","again":"Hi"}\n\n'
        assert learned("word", frame, twice, b'"Hi"', text, b"", ()) is None

    @pytest.mark.parametrize("spelled", [b"", b"5", b'"a"b"', b'"'])
    def test_what_is_no_string_is_no_words(self, spelled: bytes) -> None:
        assert words_in(spelled) is None


class TestDefaults:
    """What a family need not say."""

    def test_of_a_family(self) -> None:
        family, view = Toy(), Toy().view()
        assert family.context("resp_1", {"a": 1}) == RequestContext(seed="resp_1", body={"a": 1})
        assert family.error("Gone.", "server_error", "gone") == {
            "error": {"message": "Gone.", "type": "server_error", "param": None, "code": "gone"}
        }
        assert family.keepalive(3) is None
        assert family.last_words(Event(OPAQUE, {}, b"x")) is None
        assert family.exceeds(Event("word", {}), view) is None

    def test_of_a_view(self) -> None:
        class Mute(ToyView):
            text_of = View.text_of
            words_of = View.words_of

        view = Mute()
        view.said.grow("Hi")
        assert view.said.text == "Hi"
        assert view.response_id is None
        assert view.text_of(Event("word", {})) is None
        assert view.words_of(Event("word", {"word": "Hi"})) is None
        assert view.idle_index(Event("word", {})) == b""


@python_core
class TestWalk:
    def test_a_replacement_goes_to_the_later_repairs_only(self) -> None:
        seen: list[tuple[str, str]] = []

        def noting(name: str, result: Any) -> Any:
            def answer(_: Repair, event: Event) -> Any:
                seen.append((name, event.type))
                return result(event)

            return answer

        made = engine(
            repair("a", noting("a", lambda _: None)),
            repair("b", noting("b", lambda event: [Event("new", {"kind": "new"}, inserted=True), event])),
            repair("c", noting("c", lambda _: None)),
        )
        assert sent(made, "x") == ["new", "x"]
        assert seen == [("a", "x"), ("b", "x"), ("c", "new"), ("c", "x")]
        assert made.exit.tally.repairs == {"b": 1}
        assert made.exit.tally.events_inserted == 1

    def test_it_goes_depth_first(self) -> None:
        def twice(kind: str) -> Any:
            return lambda _, event: [event, Event(kind, {"kind": kind})]

        assert sent(engine(repair("a", twice("y"), "x"), repair("b", twice("z"), "x")), "x") == [
            "x",
            "z",
            "y",
        ]

    def test_a_dropped_event_is_counted(self) -> None:
        made = engine(repair("a", lambda *_: []))
        assert sent(made, "x", END) == []
        tally = made.exit.tally
        assert (tally.events_in, tally.events_dropped, tally.repairs) == (1, 1, {"a": 2})

    def test_what_raises_is_left_out_for_that_event_and_counted(self) -> None:
        def broken(*_: object) -> None:
            raise KeyError("item")

        made = engine(repair("a", broken), repair("b", lambda _, event: [event.having(b=1)]), strict=False)
        sent(made, "x", "x")
        assert made.exit.tally.repair_failures == {"a": 2}
        assert made.exit.tally.repairs == {"b": 2}
        with pytest.raises(KeyError):
            sent(engine(repair("a", broken)), "x")

    def test_an_event_that_cannot_be_completed_leaves_as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = engine(strict=False)

        def broken(*_: object) -> None:
            raise KeyError("item")

        monkeypatch.setattr(made._completer, "complete", broken, raising=False)
        monkeypatch.setattr(made._completer, "release", broken, raising=False)
        assert sent(made, "x", END) == ["x"]
        made.comment(b"c")
        assert made.exit.tally.repair_failures == {COMPLETION: 3}


@python_core
class TestHolding:
    @staticmethod
    def holder(*held: str) -> type[Repair]:
        """Return a repair that holds events of these types, and lets "by" pass."""

        def answer(self: Repair, event: Event) -> Any:
            if event.type in held:
                return HOLD
            return PASS if event.type == "by" else None

        return repair("holds", answer)

    def test_what_is_held_goes_on_before_the_next_event_and_is_no_correction(self) -> None:
        made = engine(self.holder("x", "y"), repair("later", lambda _, event: [event.having(late=1)], "x"))
        assert sent(made, "x", "y") == []
        assert sent(made, "by") == ["by"]
        made.process(Event("z", {"kind": "z"}))
        assert made.exit.take().count(b"late") == 1
        assert made.exit.tally.repairs == {"later": 1}

    def test_the_end_and_comments_release_it(self) -> None:
        made = engine(self.holder("x"))
        assert sent(made, "x", END) == ["x"]
        assert sent(made, "x") == []
        made.comment(b"c")
        assert kinds_of(made.exit.take()) == ["x", ": c"]

    def test_no_more_is_held_than_it_may(self) -> None:
        made = engine(self.holder("x"))
        assert sent(made, *["x"] * MAX_HELD_EVENTS) == []
        assert sent(made, "x") == ["x"] * (MAX_HELD_EVENTS + 1)

    def test_a_repair_may_release_some_of_it_and_keep_the_rest(self) -> None:
        def answer(self: Repair, event: Event) -> Any:
            if event.type == "x":
                return HOLD
            return Released([self.held.pop(0)]) if event.type == "one" else None

        made = engine(repair("holds", answer))
        assert sent(made, "x", "x", "one") == ["x"]
        assert sent(made, "y") == ["x", "y"]
        assert made.exit.tally.repairs == {}

    def test_what_a_repair_takes_is_its_own(self) -> None:
        def answer(self: Repair, event: Event) -> Any:
            return HOLD if event.type == "x" else [event, *self.take()] if event.type == "y" else None

        made = engine(repair("holds", answer))
        assert sent(made, "x", "y", "z") == ["y", "x", "z"]
        assert made.exit.tally.repairs == {"holds": 1}


class TestExit:
    def test_nothing_to_take_is_no_bytes(self) -> None:
        made = engine()
        assert made.exit.take() == b""
        made.exit.sentinel()
        assert made.exit.take() == b"data: over\n\n"
        assert made.exit.take() == b""

    def test_the_end_is_not_emitted_and_not_counted(self) -> None:
        made = engine()
        assert sent(made, END) == []
        assert made.exit.tally.events_in == 0

    def test_an_opaque_payload_leaves_as_it_came(self) -> None:
        made = engine()
        made.process(Event(OPAQUE, {}, b"text"))
        assert made.exit.take() == b"data: text\n\n"

    def test_a_tally_begins_at_zero(self) -> None:
        assert Tally() == Tally(0, 0, 0, 0, 0, 0, 0, 0, {}, {})
