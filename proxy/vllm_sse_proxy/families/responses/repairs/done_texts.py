"""Done events whose text is not what the deltas told (R10, R19, R28; empty ones before a call, R35).

Σ delta = ``text`` of the done event = ``text`` of the done part: clients that trust either must see the same. Text
that the done event adds is told as one more delta first; where it contradicts the deltas, the deltas stand, for they
were shown already, and what is missing comes as an item of its own once the terminal event proves it
(``untold_items``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.grammar import Holder
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair
from vllm_sse_proxy.families.responses.view import PartView, part_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Body, Event
    from vllm_sse_proxy.families.responses.view import ClientView, ItemView

_PART_DONE = frozenset({grammar.PART_DONE, grammar.SUMMARY_DONE})


class DoneTexts(Repair):
    """Make the texts of done events agree with the deltas; tell as a delta what they add."""

    __slots__ = ()

    name: ClassVar = "done_texts"
    summary: ClassVar = "the texts and logprobs of `*.done` and `content_part.done` are those of the deltas"
    fixes: ClassVar = ("R10", "R12", "R19", "R28", "R33", "R35", "R49", "F01")
    phase: ClassVar = Phase.CONTENT
    handles: ClassVar = frozenset(grammar.RUN_OF_DONE) | _PART_DONE

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with the told text, after the delta that is missing."""
        item = view.by_id.get(event.body["item_id"])
        if item is None:
            return None
        if event.type in _PART_DONE:
            return _part_done(event, item)
        run = grammar.RUN_OF_DONE[event.type]
        index = event.body.get("summary_index" if run.holder is Holder.SUMMARY else "content_index", 0)
        text = item.text_at(run, index)
        if text is None:
            return None
        told, said = text.text, event.body[run.done_field]
        changes: Body = {}
        missing = synthesis.tail(told, said)
        if (
            said != told
            and not missing
            and not (
                run.holder is Holder.ITEM
                and synthesis.is_truer(said, told)
                and not _begins_with_others(said, told, view)
            )
        ):
            changes[run.done_field] = told
        if isinstance(text, PartView) and text.logprobs and not event.body.get("logprobs"):
            changes["logprobs"] = list(text.logprobs)
        done = [event.having(**changes)] if changes else [event]
        if missing:
            return [synthesis.delta(item, run, index, missing), *done]
        return done if changes else None


def _begins_with_others(said: str, told: str, view: ClientView) -> bool:
    """Tell whether a done event repeats the arguments of the calls before it, and then says those that were told (R49)."""
    if not told or not said.endswith(told):
        return False
    for item in reversed(view.items):
        if item.own is not None and item.own.length:
            own = item.own.text
            if not said.endswith(own):
                return own.endswith(said)
            said = said[: len(said) - len(own)]
            if not said:
                return True
    return False


def _part_done(event: Event, item: ItemView) -> Sequence[Event] | None:
    summary = event.type == grammar.SUMMARY_DONE
    part = part_at(
        item.summaries if summary else item.parts, event.body["summary_index" if summary else "content_index"]
    )
    if part is None:
        return None
    said = event.body["part"]
    lost = bool(part.logprobs) and not said.get("logprobs")
    lost = lost or (part.run is grammar.OUTPUT_TEXT and said.get("annotations") != part.annotations)
    if said["type"] == part.type and (part.run is None or said.get(part.run.field) == part.text) and not lost:
        return None
    return [event.having(part=synthesis.told_part(part, said))]
