"""Chunks of transcriptions, and OpenAI's events for them, as events: their types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.chunks import CHOICE, CHUNK, FINISH, TEXT, choice_of, is_error, kind_of_chunk
from vllm_sse_proxy.stream.event import Event

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Body

_EVENTS: Final = "transcript."
"""How the types of OpenAI's events begin, those included that nobody knows yet."""


def kind_of(body: Body) -> str:
    """Return the type of a chunk, or of an event of OpenAI's."""
    type_ = body.get("type")
    if type(type_) is str and type_.startswith(_EVENTS) and not is_error(body):
        return type_
    return kind_of_chunk(body, _kind_of_choice)


def _kind_of_choice(choice: Body) -> str:
    delta = choice.get("delta")
    if type(delta) is not dict:
        return CHUNK
    if choice.get("finish_reason") is not None:
        return FINISH
    return TEXT if type(delta.get("content")) is str else CHOICE


def text_of(choice: Body) -> str:
    """Return the text that a choice adds; an empty one if it adds none."""
    delta = choice.get("delta")
    text = delta.get("content") if type(delta) is dict else None
    return text if type(text) is str else ""


def with_choice(event: Event, choice: Body) -> Event:
    """Return an event with another choice in place of its one."""
    body = {**event.body, "choices": [choice]}
    return Event(kind_of(body), body, inserted=event.inserted)


def words_in(event: Event) -> str | None:
    """Return the words of a delta, in either form."""
    delta = event.body.get("delta")
    return delta if type(delta) is str else text_of(choice_of(event))
