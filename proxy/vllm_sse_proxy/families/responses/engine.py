"""The heart: events pass the repairs in their fixed order, leave by one exit, and are numbered there.

A replacement goes, depth first, to the later repairs only, so no repair sees its own work and termination is plain.
The exit alone writes the client's view and gives numbers; it can be neither reordered nor switched off. A repair that
raises is left out for that event and counted (fail open): the proxy never makes a stream worse than upstream made it.

Nearly all events are deltas that differ from the one before in nothing but their words (a *streak*). Whatever was right
with the first is right with the next, so only the repairs that read words (``Repair.reads_deltas``) are asked about those,
and where they need not be either, the next is not even parsed (:meth:`RepairEngine.skim`).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.events import COMMENT, END, OPAQUE, Event, serialize_event
from vllm_sse_proxy.families.responses.grammar import DONE_SENTINEL, OPEN_RESPONSES_NAMES
from vllm_sse_proxy.families.responses.moved import Moved
from vllm_sse_proxy.families.responses.repairs import REPAIRS
from vllm_sse_proxy.families.responses.repairs.base import (
    MAX_FRAME_BYTES,
    MAX_TEXT_BYTES,
    Dialect,
    NestedNumbers,
    Reasoning,
    Repair,
    RequestContext,
    Settings,
    StreamContext,
)
from vllm_sse_proxy.families.responses.streaks import Streak, holds_more
from vllm_sse_proxy.families.responses.view import ClientView
from vllm_sse_proxy.sse import encode_comment, encode_data, encode_event, event_pieces

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


@dataclass(slots=True)
class Tally:
    """What one stream cost and needed, in plain integers; added to the metrics once, at its end."""

    events_in: int = 0
    events_out: int = 0
    events_renumbered: int = 0
    events_synthesised: int = 0
    events_dropped: int = 0
    comments: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    repairs: dict[str, int] = field(default_factory=dict)
    repair_failures: dict[str, int] = field(default_factory=dict)


class Plan:
    """The repairs of a process: which, in which order, for which event types. Immutable; shared by all streams.

    :cvar repair_names: all repairs, in order.
    :cvar optional_names: those that can be switched off.
    """

    repair_names: Final = tuple(repair.name for repair in REPAIRS)
    optional_names: Final = tuple(repair.name for repair in REPAIRS if not repair.needed)

    def __init__(self, settings: Settings, repairs: Sequence[type[Repair]]) -> None:
        self.settings = settings
        self.repairs = tuple(repairs)
        self._positions: dict[str, tuple[int, ...]] = {}

    @classmethod
    def build(
        cls,
        *,
        dialect: Dialect = Dialect.OPENAI,
        reasoning: Reasoning = Reasoning.RAW,
        disabled: Collection[str] = (),
        nested_numbers: NestedNumbers = NestedNumbers.RENUMBER,
        done_sentinel: bool = True,
        observe: bool = False,
        strict: bool = False,
        max_frame_bytes: int = MAX_FRAME_BYTES,
        max_text_bytes: int = MAX_TEXT_BYTES,
    ) -> Plan:
        """Return the plan for these settings.

        :param disabled: names of repairs to leave out.
        :param strict: let an exception of a repair through (tests) instead of leaving the repair out.
        :raises ValueError: for a name that is no repair's, and for a repair that the others need; the message says why and
            names the nearest one that can be switched off.
        """
        for name in disabled:
            if name not in cls.optional_names:
                why = next(
                    (f"cannot be switched off: {repair.needed}" for repair in REPAIRS if repair.name == name),
                    "",
                )
                near = difflib.get_close_matches(name, cls.optional_names, 1, 0)
                message = f"repair {name!r} {why or 'is not known'}; the nearest one that can be switched off is {near[0]!r}"
                raise ValueError(message)
        settings = Settings(
            dialect=dialect,
            reasoning=reasoning,
            nested_numbers=nested_numbers,
            done_sentinel=done_sentinel,
            observe=observe,
            strict=strict,
            max_frame_bytes=max_frame_bytes,
            max_text_bytes=max_text_bytes,
        )
        return cls(settings, [r for r in REPAIRS if r.name not in disabled and r.wanted(settings)])

    def positions(self, type_: str) -> tuple[int, ...]:
        """Return which repairs are asked about events of this type; upstream's inventions are not remembered."""
        known = self._positions.get(type_)
        if known is None:
            known = tuple(i for i, repair in enumerate(self.repairs) if repair.is_asked_about(type_))
            if type_ in _KNOWN_TYPES:
                self._positions[type_] = known
        return known


