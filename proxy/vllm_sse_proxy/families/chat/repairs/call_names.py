"""Control tokens behind the name of a function (C21): ``query_dataset<|channel|>commentary``.

gpt-oss writes them between the name and the arguments, and vLLM up to 0.24 (in part later ones too) takes all that follows
``functions.`` for the name. What stands before them is the name, if the request has such a tool. With a list of tools, any
character that no name can have ends it; without one, only the beginning of a token.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.chat.chunks import PIECE_TYPES, function_of, name_of, piece_of, with_piece
from vllm_sse_proxy.families.chat.request import ChatRequest
from vllm_sse_proxy.stream.repair import Repair, StreamContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import ChatView
    from vllm_sse_proxy.stream.event import Event

_NAME: Final = re.compile(r"[\w.:/-]+")
_CONTROL: Final = "<|"


class CallNames(Repair):
    """Cut what does not belong to a name."""

    __slots__ = ("_request",)

    name: ClassVar = "call_names"
    summary: ClassVar = "the name of a function ends where a control token begins"
    fixes: ClassVar = ("C21",)
    handles: ClassVar = PIECE_TYPES

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._request = ChatRequest.of(context)

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | None:  # noqa: ARG002 - a name is wrong in itself
        """Return the piece with the name alone."""
        piece = piece_of(event)
        if piece is None:
            return None
        name = name_of(piece)
        clean = self._clean(name)
        if clean == name:
            return None
        return [with_piece(event, {**piece, "function": {**function_of(piece), "name": clean}})]

    def _clean(self, name: str) -> str:
        tools = self._request.tools
        if not name or name in tools:
            return name
        if not tools:
            before = name.partition(_CONTROL)[0]
            return before if before and _NAME.fullmatch(before) is not None else name
        begins = _NAME.match(name.lstrip())
        return begins.group() if begins is not None and begins.group() in tools else name
