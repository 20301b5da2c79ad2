"""Arguments of a call without their beginning (R12).

The harmony path of vLLM 0.11.1 to 0.13 drops the first delta of a call's arguments: ``: "Par``, ``is"}``, then a done event
with ``{"city": "Paris"}``. LangChain and pydantic-ai join the deltas alone, and refuse or lose the call.

Nothing can be put before a delta that was emitted. But the arguments of a function are a JSON object: deltas that do not begin
as one are of no use to anybody until the done event, so they wait for it, and all of them are emitted as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.final_match import match_final
from vllm_sse_proxy.stream.settings import MAX_HELD_EVENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import Seen, StreamContext
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.exit import Exit

_RUN: Final = grammar.FUNCTION_ARGUMENTS
_NAME: Final = "headless_arguments"


class HeadlessArguments:
    """Let arguments whose first delta was lost wait until the whole of them is known."""

    __slots__ = ("_begun", "_exit", "_held", "_is_on", "_view")

    def __init__(self, context: StreamContext, view: ClientView, exit_: Exit) -> None:
        self._is_on = _NAME not in context.disabled
        self._view = view
        self._exit = exit_
        self._begun: Seen = {}
        """ids of the calls whose first delta was emitted"""
        self._held: list[Event] = []
        """deltas of one call, with nothing else between them"""

    def take(self, event: Event) -> Sequence[Event]:
        """Return the events that go on now; none for a delta that waits."""
        held = self._held
        if (
            event.type == _RUN.delta
            and self._is_on
            and type(event.body.get("delta")) is str
            and self._is_headless(event)
        ):
            held.append(event)
            return self.give_up() if len(held) > MAX_HELD_EVENTS else []
        if (
            not held or event.type in grammar.OPENING
        ):  # the beginning of the response, sent late, ends no call
            return [event]
        whole = self._whole_of(held[0].body["item_id"], event)
        self.give_up()
        said = "".join(one.body["delta"] for one in held)
        if type(whole) is str and said in whole and not whole.startswith(said):
            self._exit.correct(_NAME)
            return [held[0].having(delta=whole), event]
        return [*held, event]

    def give_up(self) -> list[Event]:
        """Return what waits."""
        held, self._held = self._held, []
        if held:
            self._begun[held[0].body["item_id"]] = None
        return held

    def _is_headless(self, event: Event) -> bool:
        """Return whether a delta goes on with those that wait, or is the first of a call and begins no object."""
        id_ = event.body["item_id"]
        if self._held:
            return bool(self._held[0].body["item_id"] == id_)
        item = self._view.by_id.get(id_)
        if id_ in self._begun or item is None or item.closed:
            return False  # what comes of a call before its announcement is dropped, and begins nothing
        delta = event.body.get("delta")
        if type(delta) is not str or delta.lstrip()[:1] in ("", "{"):
            self._begun[id_] = None
            return False
        return True

    def _whole_of(self, id_: str, event: Event) -> object:
        """Return the arguments of a call as the event has them; None if it does not say."""
        if event.type == _RUN.done and event.body["item_id"] == id_:
            return event.body.get(_RUN.done_field)
        if event.type == grammar.ITEM_DONE and event.body["item"].get("id") == id_:
            return event.body["item"].get(_RUN.field)
        if event.type in grammar.TERMINAL:
            account = match_final(self._view, event.body["response"].get("output")).accounts.get(
                self._view.by_id[id_].index
            )
            return None if account is None else account.get(_RUN.field)
        return None
