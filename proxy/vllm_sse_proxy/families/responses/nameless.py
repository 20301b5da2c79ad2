"""Pieces of calls that cannot be announced yet, because their name is unknown: the done item names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm_sse_proxy.families.responses import agreement, grammar
from vllm_sse_proxy.families.responses.grammar import Holder, item_kind
from vllm_sse_proxy.stream.settings import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Body, Event


class NamelessCalls:
    """Pieces of calls that cannot be announced yet, because their name is unknown."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: dict[str, list[str]] = {}
        self._size = 0

    def keep(self, event: Event, id_: str) -> None:
        """Keep a piece of the arguments or input, or all of it."""
        run = grammar.RUN_OF_EVENT.get(event.type)
        if run is None or run.holder is not Holder.ITEM or self._size > MAX_TEXT_BYTES:
            return
        piece = event.body.get("delta" if event.type == run.delta else run.done_field)
        if type(piece) is str and piece:
            self._size += len(piece)
            if event.type == run.delta:
                self._pieces.setdefault(id_, []).append(piece)
            else:
                self._pieces[id_] = [piece]

    def restored(self, item: Body) -> Body:
        """Return a done item with the pieces that were kept of it, if it has no readable arguments itself."""
        pieces = self._pieces.pop(item["id"], None)
        run = item_kind(item["type"]).run
        if pieces is None or run is None:
            return item
        said, came = item.get(run.field), "".join(pieces)
        is_readable = said != "" and (not run.is_json or agreement.are_arguments(str(said)))
        return (
            item
            if is_readable or (run.is_json and not agreement.are_arguments(came))
            else {**item, run.field: came}
        )
