"""Inputs of calls that are not one JSON object (C17, C23, C45).

Parsers of vLLM send the arguments again at the end, whole or in another spelling (to 0.22; xlam to 0.33), or lose the first
brace (qwen3_coder 0.16 and 0.17). Every client joins the pieces and reads JSON, so either makes the call unreadable.

What follows the end of the object is dropped. A piece that says the whole once more, where JSON cannot go on with it, leaves
as the end that was missing. Where a brace may be missing, the first pieces are held until the character behind the first
string shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.events import delta_of, delta_type
from vllm_sse_proxy.families.messages.request import schemas_of
from vllm_sse_proxy.families.partial_json import JsonScanner
from vllm_sse_proxy.families.texts.repeated_json import new_in_again, without_brace_before
from vllm_sse_proxy.stream.event import END
from vllm_sse_proxy.stream.repair import HOLD, PASS, Released, Repair, Verdict
from vllm_sse_proxy.stream.view import TextView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.messages.view import MessageView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event

_LONGEST_NAME: Final = 256
"""Characters that are held to find out whether they name a member; no schema has longer names."""
_MOST_HEADS: Final = 16
"""Inputs whose first pieces are held at a time: blocks follow each other, but for an upstream that mixes them."""
_ENDS_OF_HOLDING: Final = frozenset(
    {
        grammar.BLOCK_START,
        grammar.BLOCK_DELTA,
        grammar.BLOCK_STOP,
        grammar.MESSAGE_DELTA,
        grammar.MESSAGE_STOP,
        grammar.ERROR,
        END,
    }
)
"""Before these, what is held leaves; heartbeats and what the proxy drops change nothing."""
_SPACE: Final = " \t\n\r"


class _Head:
    """The first pieces of an input, as long as the brace before them may be missing: it is, before the name of a member.

    :ivar events: those of them that are held.
    """

    __slots__ = ("_pieces", "_scanner", "_size", "events")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._pieces: list[str] = []
        self._scanner = JsonScanner()
        self._size = 0

    @property
    def text(self) -> str:
        """What came so far."""
        return "".join(self._pieces)

    def lacks_brace(self, piece: str) -> bool | None:
        """Add a piece; return whether the brace is missing, and None if more must come."""
        scanner, before = self._scanner, self._size
        scanner.feed(piece)
        self._pieces.append(piece)
        self._size += len(piece)
        if scanner.begins_with != '"' or self._size > _LONGEST_NAME:
            return False
        if scanner.is_cut:
            return None
        behind = piece[max(0, scanner.end - before) :].lstrip(_SPACE) if scanner.is_complete else "-"
        return behind.startswith(":") if behind else None


class _Input:
    """The input of one call, as far as it came.

    :ivar sent: what was let through.
    """

    __slots__ = ("_schema", "scanner", "sent")

    def __init__(self, schema: object) -> None:
        """Begin an input.

        :param schema: of the tool, whatever the request has in its place.
        """
        self._schema = schema
        self.sent = TextView()
        self.scanner = JsonScanner()

    def take(self, piece: str) -> str:
        """Return what of a piece belongs to the input, and take note of it."""
        if self.scanner.is_empty:
            piece = without_brace_before(piece)
        if self.scanner.is_complete:
            return "" if piece.strip(_SPACE) and self.scanner.is_object else piece
        kept = self._kept(piece)
        self.sent.grow(kept)
        return kept

    def _kept(self, piece: str) -> str:
        """Return what of a piece belongs to an input that goes on; the scanner has read it then."""
        again = piece.lstrip(_SPACE)
        rest = self._rest_of(again) if again[:1] == "{" and self.scanner.is_open else None
        piece = piece if rest is None else rest
        before = self.scanner.length
        self.scanner.feed(piece)
        end = self.scanner.end - before
        is_whole = self.scanner.is_complete and self.scanner.is_object
        return piece[:end] if is_whole and piece[end:].strip(_SPACE) else piece

    def _rest_of(self, piece: str) -> str | None:
        """Return what a piece that begins an object adds, if it says the input again; None if it does not."""
        ahead = self.scanner.copy()
        ahead.feed(piece)
        if not self.scanner.is_object or not (ahead.is_broken or self.scanner.expects_value):
            return None
        return new_in_again(self.sent, self.scanner, piece, self._schema)


class CallInputs(Repair):
    """Make the input of a call one JSON value."""

    __slots__ = ("_heads", "_inputs", "_is_input", "_last", "_schemas")

    name: ClassVar = "call_inputs"
    summary: ClassVar = (
        "the input of a call is one JSON object: nothing follows its end, no first brace is missing"
    )
    fixes: ClassVar = ("C17", "C23", "C45")
    handles: ClassVar = None

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._inputs: dict[int, _Input] = {}
        """upstream's index of a call that goes on → its input"""
        self._schemas = schemas_of(context)
        self._heads: dict[int, _Head] = {}
        """index of an input → its first pieces, which are held"""
        self._is_input = False
        """whether the last event that was seen is a piece of an input"""
        self._last = -1
        """the last index that upstream named: a piece without one is of that call"""

    def watches(self, type_: str, view: MessageView) -> str | None:  # noqa: ARG002 - there is one type of deltas
        """Watch every piece of an input, in whatever block it comes."""
        is_open = view.open is not None and view.open.input is not None
        return None if is_open or self._is_input else ""

    def repair(self, event: Event, view: MessageView) -> Sequence[Event] | Verdict | None:  # noqa: ARG002 - the pieces say it all
        """Return a piece without what does not belong into it."""
        type_ = event.type
        if type_ not in _ENDS_OF_HOLDING:
            return PASS
        index = self._index_of(event)
        if type_ == grammar.BLOCK_DELTA and delta_type(event) == grammar.INPUT_DELTA:
            piece = delta_of(event).get("partial_json")
            if type(piece) is str and piece:
                self._is_input = True
                self._last = index
                return self._take(event, index, piece)
        self._give_up()
        self._is_input = False
        if type_ == grammar.BLOCK_STOP and index in self._inputs and self._inputs[index].scanner.is_complete:
            del self._inputs[index]  # of any other, more may come behind the stop
        if type_ == grammar.BLOCK_START:
            self._inputs[index] = _Input(self._schemas.get(_name_in(event)))
            self._last = index
        return None

    def _index_of(self, event: Event) -> int:
        index = event.body.get("index")
        return index if type(index) is int else self._last

    def _take(self, event: Event, index: int, piece: str) -> Sequence[Event] | Verdict | None:
        input_ = self._inputs.get(index)
        if input_ is None:
            input_ = self._inputs[index] = _Input(None)
        if input_.scanner.is_empty:
            head = self._heads.get(index) or _Head()
            lacks_brace = head.lacks_brace(piece)
            if lacks_brace is None:
                return self._hold(event, index, head)
            if lacks_brace:
                self._drop(index)
                return [_with_piece(event, input_.take("{" + head.text))]
            if index in self._heads:
                self._give_up()
                return None
        kept = input_.take(piece)
        if kept == piece:
            return PASS if self.held else None
        return [_with_piece(event, kept)] if kept else []

    def take(self) -> list[Event]:
        """Return what is held, and hold nothing."""
        self._heads.clear()
        return super().take()

    def _hold(self, event: Event, index: int, head: _Head) -> Verdict:
        """Hold one of the first pieces of an input; let all others go if too many inputs have some."""
        head.events.append(event)
        if index in self._heads:
            return HOLD
        passing: list[Event] = []
        if len(self._heads) == _MOST_HEADS:
            self._give_up()
            passing = self.take()
        self._heads[index] = head
        self.held.append(event)
        return Released(passing)

    def _drop(self, index: int) -> None:
        """Drop the pieces of an input that are held, if any are: another says them."""
        head = self._heads.pop(index, None)
        if head is not None:
            own = dict.fromkeys(head.events)
            self.held = [each for each in self.held if each not in own]

    def _give_up(self) -> None:
        """Take what is held as the beginnings of the inputs, as they came."""
        for index, head in self._heads.items():
            self._inputs[index].take(head.text)


def _name_in(event: Event) -> str:
    """Return the name of the call that a block is; empty if it is none."""
    block = event.body.get("content_block")
    name = block.get("name") if type(block) is dict else None
    return name if type(name) is str else ""


def _with_piece(event: Event, piece: str) -> Event:
    return event.having(delta={**delta_of(event), "partial_json": piece})
