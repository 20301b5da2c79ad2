"""Chunks of completions as events: their types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm_sse_proxy.families.chunks import (
    CHOICE,
    CHUNK,
    ERROR,
    FINISH,
    TEXT,
    USAGE,
    choice_of,
    index_of,
    is_error,
)
from vllm_sse_proxy.stream.event import Event

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Body


def kind_of(body: Body) -> str:
    """Return the type of a chunk."""
    if is_error(body):
        return ERROR
    choices = body.get("choices")
    if type(choices) is not list or len(choices) > 1:
        return CHUNK
    if not choices:
        return USAGE if type(body.get("usage")) is dict else CHUNK
    return _kind_of_choice(choices[0])


def _kind_of_choice(choice: Any) -> str:
    if type(choice) is not dict:
        return CHUNK
    index, text = choice.get("index"), choice.get("text")
    if type(index) is not int or index < 0 or type(text) is not str:
        return CHUNK
    if choice.get("finish_reason") is not None:
        return FINISH
    return TEXT if text != "" else CHOICE


def text_of(choice: Body) -> str:
    """Return the text of a choice; an empty one if it has none."""
    text = choice.get("text")
    return text if type(text) is str else ""


def with_choice(event: Event, choice: Body) -> Event:
    """Return an event with another choice in place of its one."""
    body = {**event.body, "choices": [choice]}
    return Event(kind_of(body), body, inserted=event.inserted)


def place_of(event: Event) -> object:
    """Return the text that a delta names, by upstream's names."""
    return index_of(choice_of(event))
