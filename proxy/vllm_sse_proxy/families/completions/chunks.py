"""Chunks of completions as events: their types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm_sse_proxy.families.chunks import CHOICE, CHUNK, FINISH, TEXT, kind_of_chunk
from vllm_sse_proxy.stream.event import Event

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Body


def kind_of(body: Body) -> str:
    """Return the type of a chunk."""
    return kind_of_chunk(body, _kind_of_choice)


def _kind_of_choice(choice: Body) -> str:
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
