"""The engine: events pass the repairs in their order, are completed, and leave by one exit. It knows no protocol.

A replacement goes, depth first, to the later repairs only, so no repair sees its own work and termination is plain. The exit
writes the client's view and gives numbers; it can be neither reordered nor switched off, and the fast path only does again
what it did. A repair that raises is left out for that event and counted (fail open): the proxy never makes a stream worse
than upstream made it.

Holding is the engine's. It keeps what a repair holds, in order, and releases it before the next event that the repair lets
pass, and when there is too much of it.

Deltas that are spelled like one that was walked before are neither parsed nor walked (:mod:`.rewrites`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.stream.context import StreamContext
from vllm_sse_proxy.stream.event import COMMENT, END, Event, dump_json
from vllm_sse_proxy.stream.exit import Exit
from vllm_sse_proxy.stream.repair import PASS, Released, Repair, Verdict
from vllm_sse_proxy.stream.rewrites import (
    Awaited,
    Rewrite,
    learned,
    learned_with_values,
    name_and_data,
    spelled_number,
    words_in,
)
from vllm_sse_proxy.stream.settings import MAX_HELD_EVENTS
from vllm_sse_proxy.stream.waiting import Delta, Waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.stream.context import RequestContext
    from vllm_sse_proxy.stream.plan import Plan
    from vllm_sse_proxy.stream.view import TextView

_KNOWN_AT_ONCE: Final = 32
"""Rewrites that are tried: a stream has one, two where two spellings alternate, one for each choice of a chat."""


class Engine:
    """One stream's way from upstream's events to the exit.

    :ivar exit: where events leave; it has the client's view and the tally.
    """

    def __init__(self, plan: Plan, request: RequestContext, *, starting_after: int | None = None) -> None:
        self._plan = plan
        self._family = plan.family
        family = plan.family
        self._context = StreamContext(plan.settings, plan.disabled, request)
        view = family.view()
        writer = family.writer(self._context, view)
        self.exit = Exit(view, writer, -1 if starting_after is None else starting_after, family.deltas)
        self._repairs: list[Repair | None] = [None] * len(plan.repairs)  # made when they are first asked
        self._completer = family.completer(self._context, view, self.exit)
        self._rewrites: list[Rewrite] = []
        self._awaited: Awaited | None = None
        self._waiting: Waiting | None = None
        self._walks = 0

    def process(self, event: Event, frame: bytes | None = None) -> None:
        """Take one event of upstream, or END, through the stations.

        :param frame: the event's frame as it came, with its blank line, if it is exactly what servers send.
        """
        self._walk_waiting()
        self._walks += 1
        self._awaited = None
        if event.type is not END:
            self.exit.tally.events_in += 1
        if event.type not in self._family.deltas or frame is None:
            self._rewrites.clear()
            type_ = self._family.repeated_as(event) if frame is not None else None
            if type_ is None or frame is None:
                self._walk(event, 0)
            else:
                self._awaited = self._walk_and_await(event, frame, type_)
            return
        left, structure = self.exit.tally.events_out, self.exit.structure
        self._walk_and_learn(event, frame)
        if self.exit.tally.events_out > left + 1 and self.exit.structure != structure:
            self._rewrites.clear()  # what was learned before such an event is void; deltas that had waited void nothing

    def comment(self, text: bytes) -> None:
        """Pass one of upstream's comments: it says that time passes, so what waits for the next event waits no longer."""
        self._walk_waiting()
        self._walks += 1
        self._awaited = None
        left = self.exit.tally.events_out
        self._walk(Event(COMMENT, {}, text), 0)
        if self.exit.tally.events_out != left:  # a stop, say: what was learned before it is void
            self._rewrites.clear()

    # ----------------------------------------------------------------------------------------------------------- the stations

    def _walk(self, event: Event, position: int) -> None:
        """Ask the repairs from a position on, and complete what they leave."""
        view, repairs = self.exit.view, self._repairs
        for at in self._plan.positions(event.type):
            if at < position:
                continue
            repair = repairs[at] or self._made(at)
            try:
                result = repair.repair(event, view)
            except Exception:  # noqa: BLE001 - counted, or raised again
                self._fail(repair.name)
                continue
            if result is None:
                if not repair.held:
                    continue
                self._walk_all([*repair.take(), event], at + 1)
            elif isinstance(result, Verdict):
                if result is PASS:
                    continue
                self._hold_or_release(result, repair, event, at)
            elif result:
                self.exit.correct(repair.name)
                self._walk_all(result, at + 1)
            else:
                self.exit.drop(repair.name, event)
            return
        self._complete(event)

    def _walk_all(self, events: Sequence[Event], position: int) -> None:
        for event in events:
            self._walk(event, position)

    def _hold_or_release(self, verdict: Verdict, repair: Repair, event: Event, at: int) -> None:
        """Keep an event for a repair, or let other events go on; release all that is held if that is too much."""
        if isinstance(verdict, Released):
            self._walk_all(verdict.events, at + 1)
        else:
            repair.held.append(event)
        if len(repair.held) > MAX_HELD_EVENTS:
            self._walk_all(repair.take(), at + 1)

    def _made(self, at: int) -> Repair:
        """Make a repair: a stream in which nothing is wrong with its kind of event needs none."""
        repair = self._repairs[at] = self._plan.repairs[at](self._context)
        return repair

    def _complete(self, event: Event) -> None:
        try:
            if event.type is COMMENT:
                self._completer.release()
                self.exit.comment(event.raw or b"")
            else:
                self._completer.complete(event)
        except Exception:  # noqa: BLE001 - counted, or raised again
            self._fail(COMPLETION)
            if event.type is not COMMENT and event.type is not END:
                self.exit.emit(event)

    def _fail(self, name: str) -> None:
        """Note that a repair raised, in the handler of its exception."""
        if self._plan.settings.strict:
            raise  # noqa: PLE0704 - there is an exception being handled
        self.exit.tally.fail(name)

    # ---------------------------------------------------------------------------------------------------------- the fast path

    def rewritten(self, frame: bytes) -> bytes | None:
        """Return what becomes of a frame that is spelled like one that was walked; None for any other, which must be.

        :param frame: with its blank line. It may be anything else, too.
        """
        if self._rewrites:
            number = spelled_number(self.exit.view.next_number)
            for rewrite in self._rewrites:
                spelled = rewrite.before.read(frame, number)
                if spelled:
                    return self._rewritten(rewrite, frame, spelled, number)
        return None if self._awaited is None else self._repeated(self._awaited, frame)

    def _rewritten(self, rewrite: Rewrite, frame: bytes, spelled: bytes, number: bytes) -> bytes | None:
        words = words_in(spelled)
        if words is None or not self._has_room(words):
            return None
        settled = self._settled(rewrite, words)
        if settled < 0:
            return None
        made = rewrite.made(frame, spelled, words, number, self.exit.view)
        if made is None:
            return None
        if self._waiting is not None or settled < len(words):
            return self._wait(rewrite, Delta(frame, words, made), settled)
        tally = self.exit.tally
        if rewrite.after.is_numbered:
            self.exit.view.next_number += 1
            if rewrite.before.number != number:
                tally.events_renumbered += 1
        tally.events_in += 1
        self._leave(rewrite, words)
        return made

    def _leave(self, rewrite: Rewrite, words: str) -> None:
        """Take note of a delta that leaves as it was learned."""
        tally = self.exit.tally
        rewrite.text.grow(words)
        self.exit.view.size += len(words)
        tally.events_out += 1
        for name in rewrite.corrections:
            tally.correct(name)

    def _has_room(self, words: str) -> bool:
        """Return whether the client is to have a delta, and there is room for its words behind those that wait."""
        view, waiting = self.exit.view, self._waiting
        size = view.size + len(words) + (0 if waiting is None else len(waiting.words))
        return view.next_number > self.exit.starting_after and size <= self._plan.settings.max_text_bytes

    def _settled(self, rewrite: Rewrite, words: str) -> int:
        """Return how many characters of what waits and of these words no repair must see; -1 if one must see the delta."""
        if rewrite.walk != self._walks:
            rewrite.walk = self._walks
            rewrite.signs = self._signs(rewrite.type)
            rewrite.watching = None
        signs = rewrite.signs
        if signs is None:
            return -1
        if self._waiting is not None:
            return self._settled_by_all(rewrite, words)
        for sign in signs:
            if sign in words:
                return self._settled_by_all(rewrite, words)
        return len(words)

    def _settled_by_all(self, rewrite: Rewrite, words: str) -> int:
        """Ask the repairs; -1 if more than one would hold something, or would do more than hold it."""
        waiting = "" if self._waiting is None else self._waiting.words
        if self._waiting is not None and (self._waiting.rewrite is not rewrite or not words):
            return -1
        whole = settled = len(waiting) + len(words)
        if rewrite.watching is None:
            rewrite.watching = self._watching(rewrite.type)
        for at in rewrite.watching:
            repair = self._repairs[at] or self._made(at)
            own = repair.settled(waiting, words, rewrite.type, self.exit.view)
            if own < 0 or (own < whole and (settled < whole or rewrite.after.is_numbered)):
                return -1
            settled = min(settled, own)
        return settled

    def _watching(self, type_: str) -> list[int]:
        """Return the positions of the repairs that must see some words of such a delta."""
        view, repairs = self.exit.view, self._repairs
        return [
            at for at in self._plan.positions(type_) if (repairs[at] or self._made(at)).watches(type_, view)
        ]

    def _wait(self, rewrite: Rewrite, delta: Delta, settled: int) -> bytes:
        """Let a delta wait behind those that do; return the frames of those that need not any more.

        :param settled: how many characters of all of them need not.
        """
        waiting = self._waiting or Waiting(rewrite)
        waiting.add(delta)
        self.exit.tally.events_in += 1
        leaving = waiting.take(settled)
        for each in leaving:
            self._leave(rewrite, each.words)
        self._waiting = None if waiting.is_empty else waiting
        return b"".join([each.made for each in leaving])

    def _walk_waiting(self) -> None:
        """Walk the deltas that wait, before anything else is."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            for each in waiting.take(len(waiting.words)):
                self.exit.tally.events_in -= 1
                name, data = name_and_data(each.frame)
                self.process(self._family.read(data, name), each.frame)

    def _signs(self, type_: str) -> str | None:
        """Return the characters for which a repair must be asked about a delta; None where one must see every delta."""
        signs = ""
        for at in self._plan.positions(type_):
            repair = self._repairs[at] or self._made(at)
            watched = None if repair.held else repair.watches(type_, self.exit.view)
            if watched is None:
                return None
            signs += watched
        return signs

    def _repeated(self, awaited: Awaited, frame: bytes) -> bytes | None:
        """Return what becomes of an event that repeats the one before it; None if it does not."""
        view, tally = self.exit.view, self.exit.tally
        number = spelled_number(view.next_number)
        written = awaited.repeated(frame, number)
        if written is None:
            return None
        self._awaited = None
        body = {**awaited.event.body, "type": awaited.type, "sequence_number": view.next_number}
        view.apply(Event(awaited.type, body))
        view.next_number += 1
        self._walks += 1
        tally.events_in += 1
        tally.events_out += 1
        tally.events_renumbered += awaited.number != number
        for name in awaited.corrections:
            tally.correct(name)
        return written

    def _walk_and_await(self, event: Event, frame: bytes, type_: str) -> Awaited | None:
        """Walk an event that the next may repeat under another name; None if it is not certain what becomes of that."""
        mark = len(self.exit.out)
        last = self._walk_alone(event)
        holds = any(repair is not None and repair.held for repair in self._repairs)
        if holds or last is None or last.type != event.type or len(self.exit.out) == mark:
            return None
        return Awaited(last, type_, frame, b"".join(self.exit.out[mark:]), tuple(self.exit.corrections))

    def _walk_and_learn(self, event: Event, frame: bytes) -> None:
        """Walk a delta, and remember how it came in and went out, if it did as one delta."""
        exit_ = self.exit
        view = exit_.view
        mark, number = len(exit_.out), spelled_number(view.next_number)
        last = self._walk_alone(event)
        if last is None:
            return
        words = view.words_of(last) if last.type in self._family.deltas else None
        text = view.text_of(last) if words is not None else None
        if words is None or text is None or len(exit_.out) == mark or self._signs(event.type) is None:
            return  # what a repair makes of such a delta now, it may not make of the next
        emitted = b"".join(exit_.out[mark:])
        if emitted == frame and exit_.corrections:
            return  # they were of something that waited
        corrections = tuple(exit_.corrections)
        if self._is_known(frame, emitted, words, text, corrections, number):
            return
        idle = view.idle_index(last)
        twice = (view.has_words_twice(event), view.has_words_twice(last))
        spelled, varying = dump_json(words), view.varying_members(event)
        rewrite = (
            learned_with_values(event.type, frame, emitted, spelled, text, view, corrections, twice, varying)
            if varying
            else learned(event.type, frame, emitted, spelled, text, idle, corrections, twice)
        )
        if rewrite is not None and rewrite.after.is_numbered == self._family.is_numbered:
            self._rewrites.insert(0, rewrite)
            del self._rewrites[_KNOWN_AT_ONCE:]

    def _is_known(
        self,
        frame: bytes,
        emitted: bytes,
        words: str,
        text: TextView,
        corrections: tuple[str, ...],
        number: bytes,
    ) -> bool:
        """Return whether a delta that was walked for its words alone left as one of the rewrites has it.

        :param number: the one that it should have had.
        """
        for rewrite in self._rewrites:
            if rewrite.text is text and rewrite.corrections == corrections:
                spelled = rewrite.before.read(frame, number)
                if spelled and words_in(spelled) == words:
                    return rewrite.made(frame, spelled, words, number, self.exit.view) == emitted
        return False

    def _walk_alone(self, event: Event) -> Event | None:
        """Walk an event; return it as it left, if it left and nothing else did.

        The exit then has the names of its corrections.
        """
        exit_, tally = self.exit, self.exit.tally
        left, dropped = tally.events_out, tally.events_dropped
        exit_.corrections.clear()
        exit_.take_last()
        self._walk(event, 0)
        last = exit_.take_last()
        if last is None or tally.events_out != left + 1 or tally.events_dropped != dropped or last.inserted:
            return None
        return last


COMPLETION: Final = "completion"
"""What a failure of the third station is counted as."""
