"""Blocks and deltas that lack a member, or have one of another kind (A15, A23).

Helpers of the SDKs join what they get: ``null`` in a delta raises, a missing member reads as ``undefined``. The schema of
the AI SDK refuses a block without all of its members. What a block has when it starts goes into a delta: clients that build a
block from its deltas alone lose it otherwise.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.events import delta_of, inserted
from vllm_sse_proxy.families.messages.request import only_tool
from vllm_sse_proxy.stream.event import dump_json
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.messages.view import MessageView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body, Event

_TYPE_OF_MEMBER: Final = {member: type_ for type_, member in grammar.DELTA_MEMBERS.items()}
_ID_DIGITS: Final = 24


class BlockShapes(Repair):
    """Give blocks and deltas their members."""

    __slots__ = ("_given", "_nameless")

    name: ClassVar = "block_shapes"
    summary: ClassVar = "blocks have all of their members and start empty; deltas hold strings"
    fixes: ClassVar = ("A15", "A23", "C32")
    handles: ClassVar = frozenset({grammar.BLOCK_START, grammar.BLOCK_DELTA, grammar.BLOCK_STOP})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._given = 0
        """how many ids were given"""
        self._nameless: object = None
        """upstream's index of a call without a name, which is dropped; a list around it, so that any index is one"""

    def repair(self, event: Event, view: MessageView) -> Sequence[Event] | None:
        """Return the event with its members."""
        if event.type == grammar.BLOCK_START:
            self._nameless = None
            return self._start(event, view)
        if self._nameless == [event.body.get("index")]:
            return []
        return _delta(event) if event.type == grammar.BLOCK_DELTA else None

    def _start(self, event: Event, view: MessageView) -> Sequence[Event] | None:
        given = event.body.get("content_block")
        if type(given) is not dict:
            return []  # the first delta shows what it is
        type_ = given.get("type")
        kind = grammar.BLOCKS.get(type_) if type(type_) is str else None
        if kind is None:
            return None if type(type_) is str else []
        content: Body = {**given}
        if kind.inputs:
            if not self._name(content):
                self._nameless = [event.body.get("index")]
                return []
            self._identify(content, view)
        words = content.get(kind.grows) if kind.grows is not None else None
        if kind.grows is not None:
            content[kind.grows] = ""
        input_ = content.get("input") if kind.inputs else None
        if kind.inputs:
            content["input"] = {}
        if type_ == grammar.THINKING and type(content.get("signature")) is not str:
            content["signature"] = ""
        start = event if content == given else event.having(content_block=content)
        delta = _first_delta(kind, words, input_)
        if delta is not None:
            return [start, inserted(grammar.BLOCK_DELTA, index=event.body.get("index"), delta=delta)]
        return None if start is event else [start]

    def _name(self, content: Body) -> bool:
        """Give a call without a name that of the one tool that it can call; return whether it has one now."""
        name = content.get("name")
        if type(name) is str and name:
            return True
        only = only_tool(self.context.request)
        if only is None:
            return False
        content["name"] = only
        return True

    def _identify(self, content: Body, view: MessageView) -> None:
        """Give a call without an id one."""
        id_ = content.get("id")
        if type(id_) is not str or not id_:
            self._given += 1
            seed = f"{view.id}\0{self._given}"
            content["id"] = (
                f"toolu_{hashlib.sha256(seed.encode('utf-8', 'replace')).hexdigest()[:_ID_DIGITS]}"
            )


def _first_delta(kind: grammar.BlockKind, words: Any, input_: Any) -> Body | None:
    """Return the delta for what a block has when it starts; None if it is empty."""
    if type(input_) is dict and input_:
        return {"type": grammar.INPUT_DELTA, "partial_json": dump_json(input_).decode()}
    if type(input_) is str and input_:
        return {"type": grammar.INPUT_DELTA, "partial_json": input_}
    if type(words) is str and words and kind.grows is not None:
        return {"type": kind.deltas[0], kind.grows: words}
    return None


def _delta(event: Event) -> Sequence[Event] | None:
    """Return a delta with its type and its words; nothing for one that says nothing."""
    delta = delta_of(event)
    type_ = delta.get("type")
    if type(type_) is not str:
        type_ = next((_TYPE_OF_MEMBER[name] for name in delta if name in _TYPE_OF_MEMBER), None)
        if type_ is None:
            return []
    member = grammar.DELTA_MEMBERS.get(type_)
    if member is None:
        return None
    value = delta.get(member)
    text = _text_of(value, is_json=type_ == grammar.INPUT_DELTA)
    if text is None:
        return []
    if type(value) is str and delta.get("type") == type_:
        return None
    return [event.having(delta={**delta, "type": type_, member: text})]


def _text_of(value: Any, *, is_json: bool) -> str | None:
    """Return the words in the member of a delta; None if there are none."""
    if type(value) is str:
        return value
    if is_json:
        return dump_json(value).decode() if type(value) is dict else None
    if type(value) is dict:
        inner = value.get("text")
        return inner if type(inner) is str else None
    return None
