"""Texts of deltas that a repair holds, and what it emits in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm_sse_proxy.families.chat.chunks import delta_of, with_choice
from vllm_sse_proxy.families.chat.grammar import REASONING_NAMES
from vllm_sse_proxy.families.chunks import CHOICE, FINISH, choice_of
from vllm_sse_proxy.stream.repair import Released

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.stream.event import Body, Event
    from vllm_sse_proxy.stream.repair import Verdict


def content_of(event: Event) -> str:
    """Return the content of a delta; empty if it has none."""
    content = delta_of(choice_of(event)).get("content")
    return content if type(content) is str else ""


def reasoning_of(event: Event) -> str:
    """Return the reasoning of a delta, by whatever name; empty if it has none."""
    delta = delta_of(choice_of(event))
    for name in REASONING_NAMES:
        text = delta.get(name)
        if type(text) is str and text:
            return text
    return ""


def is_silent(event: Event) -> bool:
    """Return whether a chunk adds nothing to its choice: it parts no text."""
    if event.type != CHOICE:
        return False
    return not any(value for name, value in delta_of(choice_of(event)).items() if name != "role")


def keep_behind(event: Event, held: list[Event]) -> Verdict | None:
    """Hold a chunk that adds nothing behind those of its choice that are held; let it go on if none is."""
    if not held:
        return None
    held.append(event)
    return Released(())


def release_before(end: Event, held: Sequence[Event]) -> Verdict | None:
    """Let all that is held go before the end of the stream; None if nothing is."""
    return Released([*held, end]) if held else None


def with_texts(event: Event, texts: list[tuple[str, str]]) -> list[Event]:
    """Return chunks with these texts, by the names of their members, in place of those of an event.

    Only the last has the finish reason of the event, and what else a choice has once. A finish stays, even without any text.
    """
    choice = choice_of(event)
    rest: Body = {
        name: value
        for name, value in delta_of(choice).items()
        if name != "content" and name not in REASONING_NAMES
    }
    made: list[Event] = []
    for place, (name, text) in enumerate(texts):
        delta = {**rest, name: text}
        rest = {}
        is_last = place == len(texts) - 1
        made.append(with_choice(event, {**(choice if is_last else _unfinished(choice)), "delta": delta}))
    if not texts and (event.type == FINISH or any(value is not None for value in rest.values())):
        made.append(with_choice(event, {**choice, "delta": rest}))
    return made


def emptied(event: Event) -> list[Event]:
    """Return a chunk without its words, if it has anything beside them that clients may want: else none."""
    choice = choice_of(event)
    if not (choice.get("logprobs") or choice.get("token_ids")):
        return []
    return [with_choice(event, {**choice, "delta": {"content": ""}})]


def remainder_of(event: Event, name: str, text: str) -> Event:
    """Return a chunk with the rest of a text whose beginning has left with all that its choice has once."""
    return with_choice(event, {**_unfinished(choice_of(event)), "delta": {name: text}})


def _unfinished(choice: Body) -> Body:
    """Return a choice with nothing but its index."""
    made: dict[str, Any] = {name: None for name in choice if name in ("logprobs", "finish_reason")}
    return {"index": choice.get("index"), **made}