_KNOWN_TYPES: Final = frozenset(
    {*grammar.EVENT_FIELDS, *grammar.PINGS, *grammar.PRIVATE_NOTICES, grammar.TOOL_CALL_DELTA}
    | {END, OPAQUE, COMMENT}
)


class RepairEngine:
    """One stream's way through the repairs.

    :ivar view: what the client was told.
    :ivar out: encoded frames, in pieces, that wait to be collected by :meth:`take`.
    """

    def __init__(self, plan: Plan, request: RequestContext, *, starting_after: int | None = None) -> None:
        self._plan = plan
        self._context = StreamContext(plan.settings, request)
        self._repairs: list[Repair | None] = [None] * len(plan.repairs)  # made when they are first asked
        self._streak: Streak | None = None
        self._upstream_names: dict[str, str] = {}
        self._starting_after = -1 if starting_after is None else starting_after
        self._speaks = plan.settings.dialect is not Dialect.OPENAI
        self.view = ClientView()
        self.tally = Tally()
        self.out: list[bytes] = []

    def process(self, event: Event) -> None:
        """Take one upstream event, or END, through the repairs."""
        if not event.invented and event.type is not END:
            self.tally.events_in += 1
        if self._streak is not None and not self._streak.goes_on_with(event):
            self._streak = None
        self._walk(event, -1)

    def comment(self, text: bytes) -> None:
        """Pass one of upstream's comments; one that comes before the first event goes no further (nothing is told yet)."""
        self._walk(Event(COMMENT, {}, text), -1)

    def sentinel(self) -> None:
        """Tell ``data: [DONE]``."""
        self.out.append(encode_data(DONE_SENTINEL))

    def take(self) -> bytes:
        """Return all frames made since the last call, as one piece for one write."""
        out = self.out
        if not out:
            return b""
        joined = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return joined

    def _walk(self, event: Event, after: int) -> None:
        streak, view = self._streak, self.view
        if streak is not None and event.type == streak.type and type(event.body.get("delta")) is str:
            chain = streak.readers
        else:
            streak = None
            chain = self._plan.positions(event.type)
        for position in chain:
            if position <= after:
                continue
            repair = self._repairs[position] or self._made(position)
            try:
                replacement = repair.mend(event, view)
            except Exception:  # noqa: BLE001 - counted, or raised again
                self._count_failure(repair)
                continue
            if replacement is None:
                continue
            if type(replacement) is not Moved:
                self._count(repair, event, replacement)
            for successor in replacement:
                self._walk(successor, position)
            return
        if streak is not None:
            view.grow(streak.text, event.body["delta"])
            self._tell(event)
            return
        if after < 0 and event.type in grammar.RUN_OF_DELTA:  # as upstream sent it
            self._begin_streak(event, chain)
        self._emit(event)

    def _made(self, position: int) -> Repair:
        """Make a repair: a stream in which nothing is wrong with its kind of event needs none, and holds none."""
        repair = self._repairs[position] = self._plan.repairs[position](self._context)
        return repair

    def _begin_streak(self, event: Event, chain: tuple[int, ...]) -> None:
        """Remember a delta of upstream's in which no repair found anything wrong."""
        text = self.view.text_of(event)
        if text is not None and not any(map(holds_more, event.body.values())):
            readers = tuple(position for position in chain if self._plan.repairs[position].reads_deltas)
            first = self._repairs[chain[0]] if chain else None
            flattener = first if first is not None and first.flatten is not None else None
            self._streak = Streak(event, text, readers, flattener)

    def skim(self, blocks: list[bytes], at: int) -> int:
        """Take deltas that go on with the streak by their bytes alone; return how many, from ``blocks[at]`` on.

        :param blocks: frames without the blank line behind them.
        """
        streak, view = self._streak, self.view
        if streak is None or view.next_number <= self._starting_after:
            return 0
        readers = [self._repairs[position] or self._made(position) for position in streak.readers]
        signs = ""
        for reader in readers:
            asked = reader.signs(streak.type, streak.spelling)
            if asked is None:
                return 0
            signs += asked
        run = streak.skim(
            blocks,
            at,
            number=view.next_number,
            signs=signs,
            room=self._plan.settings.max_text_bytes - view.size,
        )
        if not run.words:
            return 0
        for reader in readers:
            reader.pass_by(streak.type, run.words[-1])
        number = len(run.words)
        view.grow(streak.text, "".join(run.words))
        view.next_number += number
        tally = self.tally
        tally.events_in += number
        tally.events_out += number
        tally.events_renumbered += run.renumbered
        if streak.flattener is not None and run.flattened:
            name = streak.flattener.name
            tally.repairs[name] = tally.repairs.get(name, 0) + run.flattened
        self.out += run.pieces
        return number

    def _count(self, repair: Repair, event: Event, replacement: Sequence[Event]) -> None:
        repairs = self.tally.repairs
        repairs[repair.name] = repairs.get(repair.name, 0) + 1
        if not replacement and event.type is not END:
            self.tally.events_dropped += 1

    def _count_failure(self, repair: Repair) -> None:
        """Note that a repair raised, in the handler of its exception."""
        if self._plan.settings.strict:
            raise  # noqa: PLE0704 - there is an exception being handled
        failures = self.tally.repair_failures
        failures[repair.name] = failures.get(repair.name, 0) + 1

    def _emit(self, event: Event) -> None:
        """The exit: note it in the view, and tell it."""
        type_ = event.type
        if type_ is END:
            return
        if type_ is COMMENT:
            self.tally.comments += 1
            if self.view.next_number > self._starting_after + 1:
                self.out.append(encode_comment(event.raw or b""))
            return
        self.view.apply(event)
        self._tell(event)

    def _tell(self, event: Event) -> None:
        """Number it, name it, write it."""
        tally, view = self.tally, self.view
        tally.events_out += 1
        if event.invented:
            tally.events_synthesised += 1
        if event.type is not OPAQUE:
            self._number(event)
            if self._speaks:
                self._speak(event)
        if view.next_number > self._starting_after + 1:
            data = serialize_event(event)
            if event.type is OPAQUE:
                self.out.append(encode_data(data) if event.name is None else encode_event(event.name, data))
            else:
                self.out += event_pieces(event.body["type"], data)

    def _number(self, event: Event) -> None:
        """Give the event its number: the next, or that of the last one. It is past all repairs, so its body may be written."""
        view = self.view
        number = view.next_number
        if event.type == grammar.KEEPALIVE:
            number = max(0, number - 1)  # it repeats the last number
        else:
            view.next_number = number + 1
        body = event.body
        told = body.get("sequence_number")
        if type(told) is not int or told != number:
            body["sequence_number"] = number
            event.raw = None
            if not event.invented:
                self.tally.events_renumbered += 1

    def _speak(self, event: Event) -> None:
        """Tell the event under the dialect's name."""
        type_ = event.type
        name: str = event.body["type"]
        if self._plan.settings.dialect is Dialect.UPSTREAM:
            # What upstream calls it; an invented closing goes by the names that upstream used for its kind of event.
            if not event.invented:
                if name != type_:
                    self._upstream_names[type_] = name
                    self._upstream_names.setdefault(_counterpart(type_), _counterpart(name))
                return
            wanted = self._upstream_names.get(type_, type_)
        else:
            wanted = OPEN_RESPONSES_NAMES.get(type_, name)
        if wanted != name:
            event.body["type"] = wanted
            event.raw = None


def _counterpart(name: str) -> str:
    """Return the name of the done event of a delta or added event."""
    stem, _, last = name.rpartition(".")
    return f"{stem}.done" if last in ("delta", "added") else name
